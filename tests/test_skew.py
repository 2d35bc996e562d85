"""Vol drivers at the moving forward and at a strike: both laws of the least-variance delta, on made-up smiles."""

import numpy as np
import pandas as pd
import pytest
from said import said

from optihedge.market.pricing import black
from optihedge.market.skew import at_the_money
from optihedge.market.snapshot import Market

AS_OF = pd.Timestamp("2026-03-02T21:00Z")
SPOT, LEVEL, BEND = 100.0, 0.22, 0.05
STRIKES = np.arange(80.0, 122.0, 2.0)
LIVES = (30, 90)


def smile(slope: float, z: np.ndarray) -> np.ndarray:
    return LEVEL + slope * z + BEND * z**2


def market(slope: float, at: str = "forward", *, tenors: tuple[str, ...] = ("",)) -> Market:
    """Two expiries of options on X at one smile in z = ln(K/F) / sqrt(T), and vol drivers of these tenors."""
    rows, quotes = [("X", "equity", "X", pd.NaT, np.nan, "")], [(SPOT, SPOT, np.nan)]
    for days in LIVES:
        years, expiry = days / 365, AS_OF + pd.Timedelta(days=days)
        vols = smile(slope, np.log(STRIKES / SPOT) / np.sqrt(years))
        for right in "CP":
            price = black(SPOT, STRIKES, years, vols, right)
            rows += [(f"{days}-{k:g}-{right}", "option", "X", expiry, k, right) for k in STRIKES]
            quotes += [(p, p, v) for p, v in zip(price, vols, strict=True)]
    names = pd.Index([row[0] for row in rows], name="instrument")
    table = pd.DataFrame([r[1:] for r in rows], names, ["type", "underlying", "expiry", "strike", "right"])
    drivers = pd.DataFrame({"driver": ["X", *(f"V{t}" for t in tenors)], "kind": "price", "underlying": "X"})
    drivers.loc[1:, "kind"] = "vol"
    drivers["tenor"], drivers["at"] = ["", *tenors], ["", *[at] * len(tenors)]
    return Market(table, pd.DataFrame(quotes, names, ["bid", "ask", "vol"]), "USD", drivers=drivers, as_of=AS_OF)


def least_variance_delta(m: Market, moves: np.ndarray) -> np.ndarray:
    """Units of X that leave least variance of each contract under these moves (T x D) of the drivers."""
    gains = moves @ m.loadings.matrix.toarray()
    x = gains[:, m.names.get_loc("X")]
    return (gains.T @ x) / (x @ x)


@pytest.mark.parametrize("slope", [-0.3, -0.1, 0.0, 0.2])
def test_where_no_strikes_vol_moves_the_least_variance_delta_is_blacks(slope: float) -> None:
    """The driver at the forward moves along today's smile, and nothing else moves."""
    m = market(slope, tenors=tuple(f"{AS_OF + pd.Timedelta(days=days):%Y-%m-%d}" for days in LIVES))
    returns = np.linspace(-0.02, 0.02, 9)
    moves = np.column_stack([returns, *(slope / np.sqrt(days / 365) * returns for days in LIVES)])
    black_delta = m.exposures["delta"].to_numpy() / SPOT
    np.testing.assert_allclose(least_variance_delta(m, moves), black_delta, atol=1e-6)


@pytest.mark.parametrize("slope", [-0.3, 0.2])
def test_where_the_smile_moves_with_the_spot_the_delta_gains_minus_vega_times_the_slope(slope: float) -> None:
    """The vol at the forward stays, so that the driver does: sticky delta."""
    m = market(slope)
    returns = np.linspace(-0.02, 0.02, 9)
    moves = np.column_stack([returns, np.zeros(9)])
    years = (m.instruments["expiry"] - AS_OF).dt.total_seconds().to_numpy() / (365 * 86400)
    exposures = m.exposures
    gain = np.nan_to_num(100 * exposures["vega"].to_numpy() * slope / np.sqrt(years))
    expected = (exposures["delta"].to_numpy() - gain) / SPOT
    np.testing.assert_allclose(least_variance_delta(m, moves), expected, atol=1e-6)


def test_a_driver_at_a_strike_leaves_the_spot_loadings_alone() -> None:
    m = market(-0.3, "strike")
    spot = m.loadings.matrix.toarray()[0]
    np.testing.assert_allclose(spot, m.exposures["delta"], rtol=1e-12)
    assert m.loadings.skew.nnz == 0
    moves = np.column_stack([np.linspace(-0.02, 0.02, 9), np.zeros(9)])
    np.testing.assert_allclose(least_variance_delta(m, moves), m.exposures["delta"] / SPOT, atol=1e-12)


def test_delta_itself_is_blacks_whatever_the_drivers_say() -> None:
    m = market(-0.3)
    np.testing.assert_allclose(m.price_delta.toarray()[0], m.exposures["delta"], rtol=1e-12)


def test_a_loading_that_the_desk_gives_is_taken_as_it_is() -> None:
    given = pd.DataFrame({"instrument": ["30-100-C"], "driver": ["X"], "loading": [7.0]})
    base = market(-0.3)
    m = Market(base.instruments, base.quotes, "USD", drivers=base.drivers, own_loadings=given, as_of=AS_OF)
    assert m.loadings.matrix[[0], [m.names.get_loc("30-100-C")]] == 7.0


def test_a_wild_vol_does_not_bend_the_slope() -> None:
    z = np.linspace(-0.2, 0.2, 15)
    vols = smile(-0.2, z)
    vols[3] = 1.5
    level, slope = at_the_money(z, vols, np.zeros(15, int))
    assert (level[0], slope[0]) == pytest.approx((LEVEL, -0.2), abs=1e-9)


def test_a_chain_of_too_few_strikes_has_no_slope() -> None:
    assert np.isnan(at_the_money(np.array([-0.1, 0.0, 0.1]), np.array([0.2, 0.2, 0.2]), np.zeros(3, int))).all()


def test_the_place_of_a_vol_driver_is_forward_or_strike() -> None:
    assert "moneyness" in said(lambda: market(-0.3, "moneyness"))
