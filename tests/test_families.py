"""Laws of every contract family: derivatives of its own revaluation, parts, settlement, scale."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from optihedge.accounts.advance import advance
from optihedge.accounts.carried import rows_of, with_rows
from optihedge.accounts.quoted import quoted
from optihedge.accounts.state import Fill
from optihedge.accounts.valuation import opening, valued
from optihedge.errors import DataError
from optihedge.market import exposures
from optihedge.market.derived import driver_rows
from optihedge.market.earned import contract_pnl
from optihedge.market.events import Event
from optihedge.market.families import FAMILIES, FAMILY_OF, STRUCK, TERMS, TYPES
from optihedge.market.families.base import Family
from optihedge.market.fate import Fate
from optihedge.market.instruments import contracts_of, venue_amounts
from optihedge.market.moved import moved
from optihedge.market.pnl import PARTS, explain_pnl
from optihedge.market.pricing import black, years_between
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market
from optihedge.risk.contradictions import find_contradictions
from optihedge.risk.finding import SEVERE

FIRST, SECOND, SUM = 1e-6, 1e-4, 1e-9
AS_OF, EXPIRY = pd.Timestamp("2026-01-20T12:00:00Z"), pd.Timestamp("2026-03-27T08:00:00Z")
BEGUN = pd.Timestamp("2025-12-20T12:00:00Z")
SPOT, VOL = 100.0, 0.4
HELD = [kind for kind in TYPES if kind != "index"]


def market(base: str = "USD", as_of: pd.Timestamp = AS_OF, spot: float = SPOT, vol: float = VOL, basis: float = 0.01,
           multiplier: float = 3.0, expiry: pd.Timestamp = EXPIRY) -> Market:  # fmt: skip
    """One contract of every type on the coin X, quoted in dollars, named after its type."""
    years = float(years_between(as_of, expiry))
    forward = spot * np.exp(basis)
    call = float(black(forward, 105.0, years, vol, 1.0))
    table = pd.DataFrame({"instrument": list(TYPES), "type": list(TYPES), "underlying": "X", "currency": "USD"})
    table = table.set_index("instrument", drop=False)
    table.loc["equity", "underlying"] = "equity"
    table.loc["cash", ["underlying", "currency"]] = ["", "X"]
    implied = [TYPES[kind] for kind in TYPES]
    table["multiplier"] = [multiplier if kind not in ("cash", "index") else 1.0 for kind in TYPES]
    table["expiry"] = [expiry if kind.dated else pd.NaT for kind in implied]
    table["strike"] = [105.0 if kind in STRUCK else np.nan for kind in TYPES]
    table["right"] = ["C" if kind in STRUCK else "" for kind in TYPES]
    table["accrual_start"] = [BEGUN if kind == "variance_swap" else pd.NaT for kind in TYPES]
    pool = table["type"] == "pool"
    table["range_lower"], table["range_upper"] = (np.where(pool, end, np.nan) for end in (70.0, 150.0))
    span = float(years_between(BEGUN, expiry))
    marks = {"equity": 50.0 * spot / SPOT, "index": spot, "spot": spot, "future": forward, "inverse_future": forward,
             "perpetual": spot * 1.001, "inverse_perpetual": spot * 1.001, "option": call,
             "inverse_option": call / forward, "variance_swap": 1e4 * (0.03 + years / span * vol**2)}  # fmt: skip
    quotes = pd.DataFrame({"instrument": list(marks), "mark": list(marks.values()), "bid": np.nan, "ask": np.nan})
    of = [TYPES[name] for name in marks]
    quotes["underlying_price"] = [forward if kind in STRUCK else np.nan for kind in marks]
    quotes["vol"] = [vol if kind.volatile else np.nan for kind in of]
    drivers = pd.DataFrame({"driver": ["X", "equity", "vol"], "kind": ["price", "price", "vol"],
                            "underlying": ["X", "equity", "X"], "currency": ["USD", "USD", ""]})  # fmt: skip
    history = pd.DataFrame({"X": [spot], "equity": [50.0], "vol": [vol]}, index=pd.DatetimeIndex([as_of]))
    return Market(table.reset_index(drop=True), quotes, base, drivers=drivers, history=history, as_of=as_of)


def gains(given: Market, kind: str, **shocks: list[float]) -> np.ndarray:
    """P&L of one contract in scenarios of one word."""
    return scenario_pnl(given, pd.DataFrame(shocks), [kind])[kind].to_numpy()


@pytest.mark.parametrize("base", ["USD", "X"])
@pytest.mark.parametrize("kind", HELD)
def test_greeks_are_differences_of_the_revaluation(kind: str, base: str) -> None:
    given = market(base)
    s, at = given.sensitivities, given.names.get_loc(kind)
    of = "equity" if kind == "equity" else "X"
    size = max(abs(given.notional[kind]), abs(s.gamma[at]), abs(s.vega[at]), 1e-9)
    h = 1e-4
    up, down = gains(given, kind, **{f"spot:{of}": [h, -h]})
    assert (up - down) / (2 * h) == pytest.approx(s.delta[at], abs=FIRST * size)
    h = 1e-3
    up, down = gains(given, kind, **{f"spot:{of}": [h, -h]})
    assert (up + down) / h**2 == pytest.approx(s.gamma[at], abs=SECOND * size)
    up, down = gains(given, kind, vol=[h, -h])
    assert (up - down) / (2 * h) == pytest.approx(s.vega[at], abs=1e-5 * size)
    assert (up + down) / h**2 == pytest.approx(s.volga[at], abs=SECOND * size)
    up, down = gains(given, kind, rate=[1e-5, -1e-5])
    assert (up - down) / 2e-5 == pytest.approx(s.rho[at], abs=1e-5 * size)
    up, down = gains(given, kind, basis=[1e-5, -1e-5])
    assert (up - down) / 2e-5 == pytest.approx(s.basis[at], abs=1e-5 * size)


@pytest.mark.parametrize("kind", HELD)
def test_theta_is_what_time_alone_takes_where_nothing_rolls_down(kind: str) -> None:
    given = market(basis=0.0)
    at, days = given.names.get_loc(kind), 0.01
    whole, half = gains(given, kind, days=[days, days / 2])
    size = max(abs(given.sensitivities.theta[at]), given.notional[kind])
    assert (4 * half - whole) / days * 365 == pytest.approx(given.sensitivities.theta[at], abs=1e-5 * size)


@pytest.mark.parametrize("base", ["USD", "X"])
def test_the_parts_of_a_pnl_add_up_and_explain_most_of_it(base: str) -> None:
    start, end = market(base), market(base, AS_OF + pd.Timedelta(hours=6), spot=100.3, vol=0.402, basis=0.0101)
    held = pd.Series(2.0, index=HELD)
    frame = explain_pnl(start, end, held)
    total = frame["total"]
    np.testing.assert_allclose(frame[list(PARTS)].sum(axis=1), total, rtol=SUM, atol=SUM * total.abs().max())
    swap = frame.loc["variance_swap"]
    assert swap["vega"] > 0 < swap["gamma"] and swap["theta"] < 0


def expired(start: Market, spot: float = SPOT) -> Market:
    """The market at the expiry of `start`: what is dated has ended, its underlying at `spot`."""
    keep = pd.Index(["index", "spot", "equity"])
    quotes = start.quotes.loc[keep].assign(time=EXPIRY)
    quotes.loc[["index", "spot"], "mark"] = spot
    history = pd.DataFrame({"vol": [VOL]}, index=pd.DatetimeIndex([EXPIRY]))
    return Market(start.instruments.loc[keep], quotes, "USD", drivers=start.drivers.reset_index(), as_of=EXPIRY,
                  history=history)  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind in HELD if TYPES[kind].dated and kind != "variance_swap"])
def test_settlement_is_the_limit_of_the_value(kind: str) -> None:
    """From a second before expiry to expiry, the underlying where it was and no basis left, nothing is gained."""
    start = market(as_of=EXPIRY - pd.Timedelta(seconds=1), spot=120.0, basis=0.0)
    end = expired(start, 120.0)
    assert contract_pnl(start, end)[kind] == pytest.approx(0.0, abs=1e-6 * start.notional[kind])


@pytest.mark.parametrize("kind", [kind for kind in HELD if TYPES[kind].dated])
def test_accounts_settle_a_contract_as_its_pnl_does_or_both_refuse(kind: str) -> None:
    """At the next level of its underlying, for want of a settlement event."""
    start = market()
    end, state = expired(start, 112.0), opening("b", start, {kind: 2.0})
    known = contract_pnl(start, end)[kind]
    if np.isfinite(known):
        assert advance(state, start, end).change == pytest.approx(2 * known, rel=1e-9)
        return
    with pytest.raises(DataError, match=f"{kind}.*settlement event"):
        contract_pnl(start, end, pd.Index([kind]))
    with pytest.raises(DataError, match=f"{kind}.*settlement event"):
        advance(state, start, end)


@pytest.mark.parametrize("base", ["USD", "X"])
def test_accounts_of_all_contracts_at_once_are_those_of_each_alone(base: str) -> None:
    """Value and gain by the arrays of a market are what the terms of each contract say, lot by lot."""
    start, end = market(base), market(base, as_of=AS_OF + pd.Timedelta("2h"), spot=103.0, vol=0.42)
    kinds = [kind for kind in HELD if kind != "cash"]
    state = opening("b", start, dict.fromkeys(kinds, 2.0), hedge=dict.fromkeys(kinds[::2], -3.0))
    bought = [Fill(f"f{i}", "", kind, 1.5, start.price[kind] * 1.01, AS_OF + pd.Timedelta("1h"), money=base)
              for i, kind in enumerate(kinds[1::2])]  # fmt: skip
    moved = advance(state, start, end, bought)
    then, now, table = quoted(start), quoted(end), valued(moved.state, end).set_index(["account", "instrument"])
    for account, held in moved.state.positions.items():
        for name, lots in held.items():
            one, was, mark = then.terms(name), then.price(name), now.price(name)
            quantity, rate = sum(lot.quantity for lot in lots), now.rate(one.money)
            unrealised = sum(one.gain(lot.quantity, lot.price, mark) for lot in lots)
            value = unrealised if one.margined else one.worth(quantity, mark)
            told = table.loc[(account, name)]
            assert (told["quantity"], told["price"], told["money"]) == (quantity, mark, one.money)
            assert told["value"] == pytest.approx(value, rel=1e-12)
            assert told["unrealised"] == pytest.approx(unrealised, rel=1e-12)
            gain = one.worth(quantity, mark) * rate - one.worth(quantity, was) * then.rate(one.money)
            gain = one.gain(quantity, was, mark) * rate if one.margined else gain
            filled = sum(one.gain(f.quantity, f.price, was) for f in bought if f.instrument == name)
            gain += filled * rate if account == "hedge" else 0.0
            assert moved.explained.loc[(account, name), "total"] == pytest.approx(gain, rel=1e-9, abs=1e-9)


def test_a_variance_swap_ends_at_the_price_its_settlement_event_says() -> None:
    start = market()
    end, state = expired(start, 112.0), opening("b", start, {"variance_swap": 2.0})
    told = Event(EXPIRY, "s", EXPIRY, "settlement", "variance_swap", 900.0, "", "cash")
    moved = advance(state, start, end, events=[told])
    assert moved.change == pytest.approx(2 * 3 * (900.0 - start.price["variance_swap"]), rel=1e-12)
    with pytest.raises(DataError, match="variance_swap delivers nothing"):
        advance(state, start, end, events=[replace(told, other="physical")])
    gamma = moved.explained["gamma"].sum()
    assert gamma == pytest.approx(0.5 * 2 * start.sensitivities.gamma[start.names.get_loc("variance_swap")] * 0.12**2)


def only(given: Market, kinds: list[str], **more: object) -> Market:
    """The market of a few of its contracts."""
    return Market(given.instruments.loc[kinds], given.quotes.loc[kinds], "USD", history=given.history, as_of=AS_OF,
                  drivers=more.get("drivers", given.drivers.reset_index()))  # fmt: skip


@pytest.mark.parametrize("kind", HELD)
def test_a_fair_market_of_one_contract_contradicts_nothing(kind: str) -> None:
    found = find_contradictions(only(market(), list(dict.fromkeys(["spot", "equity", kind]))))
    assert not [str(one) for one in found if one.severity == SEVERE]


@pytest.mark.parametrize("kind", [kind for kind in HELD if TYPES[kind].dated])
def test_contracts_whose_price_is_no_forward_say_nothing_of_the_basis(kind: str) -> None:
    basis = {"driver": "basis", "kind": "basis", "underlying": "X", "currency": ""}
    given = market()
    drivers = pd.concat([given.drivers.reset_index(), pd.DataFrame([basis])], ignore_index=True)
    level = driver_rows(only(given, list(dict.fromkeys([kind, *HELD])), drivers=drivers)).set_index("driver")["level"]
    assert level["basis"] == pytest.approx(0.01, rel=1e-12)


OTHER = {
    "strike": 110.0,
    "right": "P",
    "range_lower": 60.0,
    "range_upper": 160.0,
    "accrual_start": BEGUN + pd.Timedelta(days=7),
}


class Read:
    """A table that remembers which of its columns were read."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table, self.columns = table, set[str]()

    def __getitem__(self, column: str) -> pd.Series:
        self.columns.add(column)
        return self.table[column]


@pytest.mark.parametrize("family", [pytest.param(one, id=min(one.types)) for one in FAMILIES if one.told is not None])
def test_what_a_family_alone_reads_of_its_instruments_is_among_its_terms(family: Family) -> None:
    given = market()
    at = np.flatnonzero(given.instruments["type"].isin(list(family.types)))
    read = Read(given.instruments.iloc[at])
    family.told(given.contracts.take(at), read, given.quotes.iloc[at])
    assert read.columns <= set(TERMS)


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for family in FAMILIES for kind in family.types for field in family.terms]
)
def test_a_contract_with_another_term_of_its_family_is_another_contract(kind: str, field: str) -> None:
    start, later = market(), market(as_of=AS_OF + pd.Timedelta(hours=6))
    table = later.instruments.copy()
    table.loc[kind, field] = OTHER[field]
    end = Market(table, later.quotes, "USD", drivers=later.drivers.reset_index(), history=later.history,
                 as_of=later.as_of)  # fmt: skip
    with pytest.raises(DataError, match=f"{field} of {kind}"):
        contract_pnl(start, end, pd.Index([kind]))
    with pytest.raises(DataError, match=f"{field} of {kind}"):
        advance(opening("b", start, {kind: 1.0}), start, end)


@pytest.mark.parametrize("kind", [kind for kind in HELD if kind not in ("cash", "spot", "equity")])
def test_a_contract_saved_before_a_field_was_known_is_carried_with_its_default(kind: str) -> None:
    start = market()
    here = only(start, ["spot", "equity", "index"])
    rows = rows_of(start, np.array([start.names.get_loc(kind)]), Fate.of(start, here), {})
    pd.testing.assert_frame_equal(
        with_rows(here, rows).instruments.loc[[kind], list(TERMS)], start.instruments.loc[[kind], list(TERMS)]
    )
    later = ("own_risk", "settlement_window", "fee_per_contract", "venue")
    old = {kind: {name: value for name, value in rows[kind].items() if name not in later}}
    assert with_rows(here, old).hash == with_rows(here, rows).hash


@pytest.mark.parametrize("kind", HELD)
def test_a_family_that_revalues_its_contracts_is_asked_whoever_stands_beside(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = FAMILY_OF[kind]
    own = replace(FAMILIES[place], revalue=lambda c, shift: np.full((len(shift.growth), len(c.price)), 7.0))
    monkeypatch.setattr(exposures, "FAMILIES", (*FAMILIES[:place], own, *FAMILIES[place + 1 :]))
    given = market()
    gain = 7.0 * (given.contracts.multiplier * given.contracts.fx)[given.names.get_loc(kind)]
    assert gains(given, kind, spot=[0.1])[0] == pytest.approx(gain)
    assert scenario_pnl(given, pd.DataFrame({"spot": [0.1]}))[kind].iloc[0] == pytest.approx(gain)


@pytest.mark.parametrize("kind", HELD)
def test_a_contract_of_twice_the_multiplier_is_two_contracts(kind: str) -> None:
    if kind == "cash":
        return
    single, double = market(multiplier=1.0), market(multiplier=2.0)
    for name in ("exposures", "value", "notional"):
        one, two = (getattr(given, name).loc[kind] for given in (single, double))
        np.testing.assert_allclose(two, 2 * np.asarray(one), rtol=1e-12)
    shock = {"spot": [0.1], "vol": [0.05], "days": [3.0]}
    assert gains(double, kind, **shock) == pytest.approx(2 * gains(single, kind, **shock), rel=1e-12)


@pytest.mark.parametrize("kind", HELD)
def test_an_amount_at_the_venue_converts_back(kind: str) -> None:
    given = market()
    amounts = pd.Series(venue_amounts(given.instruments), given.names)
    back = contracts_of(pd.Series({kind: 7 * amounts[kind]}), given.instruments)
    assert back[kind] == pytest.approx(7.0)


def test_every_type_belongs_to_one_family() -> None:
    assert sorted(name for family in FAMILIES for name in family.types) == sorted(TYPES) == sorted(FAMILY_OF)


def test_a_variance_swap_gains_the_realised_less_the_implied_variance() -> None:
    """Day by day to its end: 1e4 x (sum of squared log returns / T - what was implied of them)."""
    given = market()
    rng, span = np.random.default_rng(0), float(years_between(BEGUN, EXPIRY))
    returns = rng.normal(0, 0.02, 5)
    total = 0.0
    for step, move in enumerate(returns):
        now = market(as_of=AS_OF + pd.Timedelta(days=step))
        total += gains(now, "variance_swap", spot=[move], days=[1.0])[0]
    realised = 1e4 * (np.log1p(returns) ** 2).sum() / span
    implied = 1e4 * VOL**2 * 5 / 365 / span
    assert total == pytest.approx(3.0 * (realised - implied), rel=1e-9)
    assert given.exposures.at["variance_swap", "value"] == 0


def test_a_variance_swap_is_hedged_by_its_vega_like_an_option() -> None:
    """A short option's vega is taken off by vega / vega of the swap."""
    import optihedge as oh

    given = market()
    table = given.instruments.assign(hedge=given.names == "variance_swap", lot=1e-9)
    quotes = given.quotes.assign(bid=given.price, ask=given.price)
    desk = Market(table, quotes, "USD", drivers=given.drivers.reset_index(), history=given.history, as_of=AS_OF)
    vega = desk.exposures["vega"]
    hedge = oh.HedgeModel(constraints=(oh.Neutral("vega"),), capital=1e5).hedge(desk, {"option": -10.0})
    assert hedge.trades["variance_swap"] == pytest.approx(10 * vega["option"] / vega["variance_swap"], rel=1e-6)
    listed = oh.trade_list(hedge)
    assert listed.proposed["instrument"].tolist() == ["variance_swap"]
    assert not [reason for reason in listed.reasons if "variance_swap" in reason]


@pytest.mark.parametrize("kind", HELD)
def test_a_market_moved_by_a_shock_prices_a_contract_as_its_revaluation_does(kind: str) -> None:
    given = market()
    gain = gains(given, kind, spot=[0.03], vol=[0.02])[0]
    after = moved(given, {"spot": 0.03, "vol": 0.02})
    assert contract_pnl(given, after)[kind] == pytest.approx(gain, rel=1e-9)
