"""Tickets: what a line costs beside its trade, at most so many lines, and what the list then says."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, stocks
from recorded_markets import deribit_market, deribit_snapshots
from test_desk_deribit import desk_book

import optihedge as oh
from optihedge.errors import DataError, SpecError
from optihedge.market.instruments import closes_small, trade_lots
from optihedge.program.chain import solve
from optihedge.program.lots.few_lines import few_lines
from optihedge.program.program import objective
from optihedge.trades.orders.table import order_table
from optihedge.trades.schedule import schedule
from optihedge.trades.table import trade_table
from optihedge.trades.tickets import Tickets


def desk(lots: dict | None = None, seed: int = 0) -> oh.Hedge:
    """Thirty stocks of which ten are held, all tradable at their spread."""
    market = stocks(30, seed=seed, spread=1e-4)
    book = pd.Series({f"S{i}": 1000.0 * (1 + i % 4) for i in range(10)})
    model = oh.HedgeModel(risk=oh.SampleRisk(), objective=(oh.Variance(1e-6), oh.SpreadCost()), lots=lots)
    return model.hedge(market, book)


def test_a_list_has_at_most_so_many_lines_and_says_how_far_it_can_be_from_the_best() -> None:
    every, few = oh.trade_list(desk()), oh.trade_list(desk({"most_lines": 5}))
    assert len(every) > 10 and 0 < len(few) <= 5 and few.verdict == "send"
    assert any(note == f"{len(few)} lines in place of {len(every)}" for note in few.notes)
    assert few.hedge.certificate.dual == pytest.approx(every.hedge.certificate.dual, rel=1e-9)
    assert few.hedge.certificate.gap >= every.hedge.certificate.gap


def test_a_ticket_fee_is_told_in_full_and_leaves_fewer_lines_the_larger_it_is() -> None:
    lists = [oh.trade_list(desk({"ticket_fee": fee})) for fee in (0.0, 2.0, 20.0)]
    lines = [len(made) for made in lists]
    assert lines[0] > lines[1] > lines[2] > 0
    for fee, made in zip((0.0, 2.0, 20.0), lists, strict=True):
        assert made.costs["other"] == pytest.approx(fee * len(made))
        assert made.costs["trading"] == pytest.approx(made["cost"].sum(), abs=0.005)
        assert made.costs["trading"] == pytest.approx(
            made.hedge.costs["trading"] + fee * len(made), abs=0.01 * len(made)
        )


def test_a_list_of_few_lines_stays_within_what_each_line_may_trade() -> None:
    given = desk({"most_lines": 6})
    quotes = given.market.quotes.assign(bid_size=300.0, ask_size=300.0)
    made = oh.trade_list(given.model.hedge(replace(given.market, quotes=quotes), given.before))
    assert 0 < len(made) <= 6 and (made["quantity"].abs() <= 300).all()


def test_a_list_made_again_is_the_same_list() -> None:
    made = oh.trade_list(desk({"most_lines": 5}))
    again = oh.trade_list(made.hedge)
    assert again.text() == made.text()


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"most_line": 3}, "there is no most_line .did you mean most_lines"), ({"most_lines": 0}, "most_lines is 0"),
     ({"ticket_fee": -1.0}, "ticket_fee is -1")],
)  # fmt: skip
def test_a_misspelt_or_impossible_setting_is_named(settings: dict, named: str) -> None:
    with pytest.raises(SpecError, match=named):
        Tickets.of(settings)


def old_limits(market: oh.Market, hedge: oh.Hedge) -> dict[str, float]:
    """What each line could trade when one quoted level was the limit, in contracts."""
    quotes = market.quotes.loc[hedge.problem.names]
    most = np.fmin(quotes[["bid_size", "ask_size"]].min(axis=1), 0.1 * quotes["volume"])
    return most[hedge.problem.tradable].fillna(np.inf).replace(np.inf, 1e12).to_dict()


def beside(market: oh.Market, book: pd.Series) -> pd.DataFrame:
    """Lines, cost and volatility of the list by one quoted level a line, and of twelve lines that walk the market."""
    model = oh.load_model("delta_neutral")
    blind = replace(model, objective=tuple(term for term in model.objective if not isinstance(term, oh.DepthCost)))
    free = blind.hedge(market, book)
    limited = replace(blind, constraints=(*model.constraints, oh.TradeLimit(old_limits(market, free))))
    walked = replace(model, lots={"most_lines": 12})
    rows = {}
    for name, one in (("one level a line", limited), ("at most 12 lines", walked)):
        try:
            made = oh.trade_list(one.hedge(market, book))
        except oh.InfeasibleError:  # what is quoted does not neutralise the book
            assert one is limited
            rows[name] = {"lines": np.nan, "cost": np.nan, "volatility": np.nan}
            continue
        rows[name] = {"lines": len(made), "cost": made.costs["total"],
                      "volatility": made.hedge.risk.loc["volatility", "after"]}  # fmt: skip
        assert made.verdict == "send"
    return pd.DataFrame(rows).T


def test_a_recorded_options_desk_is_hedged_with_twelve_lines_at_less_cost_than_with_dozens(recorded) -> None:
    folder = recorded("deribit_btc_2026")
    market = deribit_market(folder, deribit_snapshots(folder)[-1])
    table = beside(market, desk_book(market))
    assert table.loc["one level a line", "lines"] > 40 and table.loc["at most 12 lines", "lines"] <= 12
    assert table["cost"].iloc[1] <= table["cost"].iloc[0]


@pytest.mark.slow
def test_every_recorded_options_desk_is_hedged_with_twelve_lines(recorded) -> None:
    folder = recorded("deribit_btc_2026")
    for snapshot in deribit_snapshots(folder):
        market = deribit_market(folder, snapshot)
        for name, book in (("options", desk_book(market)), ("30 coins", pd.Series({"BTC": 30.0}))):
            table = beside(market, book)
            print(f"{snapshot.date()} {name}\n{table.round(0).to_string()}")
            assert table.loc["at most 12 lines", "lines"] <= 12


def halved(hedge: oh.Hedge) -> tuple[int, float, float]:
    """Lines, and what half of them cost: of the optimum's objective, of what the hedge saves; NaN of 20 or fewer."""
    program = hedge.program
    mask = np.zeros(len(program.columns), bool)
    mask[hedge.problem.columns.contracts] = True
    count = int((mask & (np.abs(hedge.h - program.start) > 1e-6 * np.where(program.lot > 0, program.lot, 1.0))).sum())
    if count <= 20:
        return count, np.nan, np.nan
    found = few_lines(program, hedge.answer.candidate, lambda p, warm: solve(p, warm=warm).candidate, mask,
                      most=count // 2)  # fmt: skip
    assert found.kept.sum() <= count // 2
    best, idle = objective(program, hedge.h), objective(program, program.start)
    return count, found.value / best - 1, (found.value - best) / (idle - best)


def halved_desks(folder: Path, seeds: Iterable[int]) -> Iterator[tuple[int, float, float]]:
    """Random books of 40 options and 50 coins on recorded markets, hedged by the shipped model of options desks."""
    model, markets = oh.load_model("optimal_hedge"), [deribit_market(folder, at) for at in deribit_snapshots(folder)]
    for seed in seeds:
        rng, market = np.random.default_rng(seed), markets[seed % len(markets)]
        table = market.instruments
        quoted = (table["type"] == "inverse_option").to_numpy() & market.trade_cost.notna().all(axis=1).to_numpy()
        book = pd.Series(np.round(rng.normal(0, 25, 40), 1), index=rng.choice(table.index[quoted], 40, replace=False))
        book["BTC"] = 50.0
        yield halved(model.hedge(market, book))


@pytest.mark.slow
def test_half_the_tickets_of_two_hundred_recorded_desks_cost_one_percent_of_the_objective_at_the_median(
    recorded,
) -> None:
    found = []
    for desk in halved_desks(recorded("deribit_btc_2026"), range(1000)):
        found += [desk] if desk[0] > 20 else []
        if len(found) == 200:
            break
    prices = np.array([of_objective for _, of_objective, _ in found])
    print(f"tickets halved: median {np.median(prices):.2%} of the objective, 90 % {np.quantile(prices, 0.9):.2%}")
    assert len(found) == 200 and np.median(prices) <= 0.01


def test_flat_risk_desk_without_room_for_few_lines_is_held() -> None:
    market = stocks(6)
    model = oh.HedgeModel(
        risk=flat_risk(market), objective=(oh.Variance(1e-6), oh.SpreadCost()), lots={"most_lines": 1},
        constraints=(oh.Neutral("delta"), oh.TradeLimit(50.0)), universe=("S1", "S2", "S3", "S4", "S5"),
    )  # fmt: skip
    made = oh.trade_list(model.hedge(market, {"S0": 400.0}))
    assert made.held and "lines" in made.reasons[0]


@pytest.mark.parametrize("held", [-4.0, -3.0, -1.0, 1.0, 2.0, 4.0])
def test_a_position_below_the_minimum_is_closed_or_left_and_never_turned(held: float) -> None:
    """Risk wants nothing of S1, and no order is below five: five would turn it, so it is closed as a whole or kept."""
    market = stocks(3)
    market = replace(market, instruments=market.instruments.assign(min_quantity=5.0))
    model = oh.HedgeModel(risk=flat_risk(market), objective=(oh.Variance(10.0), oh.SpreadCost()), universe=("S1",))
    made = oh.trade_list(model.hedge(market, {"S1": held}))
    assert made.hedge.after["S1"] in (0.0, held)
    large = oh.trade_list(model.hedge(market, {"S1": 10 * held}))
    assert large.hedge.after["S1"] * held >= 0 and len(large) == 1


@pytest.mark.parametrize("least", [5.0, 100.0, 1e6])
@pytest.mark.parametrize("held", [-4.0, -3.0, 2.0, 4.0])
def test_a_position_below_the_minimum_is_closed_reduce_only_where_the_venue_takes_that(
    held: float, least: float
) -> None:
    market = stocks(3)
    for said, left in (("yes", 0.0), ("no", held), ("", held)):  # shares: only where the venue says so
        given = replace(market, instruments=market.instruments.assign(min_quantity=least, close_small=said))
        model = oh.HedgeModel(risk=flat_risk(given), objective=(oh.Variance(10.0), oh.SpreadCost()), universe=("S1",))
        made = oh.trade_list(model.hedge(given, {"S1": held}))
        assert made.hedge.after["S1"] == left
        orders = made.orders()
        assert orders["reduce_only"].tolist() == [True] * int(left == 0)
        assert [float(q) for q in orders["quantity"]] == [abs(held)] * int(left == 0)


def test_a_closing_order_below_the_minimum_is_refused_where_it_does_not_close_all_or_the_venue_does_not_say() -> None:
    market = stocks(3)
    given = replace(market, instruments=market.instruments.assign(min_quantity=5.0, close_small=["", "yes", "no"]))
    line = lambda name, q: trade_table(given, pd.Series({name: q}))  # noqa: E731
    assert order_table(given, line("S1", -3.0), held=pd.Series({"S1": 3.0}))["reduce_only"].tolist() == [True]
    for name, traded, held in (("S1", -2.0, 3.0), ("S1", -3.0, 2.0), ("S1", 3.0, 3.0), ("S2", -3.0, 3.0)):
        with pytest.raises(DataError, match=f"{name} is below its min_quantity"):
            order_table(given, line(name, traded), held=pd.Series({name: held}))
    with pytest.raises(DataError, match="close_small of S0 is 'maybe'"):
        order_table(replace(given, instruments=given.instruments.assign(close_small="maybe")), line("S0", 5.0))


def test_futures_close_below_their_minimum_unless_the_venue_says_no() -> None:
    table = pd.DataFrame({"type": ["future", "perpetual", "equity", "future"], "close_small": ["", "", "", "no"]})
    assert closes_small(table).tolist() == [True, True, False, False]


@pytest.mark.parametrize("block", [1, 5, 25])
def test_every_trade_is_whole_blocks_of_lots(block: int) -> None:
    market = stocks(30, spread=1e-4)
    market = replace(market, instruments=market.instruments.assign(block=block, lot=2.0))
    model = oh.HedgeModel(risk=oh.SampleRisk(), objective=(oh.Variance(1e-6), oh.SpreadCost()))
    made = oh.trade_list(model.hedge(market, {f"S{i}": 1000.0 * (1 + i % 4) for i in range(10)}))
    assert len(made) and (made["quantity"] % (2.0 * block) == 0).all()
    assert (schedule(made, slices=4).table["quantity"] % (2.0 * block) == 0).all()
    assert len(made.orders()) == len(made)
    with pytest.raises(DataError, match="is no multiple of its increment"):
        order_table(replace(market, instruments=market.instruments.assign(block=7)), made.table)
    with pytest.raises(DataError, match=r"block of S0 is 1\.5; write a whole number"):
        trade_lots(market.instruments.assign(block=1.5))
