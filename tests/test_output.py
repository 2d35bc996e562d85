"""A result on disk is whole or absent, its folder is its own, and what was taken away never comes back."""

import json
import os
import shutil
import sys
import unicodedata
from dataclasses import asdict
from pathlib import Path

import pytest

from optihedge.batch.orders import ORDERS, Order, Orders
from optihedge.batch.output import MANIFEST, folder_name, is_whole, write_file, write_whole
from optihedge.batch.withdraw import earlier_results, take_away


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_result_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "book" / "model"
    write_whole(folder, {"a.csv": "1\n", "b.csv": "2\n"}, {"status": "done"})
    assert is_whole(folder)
    write_whole(folder, {"a.csv": "3\n"}, {"status": "held"})
    assert bytes_of(folder).keys() == {"a.csv", MANIFEST} and (folder / "a.csv").read_text() == "3\n"
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_torn_result_is_not_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_whole(folder, {"a.csv": "12345\n"}, {})
    (folder / "a.csv").write_text("123")
    assert not is_whole(folder)
    for text in ("[]", "{", '{"files": {"gone.csv": {"sha256": "0"}}}'):
        (folder / MANIFEST).write_text(text)
        assert not is_whole(folder)


def test_what_was_taken_away_never_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "book" / "model"
    write_whole(folder, {"trades.csv": "old\n"}, {"book": "book", "model": "model"})
    os.replace(folder, folder.with_name(".model.old"))  # as if killed in the middle of taking it away
    shutil.copytree(folder.with_name(".model.old"), folder.with_name(".model.new"))  # or of writing it
    assert earlier_results(tmp_path) == []
    take_away(tmp_path, [])
    assert not folder.exists() and not list(tmp_path.rglob("trades.csv"))
    shutil.rmtree(folder.parent, ignore_errors=True)
    for left in ("old", "new"):
        write_whole(folder.with_name(f".model.{left}"), {"trades.csv": "old\n"}, {})
    write_whole(folder, {"trades.csv": "new\n"}, {})
    assert [p.read_text() for p in tmp_path.rglob("trades.csv")] == ["new\n"]


def test_a_killed_replacement_leaves_the_new_result_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    replace, calls = os.replace, []
    for fatal in range(1, 9):
        write_whole(folder, {"trades.csv": "old\n"}, {})
        calls.clear()

        def kill(*args: object, _fatal: int = fatal, **options: object) -> None:
            calls.append(args)
            if len(calls) == _fatal:
                raise KeyboardInterrupt
            replace(*args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "replace", kill)
        try:
            write_whole(folder, {"trades.csv": "new\n"}, {})
        except KeyboardInterrupt:
            assert fatal > 1 or (folder / "trades.csv").read_text() == "old\n"
            assert fatal == 1 or not folder.exists()
        else:
            assert (folder / "trades.csv").read_text() == "new\n" and fatal > 2
        monkeypatch.setattr(os, "replace", replace)


def test_a_result_that_is_a_link_goes_and_what_it_points_to_stays(tmp_path: Path) -> None:
    write_whole(tmp_path / "elsewhere", {"trades.csv": "old\n"}, {"book": "b", "model": "m"})
    folder = tmp_path / "out" / "b" / "m"
    folder.parent.mkdir(parents=True)
    for target in ("elsewhere", "nowhere"):
        folder.symlink_to(tmp_path / target)
        assert take_away(tmp_path / "out", earlier_results(tmp_path / "out")) == {} or target == "nowhere"
        write_whole(folder, {"trades.csv": "new\n"}, {})
        assert not folder.is_symlink() and (folder / "trades.csv").read_text() == "new\n"
        shutil.rmtree(folder)
        folder.parent.mkdir(exist_ok=True)
    assert (tmp_path / "elsewhere" / "trades.csv").read_text() == "old\n"


def test_results_of_earlier_runs_are_found_whole_or_torn_and_files_of_the_desk_are_not(tmp_path: Path) -> None:
    write_whole(tmp_path / "b-1" / "m", {"trades.csv": 'a,b\n1,"x, y"\n2,z\n'}, {"book": "B", "model": "M"})
    (tmp_path / "torn" / "m").mkdir(parents=True)
    (tmp_path / "torn" / "m" / "trades.csv").write_text("a,b\n")
    write_whole(tmp_path / "c" / "m", {"held.csv": "a\n"}, {"book": "c", "model": "m"})
    (tmp_path / "mine" / "notes").mkdir(parents=True)
    (tmp_path / "mine" / "notes" / "a.txt").write_text("mine")
    found = earlier_results(tmp_path)
    assert [(r.book, r.model, r.order and r.order.lines) for r in found] == [
        ("B", "M", 2), ("c", "m", None), ("torn", "m", 0),
    ]  # fmt: skip
    assert found[0].order is not None and found[0].order.path == "b-1/m/trades.csv"
    assert take_away(tmp_path, found) == {}
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.txt"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "a.json", "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            write_file(tmp_path / "a.json", "new")
    assert bytes_of(tmp_path) == {"a.json": b"old"}


@pytest.mark.parametrize("label", ["../../etc", "..", "a/b", "Ü 1", "", ".hidden", "manifest\n"])
def test_a_books_name_never_leaves_the_output_folder(label: str, tmp_path: Path) -> None:
    made = folder_name(label)
    assert (tmp_path / made).resolve().parent == tmp_path.resolve() and not made.startswith(".")


def test_two_labels_never_share_a_folder_on_any_disk() -> None:
    assert (folder_name("desk-1_a"), folder_name("book")) == ("desk-1_a", "book")
    labels = ["a/b", "a_b", "a b", "a:b", "A_b", "a_B", "A/B", "é", "e\u0301", "É", "ß", "ss", "a.b", "a.b.", "a_b-",
              "desk" * 75, "desk" * 75 + "s", "Desk" * 75, "ı", "i", "I", "İ"]  # fmt: skip
    labels += [folder_name(label) for label in labels if folder_name(label) != label]
    made = {unicodedata.normalize("NFC", folder_name(label)).casefold() for label in labels}
    assert len(made) == len(labels) and max(map(len, made)) < 100


@pytest.mark.parametrize("name", ["orders.json", "summary.csv", "summary.json", "suspect_moves.csv", ".lock"])
def test_no_book_is_called_like_a_file_of_ours(name: str) -> None:
    assert folder_name(name) != name


def test_an_index_of_orders_is_the_json_of_its_orders(tmp_path: Path) -> None:
    lists = {book: Order(book, 'm "ü"', why="a\nb" * (book == "B")) for book in ("C", "B")}
    orders = Orders(tmp_path, "2026-01-01T00:00:00Z", "d", "h", lists)
    for withdrawn in ((), (Order("A", "m", "withdrawn", "a/m/trades.csv", "0" * 64, 3),)):
        orders.withdrawn = withdrawn
        orders.settle(Order("C", "m", "done", "c/m/trades.csv", "1" * 64, 2))
        body = {
            "instant": orders.instant, "data_sha256": "d", "market_hash": "h", "complete": False,
            "lists": [asdict(orders.lists[book]) for book in "BC"], "withdrawn": [asdict(one) for one in withdrawn],
        }  # fmt: skip
        assert (tmp_path / ORDERS).read_text() == json.dumps(body, indent=1, sort_keys=True) + "\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads what a handle is of from /proc")
def test_every_file_of_a_result_is_flushed_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: flushed.append(os.readlink(f"/proc/self/fd/{handle}")))
        patch.setattr(os, "replace", lambda *_: flushed.append("renamed"))
        write_whole(tmp_path / "b" / "m", {"a.csv": "a\n", "ü.csv": "ü\n"}, {})
    names = [Path(one).name for one in flushed]
    assert set(names[: names.index("renamed")]) == {"a.csv", "ü.csv", MANIFEST, ".m.new"}
