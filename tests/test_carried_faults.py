"""What a market left out or could not read is told by every market that is made of it, until its cause is gone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_contradictions_at_both_doors import AS_OF, DAYS, tables

import optihedge as oh
from optihedge.desk.record import record_night
from optihedge.market.derived import with_history

HOUR = pd.Timedelta("1h")


def whole(**settings):
    """A market without a fault, of which a split of B was told."""
    made = tables()
    given = {name: made[name].reset_index() for name in ("instruments", "quotes", "drivers")}
    history = made["history"]
    split = pd.DataFrame({"event_id": ["e"], "time": [AS_OF - HOUR], "kind": ["split"], "instrument": ["B"],
                          "value": [2.0]})  # fmt: skip
    return given | {"base_currency": "USD", "history": history, "as_of": AS_OF, "events": split} | settings


def faulty():
    """Without D, whose bid is above its ask; of A no ask can be read; a level of W is missing."""
    given = whole(on_missing="freeze")
    quotes = given["quotes"].astype(object).set_index("instrument")
    quotes.loc["D", "bid"] = 2 * quotes.loc["D", "ask"]
    quotes.loc["A", "ask"] = "#N/A"
    history = given["history"].astype(object)
    history.loc[DAYS[100], "W"] = "n.a."
    return oh.Market(**given | {"quotes": quotes.reset_index(), "history": history})


def in_store(market, folder):
    kept = oh.store.open_store(folder, create=True)
    return kept.open(kept.record(market))


def recorded(market, folder):
    kept = oh.store.open_store(folder, create=True)
    record_night(kept, market)
    return kept.open()


DERIVED = {
    "replaced": lambda m, _: replace(m, max_crossed=0.5),
    "with new quotes": lambda m, _: replace(m, quotes=m.quotes.assign(volume=7.0)),
    "updated": lambda m, _: m.updated(m.quotes.loc[["B", "MKT"], ["bid", "ask"]], as_of=m.as_of + HOUR),
    "updated past an expiry": lambda m, _: m.updated(m.quotes.loc[["B"], ["bid", "ask"]], as_of=m.as_of + 2000 * HOUR),
    "with a level": lambda m, _: m.updated(m.quotes.loc[["B"], ["bid", "ask"]],
                                           pd.DataFrame([m.history.iloc[-1] * 1.01], [DAYS[-1] + pd.Timedelta("1D")]),
                                           as_of=m.as_of + 30 * HOUR),
    "moved": lambda m, _: oh.policy.moved(m, {"spot": 0.01, "vol": 0.01, "days": 1}),
    "with betas": lambda m, _: m.with_exposures(pd.DataFrame({"mine": 1.0}, m.names)),
    "of the store": in_store, "of a night": recorded,
    "with a history": lambda m, _: with_history(replace(m, history=None), pd.DataFrame()),
}  # fmt: skip


@pytest.mark.parametrize("how", list(DERIVED))
def test_every_market_that_is_made_of_one_tells_what_it_lacks(tmp_path, how):
    market = faulty()
    assert {*market.left_out} == {"D"} and {*market.unread} == {"A", "history of W"}
    made = DERIVED[how](market, tmp_path / "store")
    assert {**made.left_out, **market.left_out} == made.left_out and made.acted_on == market.acted_on == {"B"}
    assert {**market.unread, **made.unread} == market.unread
    assert {*made.unread} == ({"A"} if how == "with a history" else {*market.unread})  # no level, no gap
    with pytest.raises(oh.DataError, match="D was left out of the market: quotes"):
        oh.read_book({"D": 1.0}, made)
    told = {(one.kind, one.subject) for one in oh.risk.find_contradictions(made)}
    assert {("left out", "D"), ("unread", "A")} <= told


def test_what_is_given_again_is_judged_anew():
    market, given = faulty(), whole()
    mended = replace(market, instruments=given["instruments"], quotes=given["quotes"], history=given["history"])
    assert not mended.left_out and not mended.unread
    again = given["quotes"].astype(object)
    again.loc[again["instrument"] == "D", "bid"] = -1.0
    worse = replace(market, instruments=given["instruments"], quotes=again)
    assert "below zero" in worse.left_out["D"] and "ask" not in worse.left_out["D"].split("below")[0]


def test_a_fresh_quote_mends_what_was_unread():
    market = faulty()
    fresh = pd.DataFrame({"bid": [36.9], "ask": [37.1]}, pd.Index(["A"], name="instrument"))
    made = market.updated(fresh, as_of=market.as_of + HOUR)
    assert {*made.unread} == {"history of W"} and np.isfinite(made.sides[made.names.get_loc("A")]).all()


def test_a_market_without_faults_is_stored_under_the_content_it_always_had():
    market = oh.Market(**whole(events=None))
    assert not {"left_out", "unread", "acted_on"} & {*market.manifest}
    assert faulty().hash != replace(faulty(), left_out={}).hash
