"""Models, or values of one, side by side on one market and book: what each would send, leave and cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optihedge.errors import OptihedgeError
from optihedge.hedge.model import HedgeModel
from optihedge.market.book import Book
from optihedge.market.snapshot import Market
from optihedge.trades.scenario_panels import stresses
from optihedge.trades.tradelist import TradeList, trade_list

_TOTALS = ("delta", "gamma", "vega", "theta")


def compare(market: Market, book: Book, models: Mapping[str, HedgeModel]) -> pd.DataFrame:
    """A column per model (by label), a row per figure; base currency, volatility a day.

    verdict, lines, notional traded, cost to trade, to hold and in all, volatility before and after, worst stress after,
    the gap of the proof, then the exposures after of delta, gamma, vega, theta and of every limit. A model that gives
    no list has its reason as verdict and nothing else.

    >>> import optihedge as oh, tempfile
    >>> folder = oh.write_example(tempfile.mkdtemp())
    >>> market, book = oh.read_market(folder), oh.read_book(folder / "book.csv")
    >>> told = compare(market, book, {name: oh.load_model(name) for name in ("beta_hedge", "optimal_hedge")})
    >>> list(told.loc["verdict"])
    ['send', 'send']
    """
    columns = {label: _column(market, book, model) for label, model in models.items()}
    order = list(dict.fromkeys(row for column in columns.values() for row in column))
    return pd.DataFrame(columns, index=order, dtype=object).rename_axis("figure")


def _column(market: Market, book: Book, model: HedgeModel) -> dict[str, object]:
    try:
        return _figures(trade_list(model.hedge(market, book)))
    except OptihedgeError as error:
        return {"verdict": f"{error.code}: {str(error).splitlines()[0]}"}


def _figures(listed: TradeList) -> dict[str, object]:
    hedge, costs = listed.hedge, listed.hedge.costs
    told: dict[str, object] = {
        "verdict": listed.verdict if not listed.held else f"held: {listed.reasons[0]}",
        "lines": len(listed.proposed), "notional traded": float(listed.proposed["notional"].sum()),
        "cost to trade": costs["trading"], "cost to hold": costs["holding"], "cost in all": costs["total"],
    }  # fmt: skip
    if len(hedge.risk):
        before, after = hedge.risk.loc["volatility"]
        told |= {"volatility before": before, "volatility after": after}
        told["risk left"] = after / before if before > 0 else np.nan
    stressed = stresses(hedge)
    if len(stressed):
        told["worst stress after"] = stressed["after"].min()
    told["proof: gap"] = hedge.certificate.gap
    exposures = hedge.exposures
    limited = exposures["target"].notna() & (exposures["before"] != exposures["after"])
    for name, row in exposures[exposures.index.isin(_TOTALS) | limited].iterrows():
        told[f"{name} after"] = row["after"]
    return told
