"""Batches: one failure does not stop the rest, a result is whole or absent, the bytes depend on the inputs alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from optihedge.batch.books import read_books, refuse_unread
from optihedge.batch.output import MANIFEST, clear_leftovers, folder_name, is_whole, write_whole
from optihedge.batch.record import figures, money
from optihedge.batch.run import Outcome, exit_code, plan, refuse_future, refuse_stale, run_jobs, write_summary
from optihedge.errors import DataError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import parse_model
from optihedge.market.book import read_book
from optihedge.market.snapshot import Market, read_market

AS_OF = "2016-06-30T20:00:00Z"
INSTANT = "2016-06-30T200000Z"
MODEL = """
description = "Vega within a band at the least cost."
risk = { type = "EwmaRisk", halflife = 63 }
objective = [{ type = "Variance", aversion = 1e-6 }, { type = "SpreadCost" }, { type = "FeeCost" }]
constraints = [{ type = "Neutral", exposure = "EXPOSURE", band = 500.0 }]
"""


def model(name: str, exposure: str = "vega") -> HedgeModel:
    return parse_model(MODEL.replace("EXPOSURE", exposure), name=name)


def scaled_books(folder: Path, count: int) -> dict[str, pd.Series]:
    """Books of the example, each a different multiple of it in whole lots."""
    book = read_book(folder / "book.csv")
    return {f"B{i:02d}": (book * (0.5 + 0.1 * i)).round() for i in range(count)}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_failing_book_is_named_and_the_others_are_whole(example_folder: Path, tmp_path: Path) -> None:
    books = scaled_books(example_folder, 4)
    books["B01"] = pd.Series({"NOSUCH": 5.0})
    books["B03"] = books["B03"] * float("nan")
    outcomes = run_jobs(plan(example_folder, books, {"vega": model("vega")}, tmp_path, as_of=AS_OF))
    assert [o.status for o in outcomes] == ["done", "failed", "done", "failed"]
    assert "NOSUCH is not in the market" in outcomes[1].note and "not finite" in outcomes[3].note
    assert exit_code(outcomes) == 1
    for name in ("B00", "B02"):
        folder = tmp_path / INSTANT / name / "vega"
        assert is_whole(folder) and (folder / "trades.csv").is_file()
    assert not (tmp_path / INSTANT / "B01").exists()


def test_workers_and_order_do_not_change_a_byte(example_folder: Path, tmp_path: Path) -> None:
    books = scaled_books(example_folder, 3)
    models = {"vega": model("vega")}
    for name, workers, jobs in (("one", 1, list(books)), ("two", 2, list(books)[::-1])):
        ordered = {book: books[book] for book in jobs}
        run_jobs(plan(example_folder, ordered, models, tmp_path / name, as_of=AS_OF), workers=workers)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_several_models_are_a_comparison_unless_one_is_sent(example_folder: Path, tmp_path: Path) -> None:
    books = {"main": read_book(example_folder / "book.csv")}
    models = {"vega": model("vega"), "gamma": model("gamma", "gamma")}
    run_jobs(plan(example_folder, books, models, tmp_path / "none", as_of=AS_OF))
    run_jobs(plan(example_folder, books, models, tmp_path / "sent", as_of=AS_OF, send="gamma"))
    lists = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.csv") if p.stem in ("trades", "ALTERNATIVE")}
    base = f"{INSTANT}/main"
    assert lists == {
        f"none/{base}/vega/ALTERNATIVE.csv", f"none/{base}/gamma/ALTERNATIVE.csv",
        f"sent/{base}/vega/ALTERNATIVE.csv", f"sent/{base}/gamma/trades.csv",
    }  # fmt: skip
    with pytest.raises(SpecError, match=r"--send delta: not among the models of this run \(vega, gamma\)"):
        plan(example_folder, books, models, tmp_path, send="delta")


def test_a_model_that_does_not_apply_is_skipped_with_the_reason(example_folder: Path, tmp_path: Path) -> None:
    books = {"main": read_book(example_folder / "book.csv")}
    models = {"vega": model("vega"), "liquidity": model("liquidity", "open_interest")}
    outcomes = run_jobs(plan(example_folder, books, models, tmp_path, as_of=AS_OF))
    assert [o.status for o in outcomes] == ["done", "skipped"]
    assert "no exposure 'open_interest'" in outcomes[1].note
    assert exit_code(outcomes) == 0
    assert exit_code(outcomes[1:]) == 1, "a book that no model serves is not done"


def test_a_held_list_is_no_trade_list(example_folder: Path, tmp_path: Path) -> None:
    books = {"main": read_book(example_folder / "book.csv")}
    held = parse_model(MODEL.replace("EXPOSURE", "vega") + "checks = { total_notional = 1.0 }\n", name="held")
    outcomes = run_jobs(plan(example_folder, books, {"held": held}, tmp_path, as_of=AS_OF))
    folder = tmp_path / INSTANT / "main" / "held"
    assert outcomes[0].status == "held" and "total_notional" in outcomes[0].note
    assert (folder / "held.csv").is_file() and not (folder / "trades.csv").exists()
    assert "above total_notional" in json.loads((folder / "result.json").read_text())["reasons"][0]
    assert exit_code(outcomes) == 1


def test_the_note_of_a_held_list_says_each_limit_once(example_folder: Path, tmp_path: Path) -> None:
    books = {"main": read_book(example_folder / "book.csv")}
    tight = parse_model(MODEL.replace("EXPOSURE", "vega") + "checks = { volume = 1e-6 }\n", name="tight")
    outcome = run_jobs(plan(example_folder, books, {"tight": tight}, tmp_path, as_of=AS_OF))[0]
    assert outcome.status == "held" and "no hedge meets the limits with" in outcome.note
    limited = [part.split(" limited to")[0].split()[-1] for part in outcome.note.split("; ")]
    assert len(limited) == len(set(limited)) > 0


def test_a_failing_run_takes_an_earlier_list_away(example_folder: Path, tmp_path: Path) -> None:
    book = read_book(example_folder / "book.csv")
    for quantities, there in ((book, True), (book * float("nan"), False)):
        run_jobs(plan(example_folder, {"main": quantities}, {"vega": model("vega")}, tmp_path, as_of=AS_OF))
        assert (tmp_path / INSTANT / "main" / "vega" / "trades.csv").exists() == there


def test_an_internal_error_keeps_its_trace_and_its_own_exit_code(example_folder: Path, tmp_path: Path) -> None:
    class Broken:
        name = "broken"
        checks = lots = None

        def hedge(self, market: object, book: object) -> None:
            raise ZeroDivisionError("a bug")

    books = scaled_books(example_folder, 1)
    outcomes = run_jobs(plan(example_folder, books, {"broken": Broken()}, tmp_path, as_of=AS_OF))  # type: ignore[dict-item]
    assert outcomes[0].status == "failed" and "a bug" in outcomes[0].note and "ZeroDivisionError" in outcomes[0].trace
    assert exit_code(outcomes) == 6


class Dying:
    """A model that takes its worker process with it."""

    name = "dying"
    checks = lots = None

    def hedge(self, market: object, book: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_takes_no_other_book_with_it(example_folder: Path, tmp_path: Path) -> None:
    books = scaled_books(example_folder, 2)
    models = {"vega": model("vega"), "dying": Dying()}
    outcomes = run_jobs(plan(example_folder, books, models, tmp_path, as_of=AS_OF), workers=2)  # type: ignore[arg-type]
    assert [(o.model, o.status) for o in outcomes] == [
        ("vega", "done"), ("dying", "failed"), ("vega", "done"), ("dying", "failed"),
    ]  # fmt: skip
    assert "worker process died" in outcomes[1].note


def test_the_summary_is_sorted_and_says_what_became_of_each(tmp_path: Path) -> None:
    shown = {"trades": 2, "cost": 1.23e-5 / 7, "penalties": 3e-20}
    outcomes = [
        Outcome("b", "m", "failed", "why"),
        Outcome("a", "m", "done", list_name="trades.csv", figures=shown),
    ]
    table = write_summary(tmp_path, outcomes)
    assert table["book"].tolist() == ["a", "b"]
    assert table["penalties"].iloc[0] == 0.0, "rounding is no figure"
    assert table["cost"].iloc[0] == 1.7571429e-6, "a coin's figures keep their digits"
    rows = json.loads((tmp_path / "summary.json").read_text())
    assert rows[0]["list"] == "trades.csv" and rows[1]["note"] == "why"
    assert (tmp_path / "summary.csv").read_text().startswith("book,model,status,list,trades,")


def test_books_of_one_file_are_read_one_by_one(example_folder: Path, tmp_path: Path) -> None:
    market = read_market(example_folder)
    path = tmp_path / "books.csv"
    path.write_text("book,instrument,quantity\nA,AAPL,10\nB,AAPL,ten\nC,AAPL,1\nC,AAPL,2\nD,ES-SEP16,-1\nE,AAPLE,1\n")
    books, failed = read_books([path], market)
    assert {name: series.to_dict() for name, series in books.items()} == {"A": {"AAPL": 10.0}, "D": {"ES-SEP16": -1.0}}
    assert "'ten'" in failed["B"] and "appears twice" in failed["C"] and "did you mean AAPL?" in failed["E"]
    (tmp_path / "torn.csv").write_text("instrument,quantity\nAAPL,1,2\n")
    books, failed = read_books([tmp_path / "torn.csv", tmp_path], market)
    assert "torn.csv row 2: 3 fields where the header has 2" in failed["torn"]
    assert "is a folder; give the file" in failed[tmp_path.stem]
    with pytest.raises(DataError, match=r"torn\.csv row 2"):
        refuse_unread(books, failed)


def test_stale_quotes_are_refused_by_the_clock(example_folder: Path) -> None:
    market = read_market(example_folder)
    refuse_stale(market, pd.Timestamp("2016-07-01T12:00:00Z"), {})
    wanted = r"18 of 18 quotes in play are older .*\(2016-06-30 20:00 UTC\), .* and 13 more; .* --as-of"
    with pytest.raises(DataError, match=wanted):
        refuse_stale(market, pd.Timestamp("2016-07-02T12:00:00Z"), {})


def test_an_old_quote_of_a_held_stock_is_refused_though_the_hedges_are_fresh(example_folder: Path) -> None:
    market = read_market(example_folder)
    quotes = market.quotes.assign(time=market.as_of)
    quotes.loc["AAPL", "time"] -= pd.Timedelta("3D")
    fields = {"drivers": market.drivers, "history": market.history, "as_of": market.as_of}
    dated = Market(market.instruments, quotes, "USD", **fields)
    now = market.as_of + pd.Timedelta("1h")
    one = {"a": pd.Series({"MSFT": 1.0, "AAPL": 0.0})}
    two = one | {"b": pd.Series({"AAPL": -1.0})}
    refuse_stale(dated, now, one)
    with pytest.raises(DataError, match=r"1 of 20 quotes in play .* now: AAPL \(2016-06-27 20:00 UTC\); renew"):
        refuse_stale(dated, now, two)
    frozen = Market(market.instruments, quotes, "USD", on_missing="freeze", max_age="1d", **fields)
    refuse_stale(frozen, now, two)


def test_an_as_of_after_now_is_refused_and_todays_date_is_not(example_folder: Path) -> None:
    refuse_future(read_market(example_folder), pd.Timestamp(AS_OF))
    refuse_future(read_market(example_folder, as_of="2016-06-30"), pd.Timestamp(AS_OF))
    with pytest.raises(DataError, match="as_of 2016-06-30 20:00 UTC is after now"):
        refuse_future(read_market(example_folder), pd.Timestamp("2016-06-30T19:59:00Z"))


# ---- what lies on disk ---------------------------------------------------------------------------------------------


def test_a_result_is_replaced_whole_and_left_alone_when_equal(tmp_path: Path) -> None:
    folder = tmp_path / "book" / "model"
    write_whole(folder, {"a.csv": "1\n", "b.csv": "2\n"}, {"status": "done"})
    assert is_whole(folder)
    before = (folder / "a.csv").stat().st_mtime_ns
    write_whole(folder, {"a.csv": "1\n", "b.csv": "2\n"}, {"status": "done"})
    assert (folder / "a.csv").stat().st_mtime_ns == before
    write_whole(folder, {"a.csv": "3\n"}, {"status": "held"})
    assert bytes_of(folder).keys() == {"a.csv", MANIFEST} and (folder / "a.csv").read_text() == "3\n"
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_torn_result_is_not_whole_and_leftovers_are_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_whole(folder, {"a.csv": "12345\n"}, {})
    (folder / "a.csv").write_text("123")
    assert not is_whole(folder)
    write_whole(folder, {"a.csv": "12345\n"}, {})
    assert is_whole(folder)
    os.replace(folder, tmp_path / ".model.old")  # as if killed between the two renames
    (tmp_path / ".model.new").mkdir()
    clear_leftovers(folder)
    assert is_whole(folder) and [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("label", ["../../etc", "..", "a/b", "Ü 1", "", ".hidden", "manifest\n"])
def test_a_books_name_never_leaves_the_output_folder(label: str, tmp_path: Path) -> None:
    made = folder_name(label)
    assert (tmp_path / made).resolve().parent == tmp_path.resolve() and not made.startswith(".")


def test_a_book_of_a_very_long_name_is_hedged(example_folder: Path, tmp_path: Path) -> None:
    long = "desk" * 75
    assert len(folder_name(long)) < 100 and folder_name(long) != folder_name(long + "s")
    books = {long: read_book(example_folder / "book.csv")}
    outcomes = run_jobs(plan(example_folder, books, {"vega": model("vega")}, tmp_path, as_of=AS_OF))
    assert [o.status for o in outcomes] == ["done"], outcomes[0].note


def test_an_old_result_that_cannot_be_taken_away_stops_nothing(
    example_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(folder: Path) -> None:
        raise PermissionError(f"{folder} is in use")

    monkeypatch.setattr("optihedge.batch.run.discard", stuck)
    books = {"bad": pd.Series({"NOSUCH": 5.0}), "good": read_book(example_folder / "book.csv")}
    outcomes = run_jobs(plan(example_folder, books, {"vega": model("vega")}, tmp_path, as_of=AS_OF))
    assert [o.status for o in outcomes] == ["failed", "done"]
    assert "NOSUCH" in outcomes[0].note and "earlier result is still there" in outcomes[0].note


def test_penalties_of_soft_limits_are_no_cost(example_folder: Path, tmp_path: Path) -> None:
    text = MODEL.replace("EXPOSURE", "vega").replace("band = 500.0", "band = 0.0, soft = 1e-3")
    hedge = parse_model(text, name="soft").hedge(read_market(example_folder), read_book(example_folder / "book.csv"))
    shown = figures(hedge)
    assert shown["penalties"] == hedge.costs["penalties"] > 0
    assert shown["cost"] == pytest.approx(hedge.costs.drop(["penalties", "total"]).sum())


def test_amounts_of_a_proof_keep_their_digits_in_coin() -> None:
    assert (money(39_760.8712, 39_760.8712), money(0.6512, 39_760.8712)) == ("39,760.87", "0.65")
    assert (money(0.00123456789, 0.0012), money(0.0, 0.0)) == ("0.00123457", "0.00")


def test_two_books_never_share_a_folder() -> None:
    assert folder_name("desk-1.A") == "desk-1.A"
    assert len({folder_name(label) for label in ("a/b", "a_b", "a b", "a:b")}) == 4


# ---- the long evidence ---------------------------------------------------------------------------------------------

_BROKEN = {"B07": "NOSUCH,5\n", "B19": "AAPL,nan\n", "B33": "AAPL,12,7\n", "B51": "AAPL,1\nAAPL,2\n"}


def write_sixty(example: Path, folder: Path) -> list[Path]:
    """Sixty book files, four of them broken in four ways."""
    paths = []
    for name, quantities in scaled_books(example, 60).items():
        path = folder / f"{name}.csv"
        body = _BROKEN.get(name, "".join(f"{i},{q:g}\n" for i, q in quantities.items()))
        path.write_text("instrument,quantity\n" + body)
        paths.append(path)
    return paths


def command(example: Path, books: list[Path], models: list[Path | str], out: Path, workers: int = 2) -> list[str]:
    given = [part for path in books for part in ("--book", str(path))]
    return [sys.executable, "-m", "optihedge.cli", "run", *map(str, models), "--data", str(example), "--out", str(out),
            "--as-of", AS_OF, "--workers", str(workers), *given]  # fmt: skip


@pytest.mark.slow
def test_sixty_books_under_every_model_four_broken_give_fifty_six_whole(example_folder: Path, tmp_path: Path) -> None:
    paths = write_sixty(example_folder, tmp_path)
    models = ["beta_hedge", "delta_neutral", "market_neutral", "optimal_hedge", "quantitative"]
    done = subprocess.run(command(example_folder, paths, models, tmp_path / "out"), capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    summary = pd.read_csv(tmp_path / "out" / INSTANT / "summary.csv")
    assert len(summary) == 300
    by_book = summary.groupby("book")["status"].agg(set)
    assert set(by_book.index[by_book == {"failed"}]) == set(_BROKEN)
    whole = by_book.drop(list(_BROKEN))
    assert all(statuses <= {"done", "skipped"} and "done" in statuses for statuses in whole) and len(whole) == 56
    for row in summary[summary["status"] == "done"].itertuples():
        assert is_whole(tmp_path / "out" / INSTANT / row.book / row.model)
    for name in _BROKEN:
        assert summary.loc[summary["book"] == name, "note"].notna().all()


@pytest.mark.slow
def test_killed_at_thirty_random_points_and_run_again_nothing_is_lost_or_torn(
    example_folder: Path, tmp_path: Path
) -> None:
    books = []
    for name, quantities in scaled_books(example_folder, 8).items():
        path = tmp_path / f"{name}.csv"
        path.write_text("instrument,quantity\n" + "".join(f"{i},{q:g}\n" for i, q in quantities.items()))
        books.append(path)
    files = []
    for name in ("vega", "gamma"):
        files.append(tmp_path / f"{name}.toml")
        files[-1].write_text(MODEL.replace("EXPOSURE", name))
    begin = time.monotonic()
    subprocess.run(command(example_folder, books, files, tmp_path / "calm", 1), check=True, capture_output=True)
    seconds = time.monotonic() - begin
    calm = bytes_of(tmp_path / "calm")
    generator = random.Random(0)
    interrupted = 0
    for attempt in range(90):  # a run that ended before its kill does not count
        if interrupted == 30:
            break
        out = tmp_path / f"killed{attempt % 3}"  # some attempts meet what an earlier one left
        process = subprocess.Popen(command(example_folder, books, files, out, 1), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        time.sleep(generator.uniform(0.1, 0.9) * seconds)
        process.kill()
        interrupted += process.wait() == -signal.SIGKILL
        for folder in out.glob(f"{INSTANT}/*/*"):
            if not folder.name.startswith(".") and folder.is_dir():
                assert is_whole(folder), f"{folder} is torn"
    assert interrupted == 30
    for attempt in range(3):
        out = tmp_path / f"killed{attempt}"
        subprocess.run(command(example_folder, books, files, out, 1), check=True, capture_output=True)
        assert bytes_of(out) == calm
