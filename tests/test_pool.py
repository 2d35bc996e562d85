"""Pool positions and power perpetuals against 50-digit arithmetic, differences, recorded states and a recorded week."""

import gzip
import json
from dataclasses import replace

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optihedge.errors import DataError
from optihedge.market.pool import PARTS, PoolPosition, PowerPerpetual, explain_pool
from optihedge.market.pool_state import PoolState, amounts_of, sqrt_price_at
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market

mpmath.mp.dps = 60
RANGE = PoolPosition(1000.0, 1600.0, 2500.0, 0.3, 120.0)
EVERYWHERE = PoolPosition(1000.0)
LP = PoolPosition(2000.0, 1650.0, 2000.0)


def exact_value(p, price):
    """The value in 60 digits, from the reserves of the curve (x + L / sqrt(upper)) (y + L sqrt(lower)) = L^2."""
    liquidity, s = mpmath.mpf(p.liquidity), mpmath.mpf(price)
    low, high = mpmath.sqrt(p.lower), mpmath.mpf(0) if np.isinf(p.upper) else 1 / mpmath.sqrt(p.upper)
    at = min(max(s, mpmath.mpf(p.lower)), mpmath.inf if np.isinf(p.upper) else mpmath.mpf(p.upper))
    x = mpmath.sqrt(liquidity**2 / at) - liquidity * high
    y = mpmath.sqrt(liquidity**2 * at) - liquidity * low
    return (x + p.asset_owed) * s + y + p.money_owed


@pytest.mark.parametrize("position", [RANGE, EVERYWHERE, PoolPosition(3.0, 0.0, 1900.0), PoolPosition(5.0, 1900.0)])
@pytest.mark.parametrize("price", [900.0, 1600.5, 1850.0, 2499.0, 4000.0])
def test_value_delta_and_gamma_are_those_of_exact_pool_mathematics(position, price):
    assert float(position.value(price)) == pytest.approx(float(exact_value(position, price)), rel=1e-12)
    slope = mpmath.diff(lambda s: exact_value(position, s), price)
    bend = mpmath.diff(lambda s: exact_value(position, s), price, 2)
    assert float(position.delta(price)) == pytest.approx(float(slope), rel=1e-8, abs=1e-10)
    assert float(position.gamma(price)) == pytest.approx(float(bend), rel=1e-8, abs=1e-12)


def test_a_constant_product_pool_is_the_range_from_nothing_to_everything():
    pool = PoolPosition.of_reserves(50.0, 100_000.0, share=0.1)
    asset, money = pool.amounts(2000.0)
    assert (float(asset), float(money)) == pytest.approx((5.0, 10_000.0))
    asset, money = pool.amounts(3000.0)
    assert float(asset * money) == pytest.approx(5.0 * 10_000.0) and float(money / asset) == pytest.approx(3000.0)


@given(st.floats(100, 9000), st.floats(100, 9000))
def test_divergence_never_gains_and_is_none_without_a_move(entry, price):
    for position in (RANGE, EVERYWHERE):
        assert position.divergence_loss(entry, price) <= 1e-9
        assert abs(position.divergence_loss(entry, entry)) < 1e-9


def test_the_textbook_divergence_loss_of_a_doubled_price():
    """2 sqrt(2) / 3 - 1 = -5.72 % of what was held."""
    asset, money = EVERYWHERE.amounts(1000.0)
    loss = EVERYWHERE.divergence_loss(1000.0, 2000.0) / (asset * 2000.0 + money)
    assert float(loss) == pytest.approx(2 * np.sqrt(2) / 3 - 1, rel=1e-12)


def test_one_liquidity_of_two_adjoining_ranges_is_that_of_both():
    low, high = PoolPosition(7.0, 1600.0, 2000.0), PoolPosition(7.0, 2000.0, 2500.0)
    both, at = PoolPosition(7.0, 1600.0, 2500.0), np.linspace(1000.0, 3000.0, 41)
    assert low.value(at) + high.value(at) == pytest.approx(both.value(at), rel=1e-12)
    assert low.delta(at) + high.delta(at) == pytest.approx(both.delta(at), abs=1e-12)


@given(st.floats(100, 9000), st.floats(100, 9000), st.floats(0, 5), st.floats(0, 500))
def test_the_parts_of_a_profit_add_up(entry, leave, asset, money):
    parts = explain_pool(RANGE, RANGE.with_fees(asset, money), entry, leave)
    assert parts[list(PARTS)].sum() == pytest.approx(parts["total"], rel=1e-12, abs=1e-8)
    assert parts["fees"] == pytest.approx(asset * leave + money)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoolPosition(1.0, 5.0, 5.0), "range 5 to 5; give 0 <= lower < upper"),
        (lambda: PoolPosition(-1.0), "liquidity is -1"),
        (lambda: RANGE.value(0.0), "price 0; give money per asset, above zero"),
        (lambda: RANGE.value(np.array([1.0, np.nan])), "price nan"),
        (lambda: explain_pool(RANGE, replace(RANGE, liquidity=2.0), 1.0, 2.0), "liquidity or range changed"),
        (lambda: sqrt_price_at(900_000), "tick 900000 is out of range"),
        (lambda: PoolState.of({"sqrtPriceX96": "1"}), "field ticks is missing"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


# ---- the chain's integers --------------------------------------------------------------------------------------------


def test_prices_of_ticks_are_the_chains_at_its_published_ends():
    assert sqrt_price_at(-887_272) == 4_295_128_739
    assert sqrt_price_at(887_272) == 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_342
    assert sqrt_price_at(0) == 1 << 96


@given(st.integers(-887_272, 887_271))
def test_prices_of_ticks_are_roots_of_powers(tick):
    exact = mpmath.power(mpmath.mpf("1.0001"), mpmath.mpf(tick) / 2) * 2**96
    assert abs(sqrt_price_at(tick) - exact) <= 1 + exact * mpmath.mpf("1e-15")
    assert sqrt_price_at(tick) < sqrt_price_at(tick + 1)


@given(st.integers(1, 10**22), st.integers(-200_000, 200_000), st.integers(1, 50_000), st.integers(-250_000, 250_000))
def test_amounts_are_the_exact_ones_rounded_down(liquidity, lower, width, tick):
    low, high = (mpmath.mpf(sqrt_price_at(t)) for t in (lower, lower + width))
    at = min(max(mpmath.mpf(sqrt_price_at(tick)), low), high)
    zero, one = amounts_of(liquidity, sqrt_price_at(tick), lower, lower + width)
    exact = liquidity * mpmath.mpf(2**96) * (high - at) / (high * at), liquidity * (at - low) / 2**96
    assert 0 <= exact[1] - one < 1 and -1e-20 <= exact[0] - zero < 2


def states(recorded):
    for path in sorted((recorded("amm_uniswap_v3") / "pool_snapshots").glob("*.json.gz")):
        with gzip.open(path) as stream:
            yield json.load(stream)


def test_recorded_states_are_read_to_the_last_unit(recorded):
    """Liquidity in range, of every tick and of the pool, is that of the positions; every position's amounts and fees
    are what the chain's own formulas give, and the float position holds the same.
    """
    count = 0
    for state in states(recorded):
        pool = PoolState.of(state)
        inside = (row for row in state["positions"] if int(row["tickLower"]) <= pool.tick < int(row["tickUpper"]))
        assert sum(int(row["liquidity"]) for row in inside) == pool.liquidity == int(state["liquidity"])
        for row in state["positions"]:
            zero, one = pool.amounts(row)
            owed = pool.owed(row)
            assert owed[0] >= int(row["tokensOwed0"]) and owed[1] >= int(row["tokensOwed1"])
            position, price = PoolPosition.of_state(pool, row, (6, 18), asset=1)
            asset, money = position.amounts(price)
            unit = 1e-9 * position.liquidity * np.sqrt(price)
            assert float(asset) * 1e18 == pytest.approx(one, rel=1e-6, abs=unit / price * 1e18 + 2)
            assert float(money) * 1e6 == pytest.approx(zero, rel=1e-6, abs=unit * 1e6 + 2)
            assert (position.money_owed, position.asset_owed) == (owed[0] / 1e6, owed[1] / 1e18)
            count += 1
    assert count == 785 + 710


def test_fees_grow_for_what_is_in_range_alone(recorded):
    """A unit of fee growth more is liquidity / 2^128 more owed inside, nothing outside."""
    state = next(states(recorded))
    more = state | {"feeGrowthGlobal0X128": str(int(state["feeGrowthGlobal0X128"]) + (1 << 128))}
    before, after = PoolState.of(state), PoolState.of(more)
    for row in state["positions"]:
        inside = int(row["tickLower"]) <= before.tick < int(row["tickUpper"])
        grown = after.owed(row)[0] - before.owed(row)[0]
        assert grown == (int(row["liquidity"]) if inside else 0)
        assert after.owed(row)[1] == before.owed(row)[1]


def test_a_state_whose_price_is_not_its_ticks_is_refused(recorded):
    state = next(states(recorded))
    with pytest.raises(DataError, match="is not a price of tick"):
        PoolState.of(state | {"tickCurrent": int(state["tickCurrent"]) + 1})
    with pytest.raises(DataError, match="tick 60 is an end of a position but not in the state's ticks"):
        PoolState.of(state).growth_inside(60, 120)
    with pytest.raises(DataError, match=r"sqrtPriceX96 is 1\.5, no integer"):
        PoolState.of(state | {"sqrtPriceX96": 1.5})


# ---- a recorded week -------------------------------------------------------------------------------------------------


def test_a_hedged_week_is_explained_with_divergence_and_fees(recorded):
    """Liquidity around the price through the fall of August 2023, hedged hourly with a perpetual: parts close."""
    minutes = pd.read_parquet(recorded("amm_uniswap_v3") / "polygon_usdc_weth_005_minute.parquet")
    minutes = minutes[minutes["time"] < "2023-08-18"]
    price = minutes["price_usdc_per_weth"].to_numpy()
    position = start = PoolPosition(2000.0, 1650.0, 2000.0)
    pool = minutes["liquidity"].map(int).to_numpy(dtype=float) / 10**12
    paid = minutes[["in_amount1_weth", "in_amount0_usdc"]].to_numpy()
    fees = position.earned(price, paid, pool + position.liquidity, 0.0005)
    hours, rows, hedge = range(0, len(price) - 60, 60), [], 0.0
    for begin in hours:
        asset, money = fees[begin + 1 : begin + 61].sum(axis=0)
        later = position.with_fees(asset, money)
        parts = explain_pool(position, later, price[begin], price[begin + 60])
        short = -float(position.delta(price[begin]))
        rows.append({**parts, "hedge": short * (price[begin + 60] - price[begin])})
        hedge += short * (price[begin + 60] - price[begin])
        position = later
    table = pd.DataFrame(rows)
    last = price[hours[-1] + 60]
    book = float(position.value(last)) - float(start.value(price[0]))
    assert len(table) >= 100
    assert table["total"].sum() == pytest.approx(book, abs=1e-9 * float(start.value(price[0])))
    assert table[[*PARTS, "hedge"]].to_numpy().sum() == pytest.approx(book + hedge, abs=1e-9 * abs(book))
    assert (table["gamma"] + table["divergence"] <= 1e-9).all() and (table["fees"] >= 0).all()
    hedged = table["total"] + table["hedge"]
    assert hedged.std() < 0.35 * table["total"].std()  # the fall is hedged; what stays is gamma against fees
    assert table["fees"].sum() > 0


def pool_market(price=1850.0, position=LP, **more):
    """A perpetual that may be traded, a position in a pool and a power perpetual, all on one coin."""
    squeeth = PowerPerpetual(0.2896).tables("oSQTH", "WETH", "USD", price, daily_decay=0.001)
    perpetual = pd.DataFrame({
        "instrument": ["WETH-PERP", "WETH-X"], "type": ["perpetual", "index"], "underlying": "WETH", "currency": "USD",
        "hedge": [True, False],
    })  # fmt: skip
    tables = [perpetual, position.tables("LP", "WETH", "USD")["instruments"], squeeth["instruments"]]
    quotes = pd.DataFrame({"instrument": ["WETH-PERP", "WETH-X"], "bid": price, "ask": price})
    return Market(
        pd.concat(tables, ignore_index=True), pd.concat([quotes, squeeth["quotes"]], ignore_index=True), "USD",
        own_exposures=squeeth["exposures"], own_loadings=squeeth["loadings"],
        **{"as_of": "2023-08-14"} | more,
    )  # fmt: skip


def test_a_pool_position_is_a_line_of_a_market_like_any_other():
    market, position = pool_market(), LP
    squeeth, exposures = PowerPerpetual(0.2896), 2000.0 * market.exposures.loc["LP"]
    assert exposures["value"] == pytest.approx(float(position.value(1850.0)))
    assert exposures["delta"] == pytest.approx(float(position.delta(1850.0)) * 1850)
    assert exposures["gamma"] == pytest.approx(float(position.gamma(1850.0)) * 1850**2 / 100)
    assert market.exposures.at["oSQTH", "delta"] == pytest.approx(2 * float(squeeth.value(1850.0)))
    assert market.exposures.at["oSQTH", "theta"] == pytest.approx(-0.001 * float(squeeth.value(1850.0)))
    loadings = pd.DataFrame(market.loadings.matrix.toarray(), market.drivers.index, market.names)
    assert loadings.loc["WETH"].to_dict() == pytest.approx(market.exposures["delta"].to_dict())
    assert market.levels["WETH"] == 1850.0


@pytest.mark.parametrize("shock", [-0.3, -0.108, -0.05, 0.02, 0.0811, 0.4])
def test_a_scenario_of_a_pool_position_is_its_value_there_inside_and_outside_its_range(shock):
    position = LP
    gain = 2000.0 * scenario_pnl(pool_market(), pd.DataFrame({"spot:WETH": [shock]}), ["LP"])["LP"].iloc[0]
    there = 1850.0 * (1 + shock)
    assert gain == pytest.approx(float(position.value(there) - position.value(1850.0)), rel=1e-9)
    held = float(position.delta(1850.0)) * 1850.0 * shock
    assert gain - held == pytest.approx(float(position.divergence_loss(1850.0, there)), rel=1e-6, abs=1e-6)


def test_a_pool_position_is_hedged_with_a_perpetual():
    from desks import simple

    from optihedge.hedge.terms.neutrality import Neutral

    market, position = pool_market(), LP
    hedge = simple(market, constraints=(Neutral("delta"),), universe=("WETH-PERP",)).hedge(market, {"LP": 2000.0})
    assert hedge.trades["WETH-PERP"] == pytest.approx(-float(position.delta(1850.0)), rel=1e-6)


def test_a_recorded_fall_walked_with_a_pool_position_books_its_value_to_the_cent(recorded):
    """Hourly through August 2023: the book's P&L is the change of what its amounts are worth, and half of its variance
    or more is gone under the shipped model of neutrality.
    """
    import optihedge as oh

    minutes = pd.read_parquet(recorded("amm_uniswap_v3") / "polygon_usdc_weth_005_minute.parquet")
    hourly = minutes[minutes["time"] < "2023-08-18"].iloc[::60]
    price, position = hourly["price_usdc_per_weth"].to_numpy(), LP
    markets = [
        pool_market(p, position, as_of=t) for p, t in zip(price, hourly["time"].dt.tz_localize("UTC"), strict=True)
    ]
    model = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta"),))
    walk = oh.run_backtest(model, markets, {"LP": 2000.0})
    np.testing.assert_allclose(walk.pnl["book"].to_numpy(), np.diff(position.value(price)), atol=0.005)
    assert walk.pnl["both"].var() < 0.2 * walk.pnl["book"].var()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"type": "pool", "range_lower": 5.0, "range_upper": 5.0},
            "range_lower of A is 5.0, not below its range_upper",
        ),
        ({"type": "equity", "range_lower": 5.0}, "range_lower of A is 5.0, yet its type is not pool"),
        ({"type": "pool", "underlying": "", "range_lower": 5.0}, "underlying of A is empty"),
    ],
)
def test_a_range_that_is_none_is_refused(row, message):
    rows = {"instrument": ["A"], "underlying": "X", "currency": "USD"} | row
    with pytest.raises(DataError, match=message):
        Market(pd.DataFrame(rows), pd.DataFrame({"instrument": ["A"], "mark": [1.0]}), "USD", as_of="2023-08-14")


# ---- power perpetuals ------------------------------------------------------------------------------------------------


def test_a_power_perpetual_has_the_greeks_of_its_power():
    for power in (2.0, 3.0, 0.5):
        one = PowerPerpetual(0.3, power, 1e4, premium=0.02)

        def worth(s, power=power):
            return mpmath.mpf(0.3) * mpmath.mpf("1.02") * mpmath.mpf(s) ** power / 10_000

        assert float(one.delta(1850.0)) == pytest.approx(float(mpmath.diff(worth, 1850)), rel=1e-12)
        assert float(one.gamma(1850.0)) == pytest.approx(float(mpmath.diff(worth, 1850, 2)), rel=1e-12)


def test_squeeth_is_its_recorded_price_within_its_premium(recorded):
    rows = pd.read_parquet(recorded("amm_uniswap_v3") / "ethereum_squeeth_minute.parquet")
    first, last = rows.iloc[0], rows.iloc[-1]
    index = float(PowerPerpetual(first["norm_factor"]).value(first["weth_usd"])) / first["weth_usd"]
    assert first["osqth_weth"] == pytest.approx(index, rel=0.05)
    paid = PowerPerpetual(first["norm_factor"]).decay(last["norm_factor"], first["weth_usd"])
    assert -0.02 < float(paid) / (index * first["weth_usd"]) < 0
