"""The trade list: what to send where, one line per trade, the same bytes for the same inputs."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from optihedge.frames import plain_text
from optihedge.hedge.result import Hedge
from optihedge.market.instruments import types_of, venue_amounts
from optihedge.market.snapshot import Market
from optihedge.program.program import risk_gradient, row_values
from optihedge.trades.lots import round_to_lots

COLUMNS = (
    "as_of", "book", "order_id", "instrument", "venue", "side", "quantity", "venue_amount", "lot", "price",
    "limit_price", "notional", "cost", "reason", "model", "model_hash",
)  # fmt: skip
_MONEY_DIGITS, _PRICE_DIGITS = 6, 12  # significant; two decimals at least
_NOISE = 1e-6  # of what a trade takes off risk: a row that it serves by less does not bind


def trade_list(hedge: Hedge, *, book: str = "") -> pd.DataFrame:
    """The list of a hedge, rounded to whole lots where it is not yet: see `trade_table`. `book`: its name."""
    rounded = round_to_lots(hedge)
    return trade_table(
        rounded.market, rounded.trades, book=book, model=rounded.model.name, model_hash=rounded.model.fingerprint,
        reasons=reasons(rounded),
    )  # fmt: skip


def trade_table(
    market: Market,
    trades: pd.Series,
    *,
    book: str = "",
    model: str = "",
    model_hash: str = "",
    reasons: pd.Series | None = None,
) -> pd.DataFrame:
    """The list of `trades` (contracts by instrument, positive buys), COLUMNS, in the market's order of instruments.

    quantity      contracts, signed;  venue_amount  what the venue counts (see market.instruments), never
                  negative: USD of a Deribit future, coin of its options, contracts elsewhere
    price         reference price, limit_price the far side of the quote rounded outwards to the tick, both in the
                  instrument's price units; a sell's is at least one tick where the price cannot be negative
    notional      base currency;  cost  half-spread and fees expected, base currency; to cents, and below a thousand to
                  six significant digits
    reason        what the line serves most (see `reasons`)
    order_id      a letter, then a hash of instant, book, model, instrument, quantity and limit price: the same order
                  has the same id in every run, an order at another price another one; no spreadsheet reads a number
    """
    trades = trades[trades != 0].reindex(market.names[market.names.isin(trades.index[trades != 0])])
    names = trades.index
    instruments, quotes = market.instruments.loc[names], market.quotes.loc[names]
    quantity = trades.to_numpy(dtype=float)
    buys = quantity > 0
    exact = [f"{q:.10g}" for q in quantity]
    kind = types_of(instruments)
    lot, tick = instruments["lot"].to_numpy(float), instruments["tick"].to_numpy(float)
    price = market.price[names].to_numpy(float)
    far = np.where(buys, quotes["ask"].to_numpy(float), quotes["bid"].to_numpy(float))
    far = np.where(np.isfinite(far), far, price)
    limit, least = outward(far, tick, buys), np.where(buys | kind["signed"], 0.0, tick)
    limit = np.where(least > 0, np.maximum(limit, least), limit)
    spread = market.trade_cost.loc[names].to_numpy(float)
    expected = np.abs(quantity) * (np.where(buys, spread[:, 0], spread[:, 1]) + market.fees[names].to_numpy(float))
    as_of = market.as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = zip(names, exact, map(repr, limit.tolist()), strict=True)
    table = pd.DataFrame(
        {
            "as_of": as_of,
            "book": book,
            "order_id": [_order_id(as_of, book, model_hash or model, *line) for line in lines],
            "instrument": names.astype(str),
            "venue": instruments["venue"].to_numpy(),
            "side": np.where(buys, "BUY", "SELL"),
            "quantity": np.round(quantity, 10),
            "venue_amount": np.round(np.abs(quantity) * venue_amounts(instruments), 10),
            "lot": lot,
            "price": rounded_to(price, _PRICE_DIGITS),
            "limit_price": limit,
            "notional": rounded_to(np.abs(quantity) * market.notional[names].to_numpy(float), _MONEY_DIGITS),
            "cost": rounded_to(expected, _MONEY_DIGITS),
            "reason": "" if reasons is None else reasons.reindex(names).fillna("").to_numpy(),
            "model": model,
            "model_hash": model_hash,
        },
        columns=COLUMNS,
    )
    for column in ("book", "instrument", "venue", "reason", "model"):
        table[column] = [plain_text(text) for text in table[column]]
    return table


def reasons(hedge: Hedge) -> pd.Series:
    """By traded contract what its trade serves most: a limit's name, or 'risk'; 'rounding' if nothing.

    A trade x serves a row by -multiplier a x, risk by what it takes off 1/2 variance (the mean gradient before and
    after, so that trades' parts add up), a volatility limit by its multiplier times the same; all in base currency.
    A trade that serves risk most is still there for a binding row that was outside its limits, if it does a larger
    part of bringing that row back than of taking risk off. One that serves nothing may do so too; else it may be one of
    several that take risk off together, as its marginal risk at the answer says.
    """
    p, problem = hedge.program, hedge.problem
    count = int(problem.tradable.sum())
    trade = hedge.h - p.start
    rows, middle = p.rows.toarray(), p.start + trade / 2  # a quadratic's mean gradient is that of the middle
    before = row_values(p, p.start)
    outside = np.maximum(before - p.row_upper, 0) - np.maximum(p.row_lower - before, 0)
    back = np.clip(-rows * trade / np.where(outside == 0, np.inf, outside)[:, None], 0, 1)  # part of the way back
    risk = -risk_gradient(p, middle) * trade
    served = [risk, *(-hedge.multipliers[:, None] * rows * trade)]
    labels = np.array(["risk", *problem.row_limits], dtype=object)
    if p.volatility_limit is not None:
        served.append(-hedge.limit_multiplier * risk_gradient(p.volatility_limit, middle) * trade)
        labels = np.append(labels, p.volatility_limit.name)
    money = np.array(served)
    best = np.where(money.max(axis=0) > 0, money.argmax(axis=0), -1)
    binding = money[1 : 1 + len(rows)] > _NOISE * np.abs(risk)
    part_of_risk = np.divide(risk, risk.sum(), out=np.ones_like(risk), where=risk.sum() > 0)
    ahead = np.where(best == -1, back, np.where((best == 0) & binding & (back > part_of_risk), back, 0.0))
    if len(rows):
        best = np.where(ahead.max(axis=0) > 0, 1 + ahead.argmax(axis=0), best)
    together = -risk_gradient(p, hedge.h) * trade > 0
    best = np.where((best == -1) & together, 0, best)
    named = np.where(best >= 0, labels[best], "rounding")
    return pd.Series(named[:count], index=problem.names[problem.tradable], dtype=object)[trade[:count] != 0]


def outward(price: np.ndarray, tick: np.ndarray, buys: np.ndarray) -> np.ndarray:
    """Prices rounded to their tick, up for a buy and down for a sell; tick 0 leaves a price as it is."""
    step = np.where(tick > 0, tick, 1.0)
    exact = price / step
    whole = np.round(exact)
    near = np.abs(exact - whole) <= 1e-9 * np.maximum(np.abs(exact), 1.0)
    steps = np.where(near, whole, np.where(buys, np.ceil(exact), np.floor(exact)))
    return rounded_to(np.where(tick > 0, steps * step, price), _PRICE_DIGITS)


def rounded_to(values: np.ndarray, digits: int) -> np.ndarray:
    """Values to so many significant digits, and to two decimals at least."""
    size = np.abs(np.where(np.isfinite(values) & (values != 0), values, 1.0))
    decimals = np.clip(digits - 1 - np.floor(np.log10(size)), 2, 300).astype(int)
    return np.array([round(float(v), int(d)) for v, d in zip(values, decimals, strict=True)], dtype=float) + 0.0


def csv_text(table: pd.DataFrame) -> str:
    """The table as CSV, one way on every machine."""
    return table.to_csv(index=False, lineterminator="\n")


def _order_id(*parts: str) -> str:
    return "o" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:15]
