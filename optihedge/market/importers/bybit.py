"""Bybit (v5, and the symbols and books of v2): instruments, tickers, books, wallets, positions, executions, fees.

One contract of an inverse future is 1 USD, of a linear one or an option 1 coin; quantities are in these. Spot pairs
have the symbols of linear perpetuals: import them with `bybit_spot`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.books import last_book, levels_of
from optihedge.market.importers.coins import add_contracts, add_index, finish_coins, label_of, option_values, own_fills
from optihedge.market.importers.envelope import held_within, listed, read_messages, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile

_OPTION = r"^(?P<base>[^-]+)-(?P<day>\d{1,2}[A-Z]{3}\d{2})-(?P<strike>[\d.]+)-(?P<right>[CP])(?:-(?P<money>[A-Z]+))?$"


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Bybit's into the intake."""
    read_messages(raw, intake, "Bybit's", _unwrapped, SHAPES)


def finish(intake: Intake) -> None:
    """Fees, funding intervals that only the instruments say, option values out of the balances."""
    told = intake.frame("instruments")
    if "funding_minutes" in told.columns:
        minutes = told.drop_duplicates("instrument", keep="last").set_index("instrument")["funding_minutes"]
        quotes = intake.frame("quotes")
        hours = quotes["instrument"].map(pd.to_numeric(minutes)).astype(float) / 60
        hours = quotes["funding_hours"].fillna(hours).where(quotes["part"] == "funding")
        intake.replace("quotes", quotes.assign(funding_hours=hours))
    finish_coins(intake)


def _unwrapped(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    for place, value, seen in received(values, intake):
        if isinstance(value, dict) and "result" in value:
            result, time = value["result"], value.get("time")
            inner = result.get("list", result) if isinstance(result, dict) else result
            category = result.get("category") if isinstance(result, dict) else None
            extra = {k: v for k, v in (("_time", time), ("category", category)) if v is not None}
            yield from listed(place, inner, **extra)
        elif isinstance(value, dict) and "topic" in value and "data" in value:
            data = value["data"]
            if isinstance(data, dict) and "order_book" in data:
                data = data["order_book"]
            time = value.get("ts", value.get("creationTime", seen))
            yield from listed(place, data, _topic=value["topic"], _type=value.get("type", "snapshot"), _time=time)
        elif isinstance(value, dict) and ("success" in value or "ret_msg" in value or "retCode" in value):
            lost = "retCode" in value and "op" not in value and not place  # a whole answer: it had a result
            (intake.lose if lost else intake.reject)("answer", "without a result: no market data", place)
        else:
            yield from listed(place, value)


def _instruments(f: Fields, intake: Intake) -> None:
    status = f.text("status")
    live = status.isin(("", "Trading", "PreLaunch"))
    if (~live).any():
        intake.reject("instrument", "no longer traded", count=int((~live).sum()))
    f = f.where(live)
    if not len(f):
        return
    symbol, contract = f.text("symbol"), f.text("contractType")
    parts = symbol.str.extract(_OPTION)
    option = f.text("optionsType") != ""
    spot = ~option & (contract == "")
    family = np.select([option, spot, contract.str.endswith("Perpetual")], ["option", "spot", "perpetual"], "future")
    step = f.number("lotSizeFilter.qtyStep").fillna(f.number("lotSizeFilter.basePrecision"))
    rows = pd.DataFrame({
        "symbol": symbol, "family": family, "base": f.text("baseCoin"), "quote": f.text("quoteCoin"),
        "settle": f.text("settleCoin"), "size": 1.0, "tick": f.number("priceFilter.tickSize", needed=True),
        "lot": step, "least": f.number("lotSizeFilter.minOrderQty"),
        "expiry": f.time("deliveryTime").where(option | (family == "future")),
        "strike": parts["strike"].astype(float).where(option), "right": f.text("optionsType").str[:1].where(option, ""),
        "least_cost": f.number("lotSizeFilter.minNotionalValue").fillna(f.number("lotSizeFilter.minOrderAmt")),
        "funding_minutes": f.number("fundingInterval").where(family == "perpetual"),
    })  # fmt: skip
    odd = rows["funding_minutes"].between(0, 24, inclusive="neither")  # minutes; a day has no interval below 24 of them
    if odd.any():
        intake.note("funding intervals below 24 are read as hours, for no venue pays every few minutes")
        rows["funding_minutes"] = rows["funding_minutes"].where(~odd, rows["funding_minutes"] * 60)
    for venue, chosen in (("bybit_spot", spot), ("bybit", ~spot)):
        if chosen.any():
            intake.venue, given = venue, intake.venue
            add_contracts(intake, rows[chosen])
            intake.venue = given


def _old_symbols(f: Fields, intake: Intake) -> None:
    """v2 symbols: perpetuals of USD (settled in coin) and USDT; a dated one does not say its expiry."""
    symbol, quote = f.text("name"), f.text("quote_currency")
    dated = symbol.str.contains(r"\d{2}$|[FGHJKMNQUVXZ]\d{2}$")
    if dated.any():
        intake.reject("symbol", "a dated future without its expiry", f.places[0], int(dated.sum()))
    inverse = quote == "USD"
    add_contracts(intake, pd.DataFrame({
        "symbol": symbol, "family": "perpetual", "base": f.text("base_currency"), "quote": quote,
        "settle": f.text("base_currency").where(inverse, quote), "size": 1.0,
        "tick": f.number("price_filter.tick_size"), "lot": f.number("lot_size_filter.qty_step"),
        "least": f.number("lot_size_filter.min_trading_qty"), "fee": f.number("taker_fee"),
    })[~dated])  # fmt: skip


def _tickers(f: Fields, intake: Intake) -> None:
    head = {"instrument": label_of(intake.venue, f.text("symbol")), "time": f.time("_time", needed=True)}
    parts = f.text("symbol").str.extract(_OPTION)
    option = parts["base"].notna()
    tops = {side: f.number(f"{side}1Price").fillna(f.number(f"{side}Price")) for side in ("bid", "ask")}
    tops |= {f"{s}_size": f.number(f"{s}1Size").fillna(f.number(f"{s}Size")) for s in ("bid", "ask")}
    whole = (f.text("_type") != "delta") | pd.DataFrame(tops).notna().all(axis=1)
    intake.quotes(pd.DataFrame(head | tops)[whole])
    forward = f.number("underlyingPrice").where(option, f.number("indexPrice"))
    vol = f.number("markPriceIv").fillna(f.number("markIv"))
    marks = {"mark": f.number("markPrice"), "underlying_price": forward, "vol": vol.where(option & (vol > 0))}
    intake.quotes(pd.DataFrame(head | marks))
    rate = f.number("fundingRate").where(~option)
    funding = {"funding_rate": rate, "funding_hours": f.number("fundingIntervalHour").where(rate.notna())}
    intake.quotes(pd.DataFrame(head | funding))
    intake.quotes(pd.DataFrame(head | {"volume": f.number("volume24h")}))
    if option.any():
        greeks = {f"venue_{g}": f.number(g) for g in ("delta", "gamma", "vega", "theta")}
        intake.add("greeks", pd.DataFrame(head | greeks)[option])
    pairs = f.text("symbol").str.extract(r"^([A-Z0-9]+?)(USDT|USDC|USD)$")
    base, quote = pairs[0].where(~option, parts["base"]).fillna(""), pairs[1].where(~option, "USD").fillna("")
    add_index(intake, base, quote, head["time"], f.number("indexPrice"))


def _books(f: Fields, intake: Intake) -> None:
    time = f.time("ts").fillna(f.time("_time"))
    messages: dict[str, list] = {}
    for symbol, when, kind, bids, asks in zip(f.text("s"), time, f.text("_type"), f.raw("b"), f.raw("a"), strict=True):
        messages.setdefault(symbol, []).append((when, kind != "delta", levels_of(bids), levels_of(asks)))
    for symbol, of_one in messages.items():
        last_book(f"{intake.venue}:{symbol}", of_one, intake)


def _positions(f: Fields, intake: Intake) -> None:
    size, side = f.number("size", needed=True), f.text("side")
    signed = f.signed(size, side, own=("none",))
    name, time = label_of(intake.venue, f.text("symbol")), f.time("_time").fillna(f.time("updatedTime"))
    intake.holds(name, signed, time, "positions " + f.text("symbol") + " " + f.text("positionIdx"))
    mark = f.number("markPrice")
    intake.held_marks(name, time, mark)
    parts = f.text("symbol").str.extract(_OPTION)
    money = parts["money"].fillna("USDC").where(parts["base"].notna(), "")
    option_values(intake, money, signed * mark)


def _wallets(f: Fields, intake: Intake) -> None:
    one = shape("coin of a wallet", "coin equity", _coins, holds="coin equity walletBalance")
    held_within(f, "coin", one, intake, _time=f.raw("_time"))


def _coins(f: Fields, intake: Intake) -> None:
    """Equity: wallet and unrealised profit, and what options are worth (which `finish` takes off)."""
    coin = f.text("coin")
    intake.holds(coin, f.number("equity", needed=True), f.time("_time"), "balance " + coin)


def _executions(f: Fields, intake: Intake) -> None:
    traded = f.text("execType").isin(("Trade", "AdlTrade", "BustTrade", ""))
    if (~traded).any():
        intake.reject("execution", "no trade (funding, settlement, delivery)", count=int((~traded).sum()))
    f = f.where(traded)
    own_fills(f, intake, fill="execId", order="orderId", symbol="symbol", size="execQty", side=f.text("side"),
              price="execPrice", fee=f.number("execFee"), money=f.text("feeCurrency"), time="execTime")  # fmt: skip


def _fee_rates(f: Fields, intake: Intake) -> None:
    for symbol, taker in zip(f.text("symbol"), f.number("takerFeeRate"), strict=True):
        intake.fees[("symbol", symbol)] = ("fixed", float(taker))


SHAPES = (
    shape("instrument", "symbol baseCoin lotSizeFilter priceFilter", _instruments),
    shape("symbol", "name base_currency lot_size_filter", _old_symbols),
    shape("wallet", "coin totalEquity", _wallets, holds="totalEquity accountType"),
    shape("position", "symbol side size positionValue", _positions, holds="positionValue positionStatus"),
    shape("execution", "symbol execId execPrice execFee", _executions),
    shape("fast execution", "symbol execId execPrice", why="an execution without its fee: give the executions"),
    shape("order", "symbol orderId orderStatus", why="an order: its trades come as executions"),
    shape("order", "orderId orderLinkId", why="an order: its trades come as executions", lacks="symbol"),
    shape("fees", "symbol takerFeeRate", _fee_rates),
    shape("funding paid", "symbol fundingRateTimestamp", why="past funding without the mark it was paid on"),
    shape("ticker", "symbol markPrice", _tickers),
    shape("ticker", "symbol bid1Price ask1Price", _tickers),
    shape("order book", "s b a", _books),
    shape("order book", "symbol id side price", why="a level of a v2 book: a whole book is v5's orderbook"),
    shape("order book", "delete update insert", why="changes of a v2 book, which has no whole book in v5's words"),
    shape("trade", "trade_id", why="a trade of others: no part of a market at one instant"),
    shape("trade", "execId symbol", why="a trade of others: no part of a market at one instant"),
    shape("trade", "T s S v p", why="a trade of others: no part of a market at one instant"),
    shape("bar", "start end open close", why="bars: no part of a market at one instant"),
    shape("setting", "marginMode", why="a setting of the account"),
    shape("plain value", "value", why="a bar or plain value: no part of a market at one instant"),
)  # fmt: skip
