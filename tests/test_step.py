"""One step: open orders block, a failed model leaves the accounts standing, a last look asks nothing."""

import pickle
from dataclasses import dataclass, replace

import pandas as pd
import pytest
from nights import DeltaRule, coin_markets, fundings, path

from optihedge.accounts.state import State
from optihedge.accounts.valuation import opening
from optihedge.errors import InfeasibleError, SpecError
from optihedge.step.broker import AtQuote
from optihedge.step.step import step

BOOK = {"C1": -10.0, "COIN": 3.0}


@dataclass(frozen=True)
class Refuses:
    def hedge(self, market, book):
        raise InfeasibleError("no hedge today")


@pytest.fixture(scope="module")
def nights():
    spots = path(3)
    markets = coin_markets(spots)
    return markets, step(opening("b", markets[0], BOOK), None, markets[0], DeltaRule()), fundings(spots)


def test_an_order_without_its_final_word_blocks_or_is_cancelled(nights):
    (one, two, _), first, events = nights
    assert first.status == "first" and len(first.state.orders) == 1
    blocked = step(first.state, one, two, DeltaRule(), events=events)
    assert blocked.status == "blocked" and blocked.trades is None and blocked.state.orders == first.state.orders
    assert blocked.state.as_of == two.as_of and blocked.change != 0  # the accounting stands
    cancelled = step(first.state, one, two, DeltaRule(), events=events, on_open_orders="cancel")
    assert cancelled.status == "solved" and "cancelled" in cancelled.notes[0]
    with pytest.raises(SpecError, match="write block or cancel"):
        step(first.state, one, two, DeltaRule(), on_open_orders="hope")


def test_a_failed_model_leaves_the_accounts_standing(nights):
    (one, two, _), first, events = nights
    fills, reports = AtQuote().execute(first.state.orders, one, two)
    failed = step(first.state, one, two, Refuses(), fills=fills, reports=reports, events=events)
    good = step(first.state, one, two, DeltaRule(), fills=fills, reports=reports, events=events)
    assert failed.status == "failed" and "no hedge today" in failed.why and failed.state.orders == ()
    assert failed.equity == good.equity and failed.state.positions == good.state.positions
    pd.testing.assert_frame_equal(failed.explained, good.explained)
    last = step(first.state, one, two, Refuses(), fills=fills, reports=reports, events=events, ask=False)
    assert last.status == "idle" and last.equity == good.equity


def test_states_are_a_chain(nights):
    (one, two, _), first, events = nights
    fills, reports = AtQuote().execute(first.state.orders, one, two)
    second = step(first.state, one, two, DeltaRule(), fills=fills, reports=reports, events=events)
    assert second.state.before == first.state.hash and second.state.seq == first.state.seq + 1 == 2
    assert second.state.snapshot == two.hash and second.state.traded == two.as_of
    assert second.parts["total"].sum() == pytest.approx(second.change)


def test_a_state_that_is_hashed_late_is_hashed_as_one_that_was_at_once(nights):
    """However long the chain: what came before is hashed first, and every text names it."""
    (_, two, _), first, _ = nights
    late = at_once = first.state
    for seq in range(2, 3000):
        late = late.becoming(seq=seq, before=late, snapshot=two)
        at_once = replace(at_once, seq=seq, before=at_once.hash, snapshot=two.hash)
    assert late.hash == at_once.hash == State.from_text(late.text).hash
    assert late.snapshot == two.hash
    assert pickle.loads(pickle.dumps(late)).hash == late.hash
