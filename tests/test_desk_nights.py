"""A desk's nights through its ledger are its backtest, byte for byte; what went wrong on the way is named."""

import hashlib
import json
from dataclasses import replace

import pandas as pd
import pytest
from desk_nights import DESK, desk_in, last_run, one_night, told, write_book
from nights import coin_markets, fundings, path

from optihedge.accounts.fills import fills_frame, reports_frame
from optihedge.accounts.state import Fill, Report, State
from optihedge.backtest.simulate import run_backtest
from optihedge.batch.job import Job, hedge_one
from optihedge.batch.output import result_folder
from optihedge.cli import main
from optihedge.desk.deskfile import read_desk
from optihedge.desk.halt import Halted
from optihedge.desk.importing import import_told
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.desk.ledger.reading import runs_of
from optihedge.desk.night import run_night
from optihedge.desk.outbox import approve, hold, send
from optihedge.desk.replay import replay, verify
from optihedge.errors import DataError, SpecError
from optihedge.lock import Locked, locked
from optihedge.market.events import Event
from optihedge.market.snapshot import Market
from optihedge.step.broker import AtQuote, Delayed, Partial, Reject

BOOK = {"C0": -3.0, "P0": -2.0, "C1": 4.0, "COIN": 2.0}
MODEL = """
description = "Delta within a lot, at the least cost."
objective = [{type = "SpreadCost"}, {type = "FeeCost"}]
constraints = [{type = "Neutral", exposure = "delta", by = "underlying", band = 2000.0}]
universe = {instruments = ["PERP", "LIN"]}
"""
BROKERS = {
    "at quote": AtQuote(), "partial": Partial(0.5), "partly rejected": Reject(0.4),
    "late, partial, rejected": Reject(0.3, Partial(0.6, Delayed())),
}  # fmt: skip


def coin_desk(folder, nights=3, text=DESK, **settings):
    spots = path(nights)
    markets, events = coin_markets(spots), fundings(spots)
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text(MODEL)
    return desk_in(folder, markets, BOOK, events, model="model.toml", text=text, **settings), markets, events


def nights_of(desk, markets, broker):
    before, found = None, []
    for market in markets:
        night = one_night(desk, market, broker, before)
        row = last_run(desk)
        found.append((night.results[0].status, row["sha256"] or "", row["after"]))
        before = market
    return found


def backtest_of(desk, markets, events, broker):
    walk = run_backtest(desk.models["neutral"].model, markets, BOOK, broker=broker, events=events, name="one")
    return [(row.status, row.sha256 if row.lines else "", row.state) for row in walk.steps.itertuples()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Three nights of which half was filled each time."""
    desk, markets, events = coin_desk(tmp_path_factory.mktemp("desk"))
    return desk, markets, events, nights_of(desk, markets, BROKERS["partial"])


def test_nights_are_the_backtest_byte_for_byte(desk):
    desk, markets, events, found = desk
    assert found == backtest_of(desk, markets, events, BROKERS["partial"])
    assert [status for status, _, _ in found] == ["first", "solved", "solved"]


@pytest.mark.slow
@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("skipped", [(), (2, 3)], ids=["every night", "nights skipped"])
def test_nights_are_the_backtest_under_any_fills_and_skipped_nights(broker, skipped, tmp_path):
    desk, markets, events = coin_desk(tmp_path, nights=7)
    kept = [market for number, market in enumerate(markets) if number not in skipped]
    assert nights_of(desk, kept, BROKERS[broker]) == backtest_of(desk, kept, events, BROKERS[broker])
    assert verify(desk).empty


def test_a_run_without_a_desk_is_the_first_night_of_one(tmp_path):
    """The same step over a state in memory: dollars at the venue count, and the list has the same bytes."""
    desk, (market,), _ = coin_desk(tmp_path, 1)
    book = BOOK | {"USD": 2e5, "LIN": 1.0}
    write_book(tmp_path / "one.csv", book)
    night = run_night(desk, as_of=market.as_of, who="ann").results[0]
    job = Job("one", pd.Series(book), "neutral", desk.models["neutral"].model, sent=True, deadline=60.0)
    once = hedge_one(market, job)
    assert night.status == "first" and once.outcome.status == "done"
    assert hashlib.sha256(once.files["trades.csv"].encode()).hexdigest() == last_run(desk)["sha256"]


def test_every_run_replays_to_the_byte_and_the_desk_is_whole(desk):
    desk = desk[0]
    for day in ("20", "21", "22"):
        assert replay(desk, f"one@2026-01-{day}").differences == ()
    assert verify(desk).empty


def test_a_night_leaves_its_open_lots_with_what_each_has_gained(desk):
    made, markets, *_ = desk
    for market in markets:
        folder = result_folder(made.out, market.as_of, "one", "neutral")
        lots, held = pd.read_csv(folder / "lots.csv"), pd.read_csv(folder / "positions.csv")
        by_lot = lots.groupby(["account", "instrument"])[["quantity", "unrealised"]].sum()
        whole = held[held["instrument"] != held["money"]].set_index(["account", "instrument"])
        assert len(by_lot) and by_lot.to_numpy() == pytest.approx(whole.loc[by_lot.index, by_lot.columns].to_numpy())


def test_the_same_night_again_is_known_and_changes_nothing(desk):
    desk, markets = desk[:2]
    before = (desk.path.parent / "ledger.db").stat().st_size, last_run(desk)
    night = run_night(desk, as_of=markets[-1].as_of, who="zoe")
    assert [one.new for one in night.results] == [False] and night.code == 0
    assert last_run(desk) == before[1]


def test_a_list_goes_only_after_another_persons_word(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 2, DESK.replace('"none"', '"another"'))
    run_night(desk, as_of=markets[0].as_of, who="ann")
    sha256 = last_run(desk)["sha256"]
    with pytest.raises(DataError, match="approve it first"):
        send(desk, "one@")
    with pytest.raises(SpecError, match="another person"):
        approve(desk, "one@", sha256, "ann")
    approve(desk, "one@", sha256, "bob")
    hold(desk, "one@", sha256, "ann", "the Fed")
    with pytest.raises(DataError, match="vetoed"):
        send(desk, "one@")
    approve(desk, "one@", sha256, "bob")
    done = send(desk, "one@")
    assert [path.name for path in done.path.parent.iterdir()] == [done.path.name]
    with open_ledger(desk.ledger).read() as connection:
        assert done.path.read_text() == get_text(connection, sha256)
    with pytest.raises(DataError, match="leaves once"):
        send(desk, "one@")
    desk.halt.write_text("venue down")
    for verb in (lambda: send(desk, "one@"), lambda: run_night(desk)):
        with pytest.raises(Halted, match="venue down"):
            verb()


def test_the_night_after_an_unsent_list_begins_as_if_there_had_been_none(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 2, DESK.replace('"Always"', '"Clock"\nevery = "5d"'))
    run_night(desk, as_of=markets[0].as_of)
    first = last_run(desk)
    assert first["list"] == "made"
    night = run_night(desk, as_of=markets[1].as_of)
    assert night.results[0].status == "solved" and night.results[0].lines  # the clock of five days has not begun
    with open_ledger(desk.ledger).read() as connection:
        state = json.loads(get_text(connection, first["unsent"]))
    assert state["orders"] == [] and state["traded"] is None


def test_orders_without_a_final_word_block_the_next_list_or_are_cancelled(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 2)
    one_night(desk, markets[0])
    night = one_night(desk, markets[1])
    assert night.results[0].status == "blocked" and night.code == 1
    other = replace(desk, on_open_orders="cancel")
    assert run_night(other, as_of=markets[1].as_of).results[0].status == "solved"


def test_what_the_client_holds_is_a_transfer_and_a_statement_that_differs_holds(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 2, DESK.replace('"opening"', '"client"'))
    one_night(desk, markets[0])
    told(desk, AtQuote(), *markets)
    write_book(tmp_path / "one.csv", BOOK | {"C1": 5.0})
    one_night(desk, markets[1])
    explained = pd.read_csv(tmp_path / "out" / "2026-01-21T120000Z" / "one" / "neutral" / "explained.csv")
    assert (explained.set_index(["account", "instrument"])["transfer"] != 0).loc["book", "C1"]

    account = tmp_path / "account"
    desk, markets, _ = coin_desk(account, 2, DESK.replace('"opening"', '"account"'))
    one_night(desk, markets[0])
    told(desk, AtQuote(), *markets)
    night = run_night(desk, as_of=markets[1].as_of)
    assert night.results[0].status == "held" and "break: the statement says" in night.results[0].why and night.code == 1
    with open_ledger(desk.ledger).read() as connection:
        held = json.loads(get_text(connection, last_run(desk)["after"]))["positions"]
    total = dict.fromkeys(BOOK, 0.0) | {"COIN": 2.0}
    for lots in held.values():
        for name, some in lots.items():
            total[name] = total.get(name, 0.0) + sum(lot["quantity"] for lot in some)
    write_book(account / "one.csv", {name: q for name, q in total.items() if q})
    assert run_night(desk, as_of=markets[1].as_of).results[0].status == "solved"


def test_a_broken_book_is_named_and_the_others_go_on(tmp_path):
    two = '[books.two]\nmodel = "neutral"\npositions = "two.csv"\n'
    more = DESK + two + two.replace("two", "three")
    (tmp_path / "two.csv").write_text("instrument,quantity\nNOTHING,1\n")
    desk, markets, _ = coin_desk(tmp_path, 1, more)
    night = run_night(desk, as_of=markets[0].as_of)
    assert [one.status for one in night.results] == ["first", "failed", "failed"] and night.code == 1
    assert "NOTHING" in night.results[1].why and "three.csv" in night.results[2].why


def test_a_challenger_is_kept_beside_the_list_that_is_sent_and_never_leaves(tmp_path):
    text = DESK.replace('positions = "one.csv"', 'positions = "one.csv"\nchallengers = ["other"]')
    desk, markets, _ = coin_desk(tmp_path, 1, text.replace("[models]", '[models]\nother = "model.toml"'))
    night = one_night(desk, markets[0])
    assert [(one.role, one.model) for one in night.results] == [("challenger", "other"), ("send", "neutral")]
    folder = tmp_path / "out" / "2026-01-20T120000Z" / "one"
    assert (folder / "other" / "ALTERNATIVE.csv").is_file() and not (folder / "other" / "proposed.csv").is_file()
    with pytest.raises(DataError, match="never leaves"):
        send(desk, night.results[0].run)


def test_fills_of_a_file_are_imported_whole_or_not_at_all(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 1)
    one_night(desk, markets[0])
    order = pd.read_csv(next((tmp_path / "outbox").glob("*/*.csv")))["order_id"][0]
    fills = [
        Fill("f1", order, "PERP", -1.0, 90_000.0, markets[0].as_of),
        Fill("f2", "alien", "PERP", -1.0, 90_000.0, markets[0].as_of),
    ]
    fills_frame(fills).to_csv(tmp_path / "fills.csv", index=False)
    with pytest.raises(DataError, match="alien"):
        import_told(desk, tmp_path / "fills.csv")
    assert import_told(desk, tmp_path / "fills.csv", book="one").fills == 2
    assert import_told(desk, tmp_path / "fills.csv", book="one").known == 2


def test_fills_that_cannot_be_of_their_order_are_not_imported(tmp_path):
    """What was kept would stand for ever, and no night could go on: it is refused at the door, in whole."""
    desk, markets, _ = coin_desk(tmp_path, 2)
    one_night(desk, markets[0])
    line = pd.read_csv(next((tmp_path / "outbox").glob("*/*.csv"))).iloc[0]
    order, name, wanted = line["order_id"], line["instrument"], float(line["quantity"])
    sound = Fill("f1", order, name, wanted / 2, 90_000.0, markets[0].as_of + pd.Timedelta(minutes=1))
    wrong = {
        "mend its side": replace(sound, quantity=-sound.quantity),
        "mend its side, instrument": replace(sound, instrument="LIN" if name != "LIN" else "PERP"),
        "is it in UTC": replace(sound, time=markets[0].as_of - pd.Timedelta(hours=5)),
        "would be filled of": replace(sound, quantity=1.5 * wanted),
    }
    for message, one in wrong.items():
        fills_frame([one]).to_csv(tmp_path / "fills.csv", index=False)
        with pytest.raises(DataError, match=message):
            import_told(desk, tmp_path / "fills.csv")
    fills_frame([sound]).to_csv(tmp_path / "fills.csv", index=False)
    assert import_told(desk, tmp_path / "fills.csv").fills == 1
    fills_frame([replace(sound, fill_id="f2")]).to_csv(tmp_path / "fills.csv", index=False)
    assert import_told(desk, tmp_path / "fills.csv").fills == 1
    fills_frame([replace(sound, fill_id="again")]).to_csv(tmp_path / "fills.csv", index=False)
    with pytest.raises(DataError, match=f"with again .* would be filled of {wanted:g}; leave out what was imported"):
        import_told(desk, tmp_path / "fills.csv")


def test_final_words_come_without_fills_too(tmp_path, capsys):
    desk, markets, _ = coin_desk(tmp_path, 1)
    one_night(desk, markets[0])
    order = pd.read_csv(next((tmp_path / "outbox").glob("*/*.csv")))["order_id"][0]
    reports_frame([Report(order, markets[0].as_of, "cancelled")]).to_csv(tmp_path / "reports.csv", index=False)
    given = ["--desk", str(tmp_path / "desk.toml")]
    assert main(["fills", "--reports", str(tmp_path / "reports.csv"), *given]) == 0
    assert "1 final words new" in capsys.readouterr().out
    assert main(["fills", *given]) == 3 and "nothing to import" in capsys.readouterr().err


def test_a_night_is_of_the_books_that_are_asked_for_and_goes_by_its_file(tmp_path, capsys):
    more = DESK + '[books.two]\nmodel = "neutral"\npositions = "one.csv"\nholds = "opening"\n'
    desk, markets, _ = coin_desk(tmp_path, 1, more)
    given = ["run", "--desk", str(desk.path), "--as-of", str(markets[0].as_of)]
    for option in (["--out", "x"], ["--workers", "2"], ["--deadline", "1m"], ["--send", "neutral"], ["--json"]):
        assert main([*given, *option]) == 2 and option[0] in capsys.readouterr().err
    assert main([*given, "--book", "three"]) == 3 and "there is no book three" in capsys.readouterr().err
    assert main([*given, "--book", "two", "--quiet"]) == 0 and capsys.readouterr().out == ""
    with open_ledger(desk.ledger).read() as connection:
        assert [row["book"] for row in runs_of(connection)] == ["two"]


def test_a_book_that_was_renamed_is_said_to_be_begun_again(tmp_path, capsys):
    desk, markets, _ = coin_desk(tmp_path, 2)
    one_night(desk, markets[0])
    desk.path.write_text(desk.path.read_text().replace("[books.one]", "[books.uno]"))
    night = run_night(read_desk(desk.path), as_of=markets[1].as_of)
    assert "names no book one" in night.strayed[0] and "begins uno from its positions" in night.strayed[0]
    assert main(["run", "--desk", str(desk.path), "--as-of", str(markets[1].as_of)]) == 0
    assert run_night(read_desk(desk.path), as_of=markets[1].as_of).strayed == ()


def test_nights_that_carry_what_is_not_listed_are_the_backtest_and_tell_its_last_mark(tmp_path):
    """Two nights without a held option's row, and one on which it is back."""
    spots = path(4)
    markets, events = coin_markets(spots), fundings(spots)

    def without(market: Market, name: str) -> Market:
        return replace(market, instruments=market.instruments.drop(index=name), quotes=market.quotes.drop(index=name))

    markets[1:3] = [without(market, "C1") for market in markets[1:3]]
    (tmp_path / "model.toml").write_text(MODEL)
    desk = desk_in(tmp_path, markets, BOOK, events, model="model.toml")
    assert nights_of(desk, markets, AtQuote()) == backtest_of(desk, markets, events, AtQuote())
    for market in markets:
        folder = result_folder(desk.out, market.as_of, "one", "neutral")
        held = pd.read_csv(folder / "positions.csv").set_index(["account", "instrument"]).loc[("book", "C1")]
        last = markets[0] if market in markets[1:3] else market
        assert held["price"] == pytest.approx(last.price["C1"]) and held["quantity"] == 4.0
        lots = pd.read_csv(folder / "lots.csv").set_index("instrument")
        assert lots.at["C1", "mark"] == pytest.approx(last.price["C1"])
    assert verify(desk).empty and replay(desk, "one@2026-01-22").differences == ()


def test_a_fill_told_after_the_night_of_a_split_is_of_new_shares(tmp_path):
    """Bought before the split, imported when its night is over: twice as many, at half the price."""

    def day(number: int, price: float) -> Market:
        quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": price - 0.01, "ask": price + 0.01})
        table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S",
                              "hedge": [False, True]})  # fmt: skip
        return Market(table, quotes, "USD", as_of=f"2026-01-{20 + number}T21:00Z")

    markets, noon = [day(0, 60.0), day(1, 30.0), day(2, 31.0)], pd.Timestamp("2026-01-21T12:00Z")
    split = Event(noon, "s", noon, "split", "S", 2.0)
    desk = desk_in(tmp_path, markets, {"S": 10.0}, [split])
    one_night(desk, markets[0])
    told(desk, AtQuote(), markets[0], markets[1])
    one_night(desk, markets[1])
    told(desk, AtQuote(), markets[1], markets[2])
    fill = Fill("late", "", "S", 4.0, 59.0, noon - pd.Timedelta(hours=1), money="USD")
    fills_frame([fill]).to_csv(tmp_path / "fills.csv", index=False)
    import_told(desk, tmp_path / "fills.csv", book="one")
    one_night(desk, markets[2])
    with open_ledger(desk.ledger).read() as connection:
        state = State.from_text(get_text(connection, last_run(desk)["after"]))
    assert state.quantities("hedge")["S"] == 8.0 and state.quantities("book")["S"] == 20.0
    assert [(lot.quantity, lot.price) for lot in state.positions["hedge"]["S"]] == [(8.0, 29.5)]
    assert replay(desk, "one@2026-01-22").differences == ()


def test_a_night_without_an_instant_is_of_the_latest_market(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 2)
    assert run_night(desk, books=()).as_of == markets[-1].as_of and last_run(desk)["outcome"] == "first"


def test_what_a_killed_night_left_half_written_is_taken_away(tmp_path):
    desk, (market,), _ = coin_desk(tmp_path, 1)
    run_night(desk, as_of=market.as_of)
    before = {path for path in desk.out.rglob("*")}
    (night,) = (path for path in desk.out.iterdir() if path.is_dir())
    (night / ".index.html.123.new").write_text("half")
    (night / "one" / ".neutral.new").mkdir()
    (night / "one" / ".neutral.new" / "report.html").write_text("half")
    (desk.outbox / ".leaving").mkdir(parents=True, exist_ok=True)
    (desk.outbox / ".leaving" / ".list.csv.123.new").write_text("half")
    run_night(desk, as_of=market.as_of)
    assert {path for path in desk.out.rglob("*")} == before
    assert not [path for path in desk.outbox.rglob("*") if ".new" in path.name]


def test_one_night_at_a_time(tmp_path):
    desk, _, _ = coin_desk(tmp_path, 1)
    desk.out.mkdir()
    with locked(desk.out), pytest.raises(Locked):
        run_night(desk)


def test_the_verbs_take_a_desk_through_two_nights(tmp_path, capsys):
    desk, markets, _ = coin_desk(
        tmp_path, 2, DESK.replace('"none"', '"another"').replace("[send]", '[run]\nmetrics = "m.prom"\n[send]')
    )
    at = ["--desk", str(desk.path)]

    def say(*arguments, code=0):
        capsys.readouterr()
        assert main([*arguments, *at]) == code, capsys.readouterr()
        found = capsys.readouterr()
        return found.out + found.err

    assert "first" in say("run", "--as-of", str(markets[0].as_of), "--as", "ann")
    sha256 = last_run(desk)["sha256"]
    assert sha256[:12] in say("show", "one@2026-01-20")
    assert "another person" in say("approve", "one@", sha256[:12], "--as", "ann", code=3)
    say("approve", "one@", sha256[:12], "--as", "bob")
    say("send", "one@2026-01-20")
    told(desk, AtQuote(), *markets)
    assert "0 fills new" in say("fills", str(tmp_path / "fills.csv"), "--reports", str(tmp_path / "reports.csv"))
    logged = say("run", "--as-of", str(markets[1].as_of), "--as", "ann", "--log-json")
    line = json.loads(logged.splitlines()[-1])
    assert (line["event"], line["book"], line["status"]) == ("night", "one", "solved") and line["run"] == last_run(
        desk
    )["id"]
    assert 'optihedge_books{status="solved"} 1' in (tmp_path / "m.prom").read_text()
    assert "sent" in say("runs") and "market" not in say("runs", "one")
    assert "snapshot" in say("diff", "one@2026-01-20", "one@2026-01-21")
    assert "the same bytes" in say("replay", "one@2026-01-21") and "all agrees" in say("verify")
    assert "funding" in say("report", "one", "--from", "2026-01-20")
    (tmp_path / "HALT").write_text("stop")
    assert "halted" in say("run", code=4)
    (tmp_path / "ledger.db").write_text("torn")
    (tmp_path / "HALT").unlink()
    assert "storage" in say("runs", code=5)
    assert main(["run", "delta_neutral", *at]) == 2


def test_a_desk_file_with_mistakes_is_exit_code_3(tmp_path, capsys):
    (tmp_path / "desk.toml").write_text("base_currency = 1\n")
    assert main(["run", "--desk", str(tmp_path / "desk.toml")]) == 3
    assert "models is missing" in capsys.readouterr().err
    with pytest.raises(SpecError):
        read_desk(tmp_path / "desk.toml")


@pytest.mark.slow
def test_workers_leave_the_same_bytes_and_one_that_dies_or_is_late_is_named(tmp_path, monkeypatch):
    more = DESK + "".join(
        f'[books.b{i}]\nmodel = "neutral"\npositions = "one.csv"\nholds = "opening"\n' for i in range(3)
    )
    found = []
    for workers in (1, 2):
        desk, markets, _ = coin_desk(tmp_path / str(workers), 2, more)
        for before, market in ((None, markets[0]), (markets[0], markets[1])):
            night = one_night(replace(desk, workers=workers), market, AtQuote(), before)
        found.append([(last_run(desk, book)["id"], last_run(desk, book)["sha256"]) for book in desk.books])
        assert night.code == 0 and verify(desk).empty
    assert found[0] == found[1]
    (tmp_path / "late").mkdir()
    desk, markets, _ = coin_desk(tmp_path / "late", 1)
    monkeypatch.setattr("optihedge.batch.work.GRACE", (0.0, 0.0))
    night = run_night(replace(desk, deadline=1e-6), as_of=markets[0].as_of)
    assert night.results[0].status == "failed" and "deadline" in night.results[0].why and night.code == 1
    monkeypatch.undo()
    assert run_night(desk, as_of=markets[0].as_of).results[0].status == "first"
