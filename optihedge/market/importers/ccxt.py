"""ccxt's unified dictionaries, of any of its venues: what its methods return, saved as JSON.

load_markets or fetch_markets, fetch_tickers, fetch_order_book(s), fetch_funding_rates, fetch_greeks (all of a chain),
fetch_balance, fetch_positions, fetch_my_trades. Amounts of contracts are contracts there (contractSize units each), but
for Deribit, where they stay the venue's own: USD of an inverse future, ten of which are one contract. Which venue it is
the files do not say: name it with --venue.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.frames import some
from optihedge.market.importers.books import book, levels_of
from optihedge.market.importers.coins import (
    add_contracts,
    add_index,
    decimal_vols,
    finish_coins,
    label_of,
    own_fills,
    years_to,
)
from optihedge.market.importers.envelope import listed, received
from optihedge.market.importers.fields import Fields, tens
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile

_NEAR = 0.25
"""A day's quoteVolume / baseVolume this near to its last price says that baseVolume is in coins; some venues of ccxt
give contracts there, and such a volume is not used."""


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of ccxt's dictionaries into the intake."""
    if raw.form != "json":
        intake.reject("the file", f"{raw.form}; ccxt's dictionaries are saved as JSON")
        return
    intake.records(_records(raw.content, intake), SHAPES)


def finish(intake: Intake) -> None:
    """Volumes, fees, and the money that most contracts are reckoned in."""
    told = intake.frame("instruments").drop_duplicates("instrument", keep="last").set_index("instrument")
    for traded in intake.settings.get("volumes", []):
        size = traded["instrument"].map(told["multiplier"]).astype(float)
        linear = traded["instrument"].map(told["type"]).isin(("spot", "perpetual", "future"))
        amount = traded["instrument"].map(told["venue_amount"]).astype(float)
        intake.quotes(traded.assign(volume=traded["volume"] / size * amount)[linear & (size > 0) & (amount > 0)])
    finish_coins(intake)


def _records(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    """Records of lists, of mappings by symbol and of balances, each with its place."""
    for place, value, _ in received(values, intake):
        if isinstance(value, dict) and isinstance(value.get("total"), dict):
            yield place, {"balances": value["total"], "timestamp": value.get("timestamp"), "info": value.get("info")}
        elif isinstance(value, dict) and value and all(isinstance(v, dict) and "symbol" in v for v in value.values()):
            yield from listed(place, list(value.values()))
        else:
            yield from listed(place, value)


# ---- contracts -----------------------------------------------------------------------------------------------------


def _markets(f: Fields, intake: Intake) -> None:
    stopped = ~f.flag("active", default=True)
    kind = f.text("type", needed=True).replace("swap", "perpetual")
    unknown = ~kind.isin(("spot", "perpetual", "future", "option")) & ~stopped
    if unknown.any():
        intake.reject("market", f"of type {kind[unknown].iloc[0]}", f.places[int(unknown.argmax())], int(unknown.sum()))
    if stopped.any():
        intake.reject("market", "no longer traded", count=int(stopped.sum()))
    chosen = ~stopped & ~unknown
    f, kind = f.where(chosen), kind[chosen].reset_index(drop=True)
    if not len(f):
        return
    lot, tick = f.number("precision.amount", needed=True), f.number("precision.price", needed=True)
    least = pd.Series([_least(v, "amount") for v in f.raw("limits")], dtype=float)
    cost = pd.Series([_least(v, "cost") for v in f.raw("limits")], dtype=float)
    lot, tick = _increments(lot, tick, least, intake)
    size = f.number("contractSize").where(kind != "spot", 1.0)
    amount = size.where(_counts_money(f, intake.venue) & (kind != "spot"), 1.0)
    unclear = (amount == 1) & (size > 1) & (lot == size) & f.flag("inverse")
    if unclear.any():
        why = "steps of amount equal the contract's size: contracts or money? Name the venue with --venue"
        intake.reject("market", why, f.places[int(unclear.argmax())], int(unclear.sum()))
    add_contracts(intake, pd.DataFrame({
        "symbol": f.text("symbol"), "family": kind, "base": f.text("base"), "quote": f.text("quote"),
        "settle": f.text("settle"), "size": size.where(~unclear), "amount": amount, "tick": tick,
        "lot": lot / amount, "least": least.fillna(lot) / amount,
        "expiry": f.time("expiry").where(kind.isin(("future", "option"))),
        "strike": f.number("strike").where(kind == "option"),
        "right": f.text("optionType").map({"call": "C", "put": "P"}).fillna(""), "fee": f.number("taker", needed=True),
        "maker_fee": f.number("maker"), "least_cost": cost, "venue_symbol": f.text("id"),
    }))  # fmt: skip


def _counts_money(f: Fields, venue: str) -> pd.Series:
    """Where amounts are the venue's own and not contracts: on Deribit, by name or by its own fields in `info`."""
    own = [isinstance(v, dict) and {"instrument_name", "min_trade_amount"} <= set(v) for v in f.raw("info")]
    return pd.Series(own, index=f.frame.index) | (venue == "deribit")


def _least(limits: Any, what: str) -> float:
    """limits[what]["min"] of a market, NaN where it is not said."""
    inner = limits.get(what) if isinstance(limits, dict) else None
    value = inner.get("min") if isinstance(inner, dict) else None
    return float(value) if value is not None else np.nan


def _increments(
    lot: pd.Series, tick: pd.Series, least: pd.Series, intake: Intake
) -> tuple[pd.Series, pd.Series]:  # fmt: skip
    """Steps of amount and price. Some venues of ccxt give decimal places: then a least amount lies below the step."""
    decimals = (lot > 1) & (lot <= 18) & (lot == lot.round()) & (least < lot)
    if not decimals.any():
        return lot, tick
    intake.note("precision is read as decimal places: least amounts lie below it")
    return pd.Series(tens(-lot), lot.index), pd.Series(tens(-tick), tick.index)


# ---- prices --------------------------------------------------------------------------------------------------------


def _tickers(f: Fields, intake: Intake) -> None:
    name, time = label_of(intake.venue, f.text("symbol")), f.time("timestamp")
    time = time.fillna(f.time("datetime"))
    head = {"instrument": name, "time": time}
    sizes = {"bid_size": f.number("bidVolume"), "ask_size": f.number("askVolume")}
    intake.quotes(pd.DataFrame(head | {"bid": f.number("bid"), "ask": f.number("ask")} | sizes))
    base, price = f.number("baseVolume"), f.number("last").fillna(f.number("close"))
    sure = (f.number("quoteVolume") / base / price - 1).abs() < _NEAR
    volumes = pd.DataFrame(head | {"volume": base})[sure]
    intake.settings = {**intake.settings, "volumes": [*intake.settings.get("volumes", []), volumes]}
    mark, index = f.number("markPrice"), f.number("indexPrice")
    option = f.text("symbol").str.contains(r"-[CP]$")
    intake.quotes(pd.DataFrame(head | {"mark": mark, "underlying_price": index})[~option])
    intake.held_marks(name[option], time[option], mark[option])  # the index is no option's forward: see _greeks
    pairs = f.text("symbol").str.extract(r"^([^/]+)/([^:]+):")
    add_index(intake, pairs[0].fillna(""), pairs[1].fillna(""), time, index)


def _order_books(f: Fields, intake: Intake) -> None:
    name, time = label_of(intake.venue, f.text("symbol")), f.time("timestamp").fillna(f.time("datetime"))
    for label, when, bids, asks in zip(name, time, f.raw("bids"), f.raw("asks"), strict=True):
        book(label, when, levels_of(bids), levels_of(asks), intake)


def _funding(f: Fields, intake: Intake) -> None:
    """Funding rates: the next one, for the hours of `interval` ('8h'); one without an interval is not used."""
    name, time = label_of(intake.venue, f.text("symbol")), f.time("timestamp").fillna(f.time("datetime"))
    hours = pd.to_numeric(f.text("interval").str.extract(r"^(\d+(?:\.\d+)?)h$")[0], errors="coerce").astype(float)
    rate = f.number("fundingRate")
    unsaid = rate.notna() & hours.isna()
    if unsaid.any():
        intake.reject("funding rate", "the interval that it is paid for is not said", count=int(unsaid.sum()))
    intake.quotes(pd.DataFrame({"instrument": name, "time": time, "funding_rate": rate.where(~unsaid),
                                "funding_hours": hours}))  # fmt: skip
    index = f.number("indexPrice")
    rows = {"instrument": name, "time": time, "mark": f.number("markPrice"), "underlying_price": index}
    intake.quotes(pd.DataFrame(rows))
    pairs = f.text("symbol").str.extract(r"^([^/]+)/([^:]+):")
    add_index(intake, pairs[0].fillna(""), pairs[1].fillna(""), time, index)


def _greeks(f: Fields, intake: Intake) -> None:
    """fetch_greeks, fetch_option: the chain's prices, forwards and vols; the venue's Greeks for comparison."""
    name, time = label_of(intake.venue, f.text("symbol")), f.time("timestamp").fillna(f.time("datetime"))
    head = {"instrument": name, "time": time}
    if "bidPrice" in f:
        sizes = {"bid_size": f.number("bidSize"), "ask_size": f.number("askSize")}
        intake.quotes(pd.DataFrame(head | {"bid": f.number("bidPrice"), "ask": f.number("askPrice")} | sizes))
    mark, forward = f.number("markPrice"), f.number("underlyingPrice")
    vol = _decimals(f.text("symbol"), time, f.number("markImpliedVolatility"), mark, forward, intake)
    intake.quotes(pd.DataFrame(head | {"mark": mark, "underlying_price": forward, "vol": vol.where(vol > 0)}))
    greeks = {f"venue_{g}": f.number(g) for g in ("delta", "gamma", "vega", "theta", "rho")}
    intake.add("greeks", pd.DataFrame(head | greeks))


def _decimals(
    symbol: pd.Series, time: pd.Series, vol: pd.Series, mark: pd.Series, forward: pd.Series, intake: Intake
) -> pd.Series:  # fmt: skip
    """Vols as decimals; some venues of ccxt say percent. What reprices the marks is right; else none is used."""
    parts = symbol.str.extract(r"^([^/]+)/[^:]+:([^-]+)-(\d{6})-([\d.]+)-([CP])$")
    expiry = pd.to_datetime(parts[2], format="%y%m%d", errors="coerce").dt.tz_localize("UTC") + pd.Timedelta(hours=8)
    inverse = (parts[0] == parts[1]).to_numpy()
    strike = parts[3].astype(float)
    return decimal_vols(vol, mark, forward, strike, years_to(time, expiry), parts[4], inverse, intake)


# ---- what one holds ------------------------------------------------------------------------------------------------


def _positions(f: Fields, intake: Intake) -> None:
    empty = f.number("contracts").isna() & (f.text("side") == "") & (f.number("notional").fillna(0) == 0)
    for at in map(int, np.flatnonzero(empty)):
        intake.reject("position", "empty: neither contracts, side nor notional", f.place(at))
    f = f.where(~empty)
    if not len(f):
        return
    amount, side = f.number("contracts", needed=True), f.text("side")
    signed = f.signed(amount, side)
    name, time = label_of(intake.venue, f.text("symbol")), f.time("timestamp")
    intake.holds(name, signed, time, "positions")
    intake.held_marks(name, time, f.number("markPrice"))


def _balances(f: Fields, intake: Intake) -> None:
    """Totals by currency as cash. Whether unrealised profit is in a total differs by venue, which is said."""
    for totals, time, info in zip(f.raw("balances"), f.time("timestamp"), f.raw("info"), strict=True):
        if isinstance(info, dict) and {"currency", "equity", "options_value"} <= set(info):  # Deribit's own words
            totals = {**totals, info["currency"]: float(info["equity"]) - float(info["options_value"])}
        unsaid = [coin for coin, total in totals.items() if total is None]
        if unsaid:
            intake.reject(f"balance of {some(unsaid, 3)}", "no total of it is said", count=len(unsaid))
        rows = [(coin, total) for coin, total in totals.items() if total is not None]
        frame = pd.DataFrame(rows, columns=["instrument", "quantity"])
        intake.add("books", frame.assign(book=intake.account, time=time, scope="balances"))
    intake.note("cash is each currency's total in the balance as ccxt gives it; whether it holds the unrealised profit "
                "of open positions differs by venue: compare it with the account's equity once")  # fmt: skip


def _trades(f: Fields, intake: Intake) -> None:
    own = (f.text("order") != "") & f.number("fee.cost").notna()
    if (~own).any():
        intake.reject("trade", "a trade of others: no order and no fee of ours", count=int((~own).sum()))
    f = f.where(own)
    if not len(f):
        return
    own_fills(f, intake, fill="id", order="order", symbol="symbol", size="amount", side=f.text("side"), price="price",
              fee=f.number("fee.cost"), money=f.text("fee.currency"), time="timestamp")  # fmt: skip


SHAPES = (
    shape("market", "symbol base quote precision type", _markets),
    shape("position", "symbol contracts", _positions, holds="contracts entryPrice unrealizedPnl"),
    shape("order book", "symbol bids asks", _order_books),
    shape("trade", "symbol side amount price order", _trades),
    shape("greeks", "symbol delta markImpliedVolatility", _greeks),
    shape("funding rate", "symbol fundingRate", _funding),
    shape("ticker", "symbol bid ask", _tickers),
    shape("balances", "balances", _balances, holds="balances"),
    shape("plain value", "value", why="no market data"),
)  # fmt: skip
