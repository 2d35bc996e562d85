"""What execution cost: fills against the list that asked for them, line by line."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from optihedge.accounts.state import Fill
from optihedge.errors import DataError
from optihedge.hedge.result import Hedge
from optihedge.market.costs import trading_costs
from optihedge.market.depth import displayed
from optihedge.market.exposures import price_unit
from optihedge.market.moneys import money_rate
from optihedge.market.snapshot import Market

COLUMNS = (
    "instrument", "wanted", "filled", "left", "arrival", "average", "benchmark", "price_cost", "fees", "realised",
    "expected", "excess", "opportunity", "shortfall", "against_benchmark",
)  # fmt: skip


def slippage(
    market: Market,
    lines: pd.DataFrame,
    fills: Iterable[Fill],
    *,
    later: Market | None = None,
    benchmark: pd.Series | None = None,
) -> pd.DataFrame:
    """Cost of the fills of a list by order_id, COLUMNS; money in base currency at the list's instant, positive a cost.

    market      the market the list was made in;  lines  its table
    later       a market at the end of execution: what is left is charged its move (else NaN where something is left)
    benchmark   a price by instrument to compare with, such as the venue's volume-weighted one (else NaN)

    arrival is the mark when the list was made. realised = price_cost + fees, price_cost = sum of quantity x (price -
    arrival); expected is the line's cost for the part that was filled, excess = realised - expected; opportunity =
    left x (later mark - arrival); shortfall = realised + opportunity, the implementation shortfall (Perold 1988).
    Raises DataError for a fill of an order that the list does not have, or of more than it asked for.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> hedge = oh.load_model("delta_neutral").hedge(market, oh.read_book("example/book.csv"))
    >>> listed = oh.trade_list(hedge)
    >>> told = slippage(market, listed.table, [])
    >>> len(told) == len(listed)
    True
    """
    order = pd.Index(lines["order_id"])
    names = lines["instrument"].to_numpy()
    done = _by_order(market, order, names, fills)
    wanted, arrival = lines["quantity"].to_numpy(float), market.price[names].to_numpy(float)
    over = (np.abs(done["filled"]) > np.abs(wanted) * (1 + 1e-9)) | (done["filled"] * wanted < 0)
    if over.any():
        i = np.flatnonzero(over)[0]
        raise DataError(f"fills of {order[i]}: {done['filled'][i]:g} {names[i]} where {wanted[i]:g} were asked for; "
                        "leave out what belongs to another order")  # fmt: skip
    unit = price_unit(market.contracts)[market.names.get_indexer(names)]
    left = wanted - done["filled"]
    left = np.where(np.abs(left) < 1e-9 * np.abs(wanted), 0.0, left)
    price_cost = (done["paid"] - done["filled"] * arrival) * unit
    expected = lines["cost"].to_numpy(float) * np.abs(done["filled"] / wanted)
    end = np.full(len(names), np.nan) if later is None else later.price.reindex(names).to_numpy(float)
    opportunity = np.where(left == 0, 0.0, left * (end - arrival) * unit)
    against = np.full(len(names), np.nan) if benchmark is None else benchmark.reindex(names).to_numpy(float)
    realised = price_cost + done["fees"]
    with np.errstate(invalid="ignore", divide="ignore"):
        average = done["paid"] / done["filled"]
    columns = (names, wanted, done["filled"], left, arrival, average, against, price_cost, done["fees"], realised,
               expected, realised - expected, opportunity, realised + opportunity,
               (done["paid"] - done["filled"] * against) * unit)  # fmt: skip
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)), index=order)


def impact_rows(hedge: Hedge, told: pd.DataFrame) -> pd.DataFrame:
    """What `calibrated_impact` learns from: the orders of a slippage table that took more than was displayed.

    hedge   of the list, whose risk says a contract's daily deviation;  told  of `slippage`

    type; excess and volume, contracts beyond the displayed size and a day; deviation, base currency per contract and
    day; cost, base currency: what the fills paid beyond walking all that was shown. Raises DataError without a risk.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> hedge = oh.load_model("delta_neutral").hedge(market, oh.read_book("example/book.csv"))
    >>> listed = oh.trade_list(hedge)
    >>> list(impact_rows(listed.hedge, slippage(market, listed.table, [])).columns)[:2]
    ['type', 'excess']
    """
    form = hedge.problem.variance
    if form is None:
        raise DataError("impact is told in daily deviations; give the hedging model a risk")
    market, names, filled = hedge.market, pd.Index(told["instrument"]), told["filled"].to_numpy(float)
    shown = displayed(market, names)[np.arange(len(names)), (filled > 0).astype(int)]
    walked = trading_costs(market, pd.Series(filled, index=names))[["spread", "depth"]].sum(axis=1).to_numpy(float)
    daily = pd.Series(form.alone() / np.sqrt(hedge.problem.days), index=hedge.problem.names)
    rows = pd.DataFrame({
        "type": market.instruments.loc[names, "type"].to_numpy(), "excess": np.abs(filled) - shown,
        "volume": market.quotes.loc[names, "volume"].to_numpy(float), "deviation": daily.reindex(names).to_numpy(float),
        "cost": told["price_cost"].to_numpy(float) - walked,
    }, index=told.index)  # fmt: skip
    return rows[(rows["excess"] > 0) & (rows["volume"] > 0) & (rows["deviation"] > 0) & rows["cost"].notna()]


def _by_order(market: Market, order: pd.Index, names: np.ndarray, fills: Iterable[Fill]) -> dict[str, np.ndarray]:
    """Per order: contracts filled, quantity x price paid, and fees in base currency."""
    sums = {key: np.zeros(len(order)) for key in ("filled", "paid", "fees")}
    place = {name: i for i, name in enumerate(order)}
    for fill in fills:
        i = place.get(fill.order_id, -1)
        if i < 0 or names[i] != fill.instrument:
            raise DataError(f"fill {fill.fill_id}: the list has no order {fill.order_id} of {fill.instrument}; "
                            "give the list that it belongs to, or leave it out")  # fmt: skip
        sums["filled"][i] += fill.quantity
        sums["paid"][i] += fill.quantity * fill.price
        sums["fees"][i] += fill.fee * money_rate(market, fill.money) if fill.fee else 0.0
    return sums
