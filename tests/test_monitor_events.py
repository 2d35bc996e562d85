"""What happened since the last night counts when a book is watched, as the next night will have it; nothing is kept."""

from dataclasses import fields

import pandas as pd
import pytest
from desk_nights import DESK, desk_in, last_run, one_night, told
from nights import coin_markets, fundings, path
from test_desk_nights import BOOK, MODEL

from optihedge.accounts.advance import advance
from optihedge.accounts.fills import fills_frame
from optihedge.accounts.state import Fill
from optihedge.desk.importing import import_told
from optihedge.desk.watching import ledger_stand, look
from optihedge.errors import DataError
from optihedge.market.events import Event, events_frame
from optihedge.market.importers.imported import FRAMES, Imported
from optihedge.market.snapshot import Market
from optihedge.market.store.store import open_store
from optihedge.market.updated import updated
from optihedge.step.broker import Partial

NIGHT, LATER = pd.Timestamp("2026-01-20T21:00Z"), pd.Timestamp("2026-01-21T15:00Z")


def messages(prices, time=LATER):
    """Fresh quotes, as an import has them."""
    frames = {name: pd.DataFrame(columns=list(columns)) for name, columns in FRAMES.items()}
    rows = [{"instrument": name, "time": time, "part": "top", "bid": p - 0.01, "ask": p + 0.01} for name, p in prices]
    frames["quotes"] = pd.DataFrame(rows, columns=list(FRAMES["quotes"]))
    return Imported(**{f.name: frames[f.name] for f in fields(Imported) if f.name in frames})


def stock_market(at, prices, **options):
    names = list(prices)
    table = pd.DataFrame({"instrument": names, "type": "equity", "underlying": names, "lot": 1.0})
    quotes = pd.DataFrame({"instrument": names, "bid": [p - 0.01 for p in prices.values()],
                           "ask": [p + 0.01 for p in prices.values()]})  # fmt: skip
    if options:
        terms = {"type": "option", "underlying": "A", "lot": 1.0, "strike": 100.0, "right": "C", "multiplier": 100.0}
        more = pd.DataFrame({"instrument": ["C"], **terms, "expiry": pd.Timestamp("2026-06-19T20:00Z")})
        table = pd.concat([table, more])
        quotes = pd.concat([quotes, pd.DataFrame({"instrument": ["C"], "bid": [5.0], "ask": [5.2]})])
    return Market(table, quotes, "USD", as_of=at)


def watched(tmp_path, held, events=(), fills=(), prices=(("A", 50.0), ("B", 20.0)), **options):
    """A desk after one night of A at 100 and B at 20; what is recorded since; a look at fresh quotes."""
    market = stock_market(NIGHT, {"A": 100.0, "B": 20.0}, **options)
    (tmp_path / "model.toml").write_text('description = "Nothing."\nobjective = [{type = "SpreadCost"}]\n')
    desk = desk_in(tmp_path, [market], held, model="model.toml")
    one_night(desk, market)
    store = open_store(desk.store)
    if events:
        store.record(stock_market(pd.Timestamp("2026-01-21T12:00Z"), {"A": 100.0, "B": 20.0}), events_frame(events))
    if fills:
        fills_frame(fills).to_csv(tmp_path / "fills.csv", index=False)
        import_told(desk, tmp_path / "fills.csv", None, book="one")
    stand = ledger_stand(desk, "one")
    before = stand.state.hash, last_run(desk)
    seen = look(stand.state, stand.market, messages(prices), stand.model, stand.policy, since=stand.since)
    assert (stand.state.hash, last_run(desk)) == before
    fresh = updated(stand.market, messages(prices))
    return seen, advance(stand.state, stand.market, fresh, compare=False, **stand.since(LATER)), fresh


def event(kind, name, value, money="", time="2026-01-21T13:00Z"):
    when = pd.Timestamp(time)
    return Event(when, f"{kind} {name}", when, kind, name, value, money)


def test_a_split_and_a_dividend_since_the_night_are_in_what_is_watched(tmp_path):
    events = [event("split", "A", 2.0), event("dividend", "B", 0.5, "USD")]
    seen, now, _ = watched(tmp_path, {"A": 10.0, "B": 4.0}, events)
    assert now.state.quantities().to_dict() == {"A": 20.0, "B": 4.0}
    assert seen.change == pytest.approx(4 * 0.5)  # 20 at 50 are 10 at 100


def test_an_event_of_after_the_look_waits(tmp_path):
    seen, *_ = watched(tmp_path, {"B": 4.0}, [event("dividend", "B", 0.5, "USD", "2026-01-21T16:00Z")])
    assert seen.change == 0.0


def test_a_fill_since_the_night_has_the_dividend_after_it(tmp_path):
    bought = Fill("1", "", "B", 6.0, 19.0, pd.Timestamp("2026-01-21T10:00Z"), money="USD")
    seen, *_ = watched(tmp_path, {"B": 4.0}, [event("dividend", "B", 0.5, "USD")], [bought])
    assert seen.change == pytest.approx(10 * 0.5 + 6 * 1.0)


def test_options_on_a_share_that_has_split_since_are_not_valued_on_old_terms(tmp_path):
    with pytest.raises(DataError, match=r"A split on 2026-01-21.*C on it.*run its night"):
        watched(tmp_path, {"A": 10.0}, [event("split", "A", 2.0)], options=True)
    (tmp_path / "other").mkdir()
    seen, *_ = watched(tmp_path / "other", {"B": 4.0}, [event("split", "A", 2.0)], options=True)
    assert seen.change == 0.0


def test_what_is_watched_at_the_next_nights_market_is_that_night(tmp_path):
    """Fundings and fills since: the same change of equity, and the same word of the policy."""
    spots = path(2)
    markets, events = coin_markets(spots), fundings(spots)
    (tmp_path / "model.toml").write_text(MODEL)
    desk = desk_in(tmp_path, markets, BOOK, events, model="model.toml", text=DESK)
    one_night(desk, markets[0])
    told(desk, Partial(0.5), markets[0], markets[1])
    stand = ledger_stand(desk, "one")
    happened = stand.since(markets[1].as_of)
    moved = advance(stand.state, stand.market, markets[1], **happened)
    assert moved.parts.frame["funding"].sum() != 0
    one_night(desk, markets[1])
    night = pd.read_json(desk.out / "2026-01-21T120000Z" / "one" / "neutral" / "night.json", typ="series")
    assert moved.change == pytest.approx(night["change"], rel=1e-12) and moved.equity == pytest.approx(night["equity"])
