"""A recorded coin-settled options desk: neutral in delta and bucketed vega in whole venue lots, in both numeraires."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from recorded_markets import deribit_market, deribit_risk, deribit_snapshots

import optihedge as oh
from optihedge.program.program import objective, row_violations

BANDS = {"USD": (1_000.0, 50.0), "BTC": (0.01, 5e-4)}  # delta; vega per point of each expiry
AVERSION = {"USD": 1e-6, "BTC": 0.1}  # about 1e-6 per USD, whatever the coin's price


def listed(market, expiry: pd.Timestamp, right: str, moneyness: float = 1.0) -> str:
    """The two-sided option of one expiry nearest this moneyness."""
    table = market.instruments
    chosen = table[(table["type"] == "inverse_option") & (table["expiry"] == expiry) & (table["right"] == right)]
    chosen = chosen[market.trade_cost.loc[chosen.index].notna().all(axis=1)]
    spot = float(market.levels["BTC"])
    return str((chosen["strike"] - moneyness * spot).abs().idxmin())


def expiries(market) -> list[pd.Timestamp]:
    options = market.instruments[market.instruments["type"] == "inverse_option"]
    later = options["expiry"] > market.as_of + pd.Timedelta(days=1)
    return sorted(options.loc[later, "expiry"].unique())


def desk_book(market) -> pd.Series:
    """25 coin of collateral; short near straddles (short gamma), long far ones (long vega)."""
    live, book = expiries(market), {"BTC": 25.0}
    for expiry, quantity in [*((e, -12.5) for e in live[:3]), *((e, 10.0) for e in live[-4:])]:
        for right in "CP":
            book[listed(market, expiry, right)] = quantity
    return pd.Series(book)


def desk_model(market, **changes) -> oh.HedgeModel:
    delta, vega = BANDS[market.base_currency]
    fields = {
        "risk": deribit_risk(market),
        "objective": (oh.Variance(aversion=AVERSION[market.base_currency]), oh.SpreadCost(), oh.FeeCost()),
        "constraints": (oh.Neutral("delta", band=delta), oh.Neutral("vega", by="expiry", band=vega)),
    }
    return oh.HedgeModel(**(fields | changes))


def assert_neutral_in_lots(hedge) -> None:
    """Whole lots, and every residual within its band plus half the lot exposure of the row's finest traded leg."""
    market, trades = hedge.market, hedge.trades[hedge.trades != 0]
    lots = trades / market.instruments["lot"].reindex(trades.index)
    assert np.abs(lots - lots.round()).max() < 1e-6
    program, x = hedge.program, hedge.h - hedge.program.start
    for row, violation in enumerate(row_violations(program, hedge.h)):
        exposure = np.abs(program.rows[[row]].toarray().ravel()) * program.lot
        traded = exposure[(np.abs(x) > 1e-9) & (exposure > 0)]
        assert violation <= 0.5 * traded.min(initial=np.inf) + 1e-9, program.row_names[row]


def check_snapshot(folder, snapshot, base: str) -> None:
    market = deribit_market(folder, snapshot, base)
    book = desk_book(market)
    before = market.exposures.loc[book.index].mul(book, axis=0)
    assert before["gamma"].sum() < 0 < before["vega"].sum()
    hedge = desk_model(market).hedge(market, book)
    assert hedge.certificate.status == "optimal"
    whole = oh.round_to_lots(hedge)
    assert_neutral_in_lots(whole)
    assert whole.risk.loc["volatility", "after"] < 0.5 * whole.risk.loc["volatility", "before"]
    assert whole.certificate.gap >= -1e-6 * whole.certificate.scale


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_a_recorded_desk_is_neutral_in_delta_and_bucketed_vega_in_whole_lots(recorded, base):
    folder = recorded("deribit_btc_2026")
    check_snapshot(folder, deribit_snapshots(folder)[-1], base)


@pytest.mark.slow
@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_every_recorded_snapshot_is_neutral_in_whole_lots(recorded, base):
    folder = recorded("deribit_btc_2026")
    for snapshot in deribit_snapshots(folder):
        check_snapshot(folder, snapshot, base)


def test_the_two_numeraires_differ_by_exactly_the_equity(recorded):
    folder = recorded("deribit_btc_2026")
    snapshot = deribit_snapshots(folder)[2]
    dollar, coin = (deribit_market(folder, snapshot, base) for base in ("USD", "BTC"))
    book = desk_book(dollar)
    spot = float(dollar.levels["BTC"])
    in_dollar, in_coin = (m.exposures.loc[book.index].mul(book, axis=0).sum() for m in (dollar, coin))
    assert in_dollar["delta"] / spot - in_coin["delta"] == pytest.approx(in_coin["value"], rel=1e-12)
    assert in_dollar["value"] == pytest.approx(in_coin["value"] * spot, rel=1e-12)


def test_without_a_band_the_continuous_hedge_is_neutral_to_a_billionth(recorded):
    folder = recorded("deribit_btc_2026")
    market = deribit_market(folder, deribit_snapshots(folder)[-1])
    hedge = desk_model(market, constraints=(oh.Neutral("delta"),)).hedge(market, desk_book(market))
    size = np.abs(hedge.after) @ market.exposures["delta"].abs().reindex(hedge.after.index)
    assert abs(hedge.exposures.loc["delta", "after"]) < 1e-9 * size


def test_a_small_joint_case_is_the_best_of_all_lot_choices(recorded):
    folder = recorded("deribit_btc_2026")
    market = deribit_market(folder, deribit_snapshots(folder)[-1])
    expiry = expiries(market)[4]
    legs = [listed(market, expiry, "C"), listed(market, expiry, "P", 0.95), "BTC-PERPETUAL"]
    book = pd.Series({listed(market, expiry, "C", 1.05): -1.5, listed(market, expiry, "P", 0.9): -0.8})
    lots = pd.Series({legs[2]: 100.0})  # a desk that trades the perpetual by the thousand dollars
    table = market.instruments.copy()
    table.loc[lots.index, "lot"] = lots
    market = oh.Market(table.reset_index(), market.quotes.reset_index(), "USD", drivers=market.drivers.reset_index(),
                       as_of=market.as_of, on_missing="freeze")  # fmt: skip
    model = desk_model(market, universe=legs, capital=1e6, constraints=(
        oh.Neutral("delta", band=600.0), oh.Neutral("vega", band=8.0)))  # fmt: skip
    hedge = model.hedge(market, book)
    whole = oh.round_to_lots(hedge)
    program = hedge.program
    near = np.round(hedge.h / program.lot)
    best = np.inf
    for steps in product(*(range(-10, 11) if lot < 1 else range(-30, 31) for lot in program.lot)):
        h = (near + np.array(steps)) * program.lot
        if row_violations(program, h).max() <= 1e-9:
            best = min(best, objective(program, h))
    assert np.isfinite(best)
    assert row_violations(program, whole.h).max() <= 1e-9
    assert objective(program, whole.h) == pytest.approx(best, rel=1e-9)
