"""Batches: one failure does not stop the rest, a result is whole or absent, the bytes depend on the inputs alone."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from optihedge.batch.books import read_books, refuse_unread
from optihedge.batch.job import Outcome, hedge_one, plan
from optihedge.batch.output import discard, folder_name, is_whole, result_folder
from optihedge.batch.record import figures, money
from optihedge.batch.refusals import refuse_future, refuse_stale
from optihedge.batch.run import Ended, run_batch
from optihedge.batch.stop import Stop
from optihedge.batch.summary import exit_code, write_summary
from optihedge.errors import DataError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import parse_model
from optihedge.lock import LOCK, Locked, locked
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market
from optihedge.trades.tradelist import trade_list

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


@pytest.fixture(scope="module")
def market(example_folder: Path) -> Market:
    return read_market(example_folder, as_of=AS_OF)


@pytest.fixture(scope="module")
def book(example_folder: Path) -> pd.Series:
    found = read_book(example_folder / "book.csv")
    assert isinstance(found, pd.Series)
    return found


def statuses(ended: Ended) -> dict[tuple[str, str], str]:
    return {(o.book, o.model): o.status for o in ended.outcomes}


def notes(ended: Ended) -> dict[str, str]:
    return {o.book: o.note for o in ended.outcomes}


def orders_of(out: Path) -> dict:
    return json.loads((out / INSTANT / "orders.json").read_text())


def test_a_failing_book_is_named_and_the_others_are_whole(market: Market, example_folder: Path, tmp_path: Path) -> None:
    books = scaled_books(example_folder, 4)
    books["B01"] = pd.Series({"NOSUCH": 5.0})
    books["B03"] = books["B03"] * float("nan")
    ended = run_batch(market, books, {"vega": model("vega")}, tmp_path)
    assert list(statuses(ended).values()) == ["done", "failed", "done", "failed"]
    assert "NOSUCH is not in the market" in notes(ended)["B01"] and "not finite" in notes(ended)["B03"]
    assert ended.exit_code == 1
    for name in ("B00", "B02"):
        folder = result_folder(tmp_path, market.as_of, name, "vega")
        assert is_whole(folder) and (folder / "trades.csv").is_file()
    left = result_folder(tmp_path, market.as_of, "B01", "vega")
    assert sorted(path.name for path in left.iterdir()) == ["manifest.json", "report.html"], "a page and no list"
    assert "NOSUCH is not in the market" in (left / "report.html").read_text()


def test_workers_and_order_do_not_change_a_byte(market: Market, example_folder: Path, tmp_path: Path) -> None:
    books, models = scaled_books(example_folder, 3), {"vega": model("vega")}
    run_batch(market, books, models, tmp_path / "one")
    backwards = dict(reversed(books.items()))
    run_batch(market, backwards, models, tmp_path / "two", workers=2, deadline=600.0)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_several_models_are_a_comparison_unless_one_is_sent(market: Market, book: pd.Series, tmp_path: Path) -> None:
    models = {"vega": model("vega"), "gamma": model("gamma", "gamma")}
    compared = run_batch(market, {"main": book}, models, tmp_path / "none")
    sent = run_batch(market, {"main": book}, models, tmp_path / "sent", send="gamma")
    lists = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.csv") if p.stem in ("trades", "ALTERNATIVE")}
    base = f"{INSTANT}/main"
    assert lists == {
        f"none/{base}/vega/ALTERNATIVE.csv", f"none/{base}/gamma/ALTERNATIVE.csv",
        f"sent/{base}/vega/ALTERNATIVE.csv", f"sent/{base}/gamma/trades.csv",
    }  # fmt: skip
    assert (compared.exit_code, sent.exit_code) == (0, 0)
    assert orders_of(tmp_path / "none")["lists"] == []
    with pytest.raises(SpecError, match=r"--send delta: not among the models of this run \(vega, gamma\)"):
        plan({"main": book}, models, send="delta")


def test_a_model_that_does_not_apply_is_skipped_with_the_reason(
    market: Market, book: pd.Series, tmp_path: Path
) -> None:
    models = {"vega": model("vega"), "liquidity": model("liquidity", "open_interest")}
    ended = run_batch(market, {"main": book}, models, tmp_path)
    assert list(statuses(ended).values()) == ["done", "skipped"]
    assert "no exposure 'open_interest'" in ended.outcomes[1].note
    assert ended.exit_code == 0, "an alternative that does not apply is no promise"
    assert exit_code(ended.outcomes[1:], []) == 1, "a book that no model serves is not done"


def test_a_model_to_send_that_was_not_done_is_no_success(market: Market, book: pd.Series, tmp_path: Path) -> None:
    models = {"vega": model("vega"), "liquidity": model("liquidity", "open_interest")}
    ended = run_batch(market, {"main": book}, models, tmp_path, send="liquidity")
    assert list(statuses(ended).values()) == ["done", "skipped"] and ended.exit_code == 1
    assert not list(tmp_path.rglob("trades.csv"))
    (promised,) = orders_of(tmp_path)["lists"]
    assert (promised["model"], promised["status"], promised["path"]) == ("liquidity", "skipped", None)


def test_a_held_list_is_no_trade_list(market: Market, book: pd.Series, tmp_path: Path) -> None:
    held = parse_model(MODEL.replace("EXPOSURE", "vega") + "checks = { total_notional = 1.0 }\n", name="held")
    ended = run_batch(market, {"main": book}, {"held": held}, tmp_path)
    folder = tmp_path / INSTANT / "main" / "held"
    assert statuses(ended) == {("main", "held"): "held"} and "total_notional" in notes(ended)["main"]
    assert (folder / "held.csv").is_file() and not (folder / "trades.csv").exists()
    assert "above total_notional" in json.loads((folder / "result.json").read_text())["reasons"][0]
    assert ended.exit_code == 1
    assert [(o["status"], o["path"]) for o in orders_of(tmp_path)["lists"]] == [("held", None)]


def test_the_note_of_a_held_list_says_each_limit_once(market: Market, book: pd.Series, tmp_path: Path) -> None:
    tight = parse_model(MODEL.replace("EXPOSURE", "vega") + "checks = { volume = 1e-6 }\n", name="tight")
    ended = run_batch(market, {"main": book}, {"tight": tight}, tmp_path)
    (outcome,) = ended.outcomes
    assert outcome.status == "held" and "no hedge meets the limits with" in outcome.note
    assert "\n" not in outcome.note and "one way to make it feasible is " in outcome.note and ";;" not in outcome.note
    limited = [part.split(" limited to")[0].split()[-1] for part in outcome.note.split("; ") if " limited to" in part]
    assert len(limited) == len(set(limited)) > 0


class Fake:
    """A model that does what a test needs in place of hedging."""

    checks = lots = None

    def __init__(self, name: str) -> None:
        self.name = name

    def hedge(self, market: Market, book: pd.Series, *, deadline: float | None = None) -> None:
        if self.name == "broken":
            raise ZeroDivisionError("a bug")
        if self.name == "dying":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(3600)


def fake(name: str) -> HedgeModel:
    return Fake(name)  # type: ignore[return-value]


def test_an_internal_error_keeps_its_trace_and_its_own_exit_code(
    market: Market, book: pd.Series, tmp_path: Path
) -> None:
    ended = run_batch(market, {"main": book}, {"broken": fake("broken")}, tmp_path)
    (outcome,) = ended.outcomes
    assert outcome.status == "failed" and "a bug" in outcome.note and "ZeroDivisionError" in outcome.trace
    assert ended.exit_code == 6


def test_workers_that_die_or_hang_take_no_other_book_with_them(
    market: Market, book: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optihedge.batch.work.GRACE", (1.0, 0.5))
    models = {"vega": model("vega"), "dying": fake("dying"), "hanging": fake("hanging")}
    ended = run_batch(market, {"main": book}, models, tmp_path, workers=2, send="vega", deadline=5.0)
    found = {o.model: o for o in ended.outcomes}
    assert [found[name].status for name in models] == ["done", "failed", "failed"]
    assert "worker process died twice" in found["dying"].note
    assert "still at work after its deadline of 5 s" in found["hanging"].note
    assert ended.exit_code == 0, "the promised list stands"


# ---- one run, one picture ------------------------------------------------------------------------------------------


def test_the_index_names_each_list_with_its_bytes(market: Market, book: pd.Series, tmp_path: Path) -> None:
    ended = run_batch(market, {"main": book}, {"vega": model("vega")}, tmp_path, data="d1")
    orders = orders_of(tmp_path)
    (order,) = orders["lists"]
    listed = tmp_path / INSTANT / order["path"]
    assert listed == tmp_path / INSTANT / "main" / "vega" / "trades.csv"
    assert order["sha256"] == hashlib.sha256(listed.read_bytes()).hexdigest()
    assert order["lines"] == len(pd.read_csv(listed)) > 0
    assert (order["book"], order["model"], order["status"]) == ("main", "vega", "done")
    assert (orders["instant"], orders["complete"], orders["withdrawn"]) == (AS_OF, True, [])
    assert (orders["data_sha256"], orders["market_hash"]) == ("d1", market.hash)
    status = json.loads((tmp_path / "STATUS.json").read_text())
    assert status == {"status": "finished", "instant": AS_OF, "exit_code": 0, "why": ""} and ended.exit_code == 0


def test_a_later_run_withdraws_every_list_of_its_instant_and_says_so_first(
    market: Market, book: pd.Series, tmp_path: Path
) -> None:
    run_batch(market, {"main": book, "other": book * 2}, {"vega": model("vega")}, tmp_path)
    before = {order["book"]: order for order in orders_of(tmp_path)["lists"]}
    heard: list[tuple[str, int]] = []
    ended = run_batch(
        market, {"main": book}, {"gamma": model("gamma", "gamma")}, tmp_path,
        say=lambda text: heard.append((text, len(list(tmp_path.rglob("trades.csv"))))),
    )  # fmt: skip
    (said,) = heard
    assert said[1] == 2, "it is said before anything is taken away"
    assert all(f"{name} by vega ({before[name]['lines']} lines" in said[0] for name in before)
    assert [p.parent.name for p in tmp_path.rglob("trades.csv")] == ["gamma"]
    orders = orders_of(tmp_path)
    assert [(o["book"], o["model"], o["sha256"]) for o in orders["withdrawn"]] == [
        (name, "vega", before[name]["sha256"]) for name in ("main", "other")
    ]
    rows = ended.table.set_index(["book", "model"])["status"]
    assert rows.to_dict() == {("main", "gamma"): "done", ("main", "vega"): "withdrawn", ("other", "vega"): "withdrawn"}
    assert ended.exit_code == 0


def test_a_list_leaves_the_index_before_it_leaves_the_folder(
    market: Market, book: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_batch(market, {"main": book}, {"vega": model("vega")}, tmp_path)
    seen = []

    def watched(folder: Path) -> None:
        seen.append([order["status"] for order in orders_of(tmp_path)["lists"]])
        discard(folder)

    monkeypatch.setattr("optihedge.batch.withdraw.discard", watched)
    run_batch(market, {"main": book}, {"vega": model("vega")}, tmp_path)
    assert seen == [["waiting"]]


def test_a_list_is_in_its_folder_before_it_is_in_the_index(
    market: Market, book: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit("killed here")

    monkeypatch.setattr("optihedge.batch.run.write_whole", killed)
    with pytest.raises(SystemExit):
        run_batch(market, {"main": book}, {"vega": model("vega")}, tmp_path)
    assert [order["status"] for order in orders_of(tmp_path)["lists"]] == ["waiting"]


def test_a_killed_run_leaves_no_status_of_an_earlier_one(
    market: Market, book: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit("killed here")

    run_batch(market, {"main": book}, {"vega": model("vega")}, tmp_path)
    assert json.loads((tmp_path / "STATUS.json").read_text())["status"] == "finished"
    monkeypatch.setattr("optihedge.batch.run.write_whole", killed)
    with pytest.raises(SystemExit):
        run_batch(market, {"main": book}, {"vega": model("vega")}, tmp_path)
    assert not (tmp_path / "STATUS.json").exists()


def test_a_deadline_reaches_the_solvers(market: Market, book: pd.Series) -> None:
    (job,) = plan({"main": book}, {"vega": model("vega")}, deadline=1e-9)
    assert hedge_one(market, job).outcome.status == "failed" and "deadline" in hedge_one(market, job).outcome.note


def test_the_same_run_again_leaves_the_same_bytes_and_withdraws_nothing_for_good(
    market: Market, book: pd.Series, tmp_path: Path
) -> None:
    run_batch(market, {"main": book}, {"vega": model("vega")}, tmp_path)
    first = bytes_of(tmp_path)
    run_batch(market, {"main": book}, {"vega": model("vega")}, tmp_path)
    assert bytes_of(tmp_path) == first


def test_a_failing_run_takes_an_earlier_list_away(market: Market, book: pd.Series, tmp_path: Path) -> None:
    for quantities, there in ((book, True), (book * float("nan"), False)):
        run_batch(market, {"main": quantities}, {"vega": model("vega")}, tmp_path)
        assert (tmp_path / INSTANT / "main" / "vega" / "trades.csv").exists() == there
    assert [o["status"] for o in orders_of(tmp_path)["withdrawn"]] == ["withdrawn"]


def test_an_old_result_that_cannot_be_taken_away_fails_its_book_alone(
    market: Market, book: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books, models = {"main": book, "other": book}, {"vega": model("vega")}
    run_batch(market, books, models, tmp_path)

    def stuck(folder: Path) -> None:
        if folder.parent.name == "main":
            raise PermissionError(f"{folder} is in use")

    monkeypatch.setattr("optihedge.batch.withdraw.discard", stuck)
    ended = run_batch(market, books, models, tmp_path)
    assert statuses(ended) == {("main", "vega"): "failed", ("other", "vega"): "done"} and ended.exit_code == 1
    assert "an earlier result of it is still there" in notes(ended)["main"]
    assert [(o["book"], o["status"]) for o in orders_of(tmp_path)["lists"]] == [("main", "failed"), ("other", "done")]
    ended = run_batch(market, {"other": book}, models, tmp_path)
    assert ended.exit_code == 1, "a list that should be gone is no success, whosever it is"


def test_a_result_that_was_changed_meanwhile_is_not_done(market: Market, book: pd.Series, tmp_path: Path) -> None:
    books = {"a": book, "b": book, "c": book}
    folder = tmp_path / INSTANT

    def meddle() -> None:
        if (folder / "b").is_dir():
            (folder / "a" / "vega" / "trades.csv").write_text("torn")
            (folder / "b" / "mine").mkdir(exist_ok=True)
            (folder / "b" / "mine" / "trades.csv").write_text("a second list")

    ended = run_batch(market, books, {"vega": model("vega")}, tmp_path, each=meddle)
    assert statuses(ended) == {("a", "vega"): "failed", ("b", "vega"): "failed", ("c", "vega"): "done"}
    assert ended.exit_code == 1 and "changed after" in notes(ended)["a"]
    assert [o["status"] for o in orders_of(tmp_path)["lists"]] == ["failed", "failed", "done"]


def test_a_result_that_cannot_be_written_is_named_and_the_others_are(
    market: Market, book: pd.Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optihedge.batch import run

    def full(folder: Path, *args: object) -> None:
        if folder.parent.name == "a":
            raise OSError(28, "No space left on device", str(folder))
        write(folder, *args)  # type: ignore[arg-type]

    write = run.write_whole
    monkeypatch.setattr(run, "write_whole", full)
    ended = run_batch(market, {"a": book, "b": book}, {"vega": model("vega")}, tmp_path)
    assert statuses(ended) == {("a", "vega"): "failed", ("b", "vega"): "done"} and ended.exit_code == 1
    assert "No space left on device" in notes(ended)["a"]


def test_a_book_without_rows_is_held_unless_allowed(market: Market, book: pd.Series, tmp_path: Path) -> None:
    books = {"empty": book.iloc[:0], "full": book}
    ended = run_batch(market, books, {"vega": model("vega")}, tmp_path)
    assert statuses(ended) == {("empty", "vega"): "held", ("full", "vega"): "done"} and ended.exit_code == 1
    assert "--allow-empty" in notes(ended)["empty"]
    allowed = run_batch(market, books, {"vega": model("vega")}, tmp_path, allow_empty=True)
    assert statuses(allowed) == {("empty", "vega"): "done", ("full", "vega"): "done"} and allowed.exit_code == 0


def test_books_whose_names_differ_by_case_or_spelling_have_a_list_each(
    market: Market, book: pd.Series, tmp_path: Path
) -> None:
    names = ["desk", "Desk", "DESK", "café", "cafe\u0301"]
    ended = run_batch(market, dict.fromkeys(names, book), {"vega": model("vega")}, tmp_path)
    assert set(statuses(ended).values()) == {"done"}
    folders = {order["path"].split("/")[0] for order in orders_of(tmp_path)["lists"]}
    assert len({unicodedata.normalize("NFC", folder).casefold() for folder in folders}) == len(names)


def test_a_run_whose_lock_was_taken_away_writes_no_more(market: Market, book: pd.Series, tmp_path: Path) -> None:
    def meddle() -> None:
        (tmp_path / INSTANT / LOCK).unlink(missing_ok=True)

    with pytest.raises(Locked, match="was taken away while the run went on"):
        run_batch(market, {"a": book, "b": book}, {"vega": model("vega")}, tmp_path, each=meddle)
    assert [p.parent.parent.name for p in tmp_path.rglob("trades.csv")] == ["a"]


def test_another_run_at_the_same_instant_is_refused_and_changes_nothing(
    market: Market, book: pd.Series, tmp_path: Path
) -> None:
    models = {"vega": model("vega")}
    run_batch(market, {"main": book}, models, tmp_path)
    before = bytes_of(tmp_path)
    held = rf"another run \(process {os.getpid()}\) writes to .*{INSTANT}; wait"
    with locked(tmp_path / INSTANT), pytest.raises(Locked, match=held):
        run_batch(market, {"main": book}, models, tmp_path)
    assert bytes_of(tmp_path) == before


def test_a_run_that_is_stopped_says_what_became_of_each_book(market: Market, book: pd.Series, tmp_path: Path) -> None:
    with Stop() as stop:
        ended = run_batch(
            market, {"a": book, "b": book}, {"vega": model("vega")}, tmp_path, stop=stop,
            each=lambda: os.kill(os.getpid(), signal.SIGTERM),
        )  # fmt: skip
    assert statuses(ended) == {("a", "vega"): "done", ("b", "vega"): "failed"} and ended.exit_code == 143
    assert "stopped by SIGTERM" in notes(ended)["b"]
    summary = pd.read_csv(tmp_path / INSTANT / "summary.csv").set_index("book")["status"]
    assert summary.to_dict() == {"a": "done", "b": "failed"}
    assert [o["status"] for o in orders_of(tmp_path)["lists"]] == ["done", "failed"]
    assert not orders_of(tmp_path)["complete"]
    assert json.loads((tmp_path / "STATUS.json").read_text())["exit_code"] == 143


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
    wanted = r"all quotes in play are older .*: the newest of 2016-06-30 20:00 UTC; .* --as-of 2016-06-30T20:00:00Z"
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


def test_a_book_of_a_very_long_name_is_hedged(market: Market, book: pd.Series, tmp_path: Path) -> None:
    ended = run_batch(market, {"desk" * 75: book}, {"vega": model("vega")}, tmp_path)
    assert ended.exit_code == 0, ended.outcomes[0].note


def test_penalties_of_soft_limits_are_no_cost(example_folder: Path, tmp_path: Path) -> None:
    text = MODEL.replace("EXPOSURE", "vega").replace("band = 500.0", "band = 0.0, soft = 1e-3")
    hedge = parse_model(text, name="soft").hedge(read_market(example_folder), read_book(example_folder / "book.csv"))
    listed = trade_list(hedge)
    shown = figures(listed)
    assert shown["penalties"] == listed.hedge.charges["penalties"] > 0
    assert shown["cost"] == pytest.approx(listed.costs["trading"] + listed.costs["holding"])


def test_amounts_of_a_proof_keep_their_digits_in_coin() -> None:
    assert (money(39_760.8712, 39_760.8712), money(0.6512, 39_760.8712)) == ("39,760.87", "0.65")
    assert (money(0.00123456789, 0.0012), money(0.0, 0.0)) == ("0.00123457", "0.00")


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
    return [sys.executable, "-m", "optihedge", "run", *map(str, models), "--data", str(example), "--out", str(out),
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
        assert is_whole(tmp_path / "out" / INSTANT / folder_name(row.book) / row.model)
    for name in _BROKEN:
        assert summary.loc[summary["book"] == name, "note"].notna().all()
