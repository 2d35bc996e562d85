"""Foreign money: what it earns against base, whatever carries it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market

AS_OF = pd.Timestamp("2026-01-20T12:00:00Z")
EXPIRY = pd.Timestamp("2026-03-27T08:00:00Z")
MONEY_MOVES = {  # what every foreign money's rise by h does to the pairs, by base
    "USD": {"EURUSD": 1, "EURGBP": 0},
    "EUR": {"EURUSD": -1, "EURGBP": -1},
    "GBP": {"EURUSD": 0, "EURGBP": 1},
    "BTC": {"EURUSD": 1, "EURGBP": 0},  # dollars are a delta on the coin: home
}


def accounts(base: str) -> Market:
    """A coin's inverse perpetual, and the coin, dollars and euros as cash; the pair is quoted in dollars per euro."""
    table = pd.DataFrame(
        [
            ("INDEX", "index", "BTC", "USD"), ("PERP", "inverse_perpetual", "BTC", "USD"),
            ("COIN", "cash", "", "BTC"), ("DOLLARS", "cash", "", "USD"), ("EUROS", "cash", "", "EUR"),
        ],
        columns=["instrument", "type", "underlying", "currency"],
    )  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["INDEX", "PERP"], "bid": 92_000.0, "ask": 92_000.0})
    days = pd.date_range("2026-01-01", periods=3, tz="UTC")
    history = pd.DataFrame({"BTC": [90e3, 91e3, 92e3], "EURUSD": [1.1, 1.15, 1.25]}, days)
    drivers = pd.DataFrame({"driver": ["BTC", "EURUSD"], "kind": ["price", "fx"]})
    return Market(table, quotes, base, drivers=drivers, history=history)


@pytest.mark.parametrize(
    ("base", "delta", "fx"),
    [  # of COIN, DOLLARS, EUROS, each as a share of its value
        ("USD", (1, 0, 0), (0, 0, 1)),
        ("EUR", (1, 0, 0), (1, 1, 0)),
        ("BTC", (0, -1, -1), (0, 0, 1)),
    ],
)
def test_foreign_money_has_no_delta_but_an_fx_exposure_whatever_the_quotation(base, delta, fx):
    market = accounts(base)
    cash = market.exposures.loc[["COIN", "DOLLARS", "EUROS"]]
    np.testing.assert_allclose(cash["delta"], np.array(delta) * cash["value"], rtol=1e-12)
    np.testing.assert_allclose(cash["fx"], np.array(fx) * cash["value"], rtol=1e-12)
    still = cash["delta"] == 0
    assert (cash.loc[still, "gamma"] == 0).all()
    on_coin = pd.Series(market.loadings.matrix.toarray()[0], market.names)
    np.testing.assert_allclose(on_coin, market.exposures["delta"], rtol=1e-12)
    assert market.exposures.loc["PERP", "fx"] == 0


def test_in_a_coin_base_dollars_are_a_delta_on_the_coin_that_a_perpetual_hedges():
    market = accounts("BTC")
    codes, labels = market.group("underlying")
    of = pd.Series(np.array(labels)[codes], market.names)
    assert of.to_dict() == dict.fromkeys(market.names, "BTC")
    model = HedgeModel(
        objective=(SpreadCost(),), constraints=(Neutral("delta", by="underlying"),), universe=("PERP",),
    )  # fmt: skip
    hedge = model.hedge(market, pd.Series({"DOLLARS": 92_000.0}))
    assert hedge.trades["PERP"] == pytest.approx(92_000.0, rel=1e-9)
    assert accounts("USD").instruments.loc["DOLLARS", "underlying"] == "USD"


def monies(base: str) -> Market:
    """Whatever carries foreign money: stocks, cash, and the spot, the future and an option of two pairs."""
    rows = [
        ("BTC", "index", "BTC", "USD"), ("SPX", "index", "SPX", "USD"), ("SAP", "equity", "SAP", "EUR"),
        ("X", "equity", "X", "USD"), ("EUROS", "cash", "", "EUR"), ("POUNDS", "cash", "", "GBP"),
        ("DOLLARS", "cash", "", "USD"), ("EURUSD", "spot", "EUR", "USD"), ("EURGBP", "spot", "EUR", "GBP"),
        ("6E", "future", "EUR", "USD"), ("RP", "future", "EUR", "GBP"), ("6E-C", "option", "EUR", "USD"),
        ("SAP-C", "option", "SAP", "EUR"), ("SPX-EUR", "future", "SPX", "EUR"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["instrument", "type", "underlying", "currency"])
    dated, option = table["type"].isin(["future", "option"]), table["type"] == "option"
    table["expiry"] = pd.Series(pd.NaT, table.index, dtype="datetime64[ns, UTC]").where(~dated, EXPIRY)
    table["strike"], table["right"] = np.where(table["instrument"] == "SAP-C", 195.0, np.nan), np.where(option, "C", "")
    table.loc[table["instrument"] == "6E-C", "strike"] = 1.2
    marks = {
        "BTC": 92_000.0, "SPX": 6000.0, "SAP": 200.0, "X": 50.0, "EURUSD": 1.25, "EURGBP": 0.85, "6E": 1.26, "RP": 0.86,
        "6E-C": 0.07, "SAP-C": 12.0, "SPX-EUR": 4900.0,
    }  # fmt: skip
    quotes = pd.DataFrame({"bid": marks, "ask": marks}).rename_axis("instrument")
    drivers = pd.DataFrame({"driver": ["BTC", "SPX", "SAP", "X", "EURUSD", "EURGBP"]})
    return Market(table, quotes, base, drivers=drivers, as_of=AS_OF)


@pytest.mark.parametrize("base", MONEY_MOVES)
def test_fx_is_what_a_basis_point_on_all_foreign_money_earns_whatever_carries_it(base):
    market, h = monies(base), 1e-4
    assert market.drivers["kind"].tolist() == ["price"] * 4 + ["fx"] * 2
    moves = MONEY_MOVES[base].items()
    earned = scenario_pnl(market, pd.DataFrame([{pair: (1 + s) ** up - 1 for pair, up in moves} for s in (h, -h)]))
    expected = (earned.iloc[0] - earned.iloc[1]) / (2 * h)
    np.testing.assert_allclose(market.exposures["fx"], expected, rtol=1e-6, atol=1e-6 * abs(expected).max())


@pytest.mark.parametrize("base", MONEY_MOVES)
def test_what_a_contracts_own_driver_moves_is_either_its_delta_or_its_fx(base):
    market = monies(base)
    price, pair = market.drivers["kind"] == "price", market.drivers["kind"] == "fx"
    loadings = pd.DataFrame(market.loadings.matrix.toarray(), market.drivers.index, market.names)
    sign = pd.Series(MONEY_MOVES[base]).reindex(market.drivers.index[pair])
    np.testing.assert_allclose(market.exposures["fx"], loadings[pair].mul(sign, axis=0).sum(), rtol=1e-9, atol=1e-12)
    on_pairs = ["EURUSD", "EURGBP", "6E", "RP", "6E-C"]
    assert (market.exposures.loc[on_pairs, "delta"] == 0).all()
    others = market.names.drop([*on_pairs, "EUROS", "POUNDS", "DOLLARS"])
    own = [loadings.at[market.instruments.at[name, "underlying"], name] for name in others]
    assert price[market.instruments.loc[others, "underlying"]].all()
    np.testing.assert_allclose(market.exposures.loc[others, "delta"], own, rtol=1e-12)


def test_a_desks_own_delta_on_a_pair_stands_as_given_and_is_its_fx():
    plain = monies("USD")
    own = pd.DataFrame({"instrument": ["6E-C", "SAP"], "delta": [0.5, 260.0]})
    market = replace(plain, own_exposures=own)
    assert market.exposures.loc[["6E-C", "SAP"], "delta"].tolist() == [0.5, 260.0]
    assert market.exposures.loc["6E-C", "fx"] == pytest.approx(0.5, rel=1e-12)
    assert market.loadings.matrix[[4], :].toarray()[0, market.names.get_loc("6E-C")] == pytest.approx(0.5, rel=1e-12)
    assert market.exposures.loc["SAP", "fx"] == plain.exposures.loc["SAP", "fx"]


@pytest.mark.parametrize("drivers", [None, pd.DataFrame({"kind": ["price", "fx"]}, index=["SAP", "EURUSD"])])
@pytest.mark.parametrize("underlying", ["EUR", ""])
def test_a_currency_pair_hedges_the_money_of_a_foreign_stock(drivers, underlying):
    """A thousand shares at 118 euros are hedged by selling 118 000 euros, however little is said of the pair."""
    table = pd.DataFrame(
        {"type": ["equity", "spot"], "underlying": ["SAP", underlying], "currency": ["EUR", "USD"],
         "hedge": [False, True]}, index=["SAP", "EURUSD"],
    )  # fmt: skip
    quotes = pd.DataFrame({"bid": [118, 1.1], "ask": [118, 1.1]}, index=["SAP", "EURUSD"])
    market = Market(table, quotes, "USD", as_of=AS_OF, drivers=drivers)
    np.testing.assert_allclose(market.exposures[["delta", "fx"]], [[129.8, 129.8], [0, 1.1]], rtol=1e-12)
    hedge = HedgeModel(objective=(SpreadCost(),), constraints=(Neutral("fx"),)).hedge(market, {"SAP": 1000})
    assert hedge.trades["EURUSD"] == pytest.approx(-118_000, rel=1e-9)


def test_a_driver_without_a_kind_is_a_pair_only_between_two_currencies_in_use():
    """COP and AED are shares here, for nothing is priced in them; a coin is a price whatever is."""
    table = pd.DataFrame({
        "instrument": ["COP", "AED", "SAP", "ETHBTC", "COIN", "BTC", "FX"],
        "type": ["equity", "equity", "equity", "spot", "cash", "spot", "spot"],
        "underlying": ["COP", "AED", "SAP", "ETH", "", "BTC", "EUR"],
        "currency": ["USD", "USD", "EUR", "BTC", "BTC", "USD", "USD"],
    })  # fmt: skip
    names = ["COP", "AED", "SAP", "ETHBTC", "BTC", "FX"]
    quotes = pd.DataFrame({"instrument": names, "bid": [90, 10, 118, 0.05, 9e4, 1.1]}).assign(ask=lambda q: q["bid"])
    market = Market(table, quotes, "USD", as_of=AS_OF)
    assert market.drivers["kind"].to_dict() == {name: "price" for name in ("COP", "AED", "SAP", "ETH", "BTC")} | {
        "EUR": "fx"
    }
    assert market.exposures.loc["COIN", "delta"] == 9e4 and market.exposures.loc["COIN", "fx"] == 0


def test_a_market_says_which_contracts_load_on_a_price_that_is_neither_their_delta_nor_fx():
    table = pd.DataFrame({"instrument": ["SAP", "FX"], "type": ["equity", "spot"], "currency": ["EUR", "USD"]})
    table["underlying"] = ["SAP", "EUR"]
    quotes = pd.DataFrame({"instrument": ["SAP", "FX"], "bid": [118, 1.1], "ask": [118, 1.1]})
    drivers = pd.DataFrame({"driver": ["SAP", "EUR"], "kind": "price"})
    said = Market(table, quotes, "USD", as_of=AS_OF, drivers=drivers).summary()
    assert said["beside EUR"].startswith("1 contracts on something else") and said["beside EUR"].endswith("kind fx")
    assert not any("beside" in word for word in monies("USD").summary())
