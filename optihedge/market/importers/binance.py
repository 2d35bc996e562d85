"""Binance: spot (`binance`), USD-margined (`binance_usdm`) and coin-margined (`binance_coinm`) contracts.

Exchange information, tickers, marks with funding, depth with its updates, accounts, positions, own trades. One contract
is one coin (USD-margined) or `contractSize` USD (coin-margined); quantities are in these. The three have symbols in
common, so each is a source of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.books import OF_FILE, chained_books, levels_of
from optihedge.market.importers.coins import add_contracts, add_index, finish_coins, label_of, own_fills
from optihedge.market.importers.envelope import held_rows, listed, read_messages, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile

FUNDING_HOURS = 8.0  # published default, where no fundingInfo says another


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Binance's into the intake."""
    read_messages(raw, intake, "Binance's", _unwrapped, SHAPES)


def finish(intake: Intake) -> None:
    """Depth with its updates, funding intervals, fees."""
    chained_books(intake)
    quotes = intake.frame("quotes")
    funding = quotes["part"] == "funding"
    if funding.any():
        hours = quotes["instrument"].map(intake.hours).astype(float)
        default = funding & hours.isna() & quotes["funding_rate"].notna()
        if default.any():
            count = quotes["instrument"][default].nunique()
            intake.note(f"funding intervals of {count} perpetuals are Binance's default, 8 hours; give fundingInfo "
                        "where they are others")  # fmt: skip
        hours = hours.fillna(FUNDING_HOURS).where(funding & quotes["funding_rate"].notna())
        intake.replace("quotes", quotes.assign(funding_hours=hours))
    finish_coins(intake)


def _unwrapped(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    for place, value, seen in received(values, intake):
        if isinstance(value, dict) and "stream" in value and "data" in value:
            value = value["data"]
        if isinstance(value, dict) and isinstance(value.get("event"), dict):
            value = value["event"]
        if not isinstance(value, dict):
            yield from listed(place, value, _seen=seen)
        elif isinstance(value.get("symbols"), list):
            yield from listed(place, value["symbols"])
        elif isinstance(value.get("assets"), list) or isinstance(value.get("balances"), list):
            yield from _account(place, value, intake)
        elif value.get("e") == "ORDER_TRADE_UPDATE" and isinstance(value.get("o"), dict):
            yield place, {"_order": True, **value["o"]}
        elif value.get("e") == "executionReport":
            yield place, {"_order": True, **value}
        elif value.get("e") == "ACCOUNT_UPDATE" and isinstance(value.get("a"), dict):
            for part, kind in (("B", "_balance"), ("P", "_position")):
                rows = held_rows(value["a"].get(part), f"account update: {kind[1:]}s ({part})", place, intake)
                yield from listed(place, rows, **{"_seen": value.get("E"), kind: True})
        elif value.get("e") == "outboundAccountPosition":
            rows = held_rows(value.get("B"), "account update: balances (B)", place, intake)
            yield from listed(place, rows, _seen=value.get("E"), _balance=True)
        else:
            yield place, {"_seen": seen, **value}


def _account(place: str, value: dict, intake: Intake) -> Iterator[tuple[str, dict]]:
    """The balances and positions of an account's answer, with its time."""
    time = value.get("updateTime") or None
    for part in ("assets", "balances", "positions"):
        if part in value:
            yield from listed(place, held_rows(value[part], f"account: {part}", place, intake), _seen=time)


# ---- contracts -----------------------------------------------------------------------------------------------------


def _symbol_of(f: Fields) -> pd.Series:
    """The symbol, in the words of REST answers or of streams."""
    return f.text("s").where(f.text("s") != "", f.text("symbol"))


def _at_home(f: Fields, symbol: pd.Series, intake: Intake, held: bool = False) -> pd.Series:
    """Whether symbols are of the market that is imported; coin-margined ones end in USD_PERP or USD_yymmdd."""
    coin = symbol.str.contains(r"USD_(?:PERP|\d{6})$")
    away = symbol.ne("") & (coin != (intake.venue == "binance_coinm")) & intake.venue.startswith("binance")
    if away.any():
        first = int(away.to_numpy().argmax())
        other = "binance_coinm" if coin.iloc[first] else "binance_usdm (spot: binance)"
        why = f"a contract of another market of Binance's: import it as {other}"
        (intake.lose if held else intake.reject)(
            f"{f.what} of {symbol.iloc[first]}", why, f.places[first], int(away.sum())
        )
    return ~away


def _symbols(f: Fields, intake: Intake) -> None:
    dated = f.text("contractType") != ""
    away = dated == (intake.venue == "binance")
    if away.any():
        why = (
            "a contract: import it as binance_usdm or binance_coinm"
            if dated[away].iloc[0]
            else "spot: import as binance"
        )
        intake.reject("symbol", why, f.place(int(away.to_numpy().argmax())), int(away.sum()))
        f = f.where(~away)
    f = f.where(_at_home(f, f.text("symbol"), intake))
    status = f.text("status").where(f.text("status") != "", f.text("contractStatus"))
    live = status.isin(("", "TRADING"))
    if (~live).any():
        intake.reject("symbol", "not trading", count=int((~live).sum()))
    f = f.where(live)
    if not len(f):
        return
    kind, filters = f.text("contractType"), [_filters(v) for v in f.raw("filters")]
    if not any(filters):
        intake.reject("symbol", "its filters are missing: step, tick and least amount", count=len(f))
    spot, perpetual = kind == "", kind.str.contains("PERPETUAL")
    quote = f.text("quoteAsset")
    size = f.number("contractSize").where(~spot, 1.0).fillna(1.0)
    steps = pd.DataFrame(filters, columns=["tickSize", "stepSize", "minQty", "least_cost"]).astype(float)
    margin = f.text("marginAsset")
    add_contracts(intake, pd.DataFrame({
        "symbol": f.text("symbol"), "family": np.select([spot, perpetual], ["spot", "perpetual"], "future"),
        "base": f.text("baseAsset"), "quote": quote, "settle": margin.where(margin != "", quote), "size": size,
        "tick": steps["tickSize"], "lot": steps["stepSize"], "least": steps["minQty"],
        "least_cost": steps["least_cost"],
        "expiry": f.time("deliveryDate").where(~spot & ~perpetual),
    }))  # fmt: skip


def _filters(filters: Any) -> dict[str, Any]:
    """tickSize, stepSize, minQty and least_cost of a symbol's filters."""
    found: dict[str, Any] = {}
    for item in filters if isinstance(filters, list) else []:
        kind = item.get("filterType")
        if kind == "PRICE_FILTER":
            found["tickSize"] = item.get("tickSize")
        elif kind == "LOT_SIZE":
            found |= {"stepSize": item.get("stepSize"), "minQty": item.get("minQty")}
        elif kind in ("MIN_NOTIONAL", "NOTIONAL"):
            found["least_cost"] = item.get("notional", item.get("minNotional"))
    return found


def _commissions(f: Fields, intake: Intake) -> None:
    taker = f.number("takerCommissionRate").fillna(f.number("takerCommission"))
    for symbol, rate in zip(f.text("symbol"), taker, strict=True):
        intake.fees[("symbol", symbol)] = ("fixed", float(rate))


def _funding_info(f: Fields, intake: Intake) -> None:
    names = label_of(intake.venue, f.text("symbol"))
    intake.hours |= dict(zip(names, f.number("fundingIntervalHours"), strict=True))


# ---- prices --------------------------------------------------------------------------------------------------------


def _tops(f: Fields, intake: Intake) -> None:
    """bookTicker, by REST or stream."""
    f = f.where(_at_home(f, _symbol_of(f), intake))
    symbol = _symbol_of(f)
    time = f.time("T").fillna(f.time("E")).fillna(f.time("time")).fillna(f.time("closeTime")).fillna(f.time("_seen"))
    names = {
        "bid": ("b", "bidPrice"),
        "bid_size": ("B", "bidQty"),
        "ask": ("a", "askPrice"),
        "ask_size": ("A", "askQty"),
    }
    tops = {ours: f.number(short).fillna(f.number(long)) for ours, (short, long) in names.items()}
    intake.quotes(pd.DataFrame({"instrument": label_of(intake.venue, symbol), "time": time, **tops}))
    if "volume" in f or "v" in f:
        _volumes(f, intake)


def _volumes(f: Fields, intake: Intake) -> None:
    symbol = _symbol_of(f)
    time = f.time("E").fillna(f.time("closeTime"))
    volume = f.number("v").fillna(f.number("volume"))
    intake.quotes(pd.DataFrame({"instrument": label_of(intake.venue, symbol), "time": time, "volume": volume}))


def _marks(f: Fields, intake: Intake) -> None:
    """premiumIndex and the stream of marks: mark, index, the next funding rate."""
    f = f.where(_at_home(f, _symbol_of(f), intake))
    symbol = _symbol_of(f)
    time = f.time("E").fillna(f.time("time"))
    head = {"instrument": label_of(intake.venue, symbol), "time": time}
    index = f.number("i").fillna(f.number("indexPrice"))
    intake.quotes(pd.DataFrame(head | {"mark": f.number("p").fillna(f.number("markPrice")), "underlying_price": index}))
    rate = f.number("r").fillna(f.number("lastFundingRate"))
    intake.quotes(pd.DataFrame(head | {"funding_rate": rate}))
    pairs = symbol.str.extract(r"^([A-Z0-9]+?)(USDT|USDC|BUSD|USD)(?:_.*)?$").fillna("")
    add_index(intake, pairs[0], pairs[1], time, index)


def _depth(f: Fields, intake: Intake) -> None:
    """Whole books with the number of their last update; those that do not name a symbol go by their file's name."""
    time = f.time("T").fillna(f.time("E")).fillna(f.time("_seen"))
    numbers = f.number("lastUpdateId")
    for symbol, when, number, bids, asks in zip(
        f.text("symbol"), time, numbers, f.raw("bids"), f.raw("asks"), strict=True
    ):
        label = f"{intake.venue}:{symbol}" if symbol else OF_FILE + intake.file
        intake.whole_books[label] = (number, (when, True, levels_of(bids), levels_of(asks)))


def _depth_updates(f: Fields, intake: Intake) -> None:
    time = f.time("T").fillna(f.time("E"))
    firsts, lasts, before = f.number("U"), f.number("u"), f.number("pu")
    for symbol, when, first, last, prior, bids, asks in zip(
        f.text("s"), time, firsts, lasts, before, f.raw("b"), f.raw("a"), strict=True
    ):
        update = (first, last, prior, (when, False, levels_of(bids), levels_of(asks)))
        intake.changes.setdefault(f"{intake.venue}:{symbol}", []).append(update)


# ---- what one holds ------------------------------------------------------------------------------------------------


def _positions(f: Fields, intake: Intake) -> None:
    f = f.where(_at_home(f, _symbol_of(f), intake, held=True))
    symbol = _symbol_of(f)
    side = f.text("positionSide").where(f.text("positionSide") != "", f.text("ps"))
    time = f.time("_seen").fillna(f.time("updateTime"))
    size = f.number("positionAmt").fillna(f.number("pa"))
    name = label_of(intake.venue, symbol)
    intake.holds(name, size, time, "positions " + symbol + " " + side)
    intake.held_marks(name, time, f.number("markPrice"))


def _balances(f: Fields, intake: Intake) -> None:
    """Wallet balance and unrealised profit of futures; free and locked of spot."""
    asset = f.text("asset").where(f.text("asset") != "", f.text("a"))
    margin, wallet = f.number("marginBalance"), f.number("balance").fillna(f.number("wb"))
    spot = f.number("free").fillna(f.number("f")) + f.number("locked").fillna(f.number("l"))
    total = margin.fillna(wallet + f.number("crossUnPnl").fillna(0.0)).fillna(spot)
    if (margin.isna() & wallet.notna() & f.number("crossUnPnl").isna()).any():
        intake.note("balances of account updates are wallets without unrealised profit")
    time = f.time("_seen").fillna(f.time("updateTime"))
    intake.holds(asset, total, time, "balance " + asset)


def _trades(f: Fields, intake: Intake) -> None:
    spot = f.text("isBuyer").str.lower().replace({"true": "buy", "false": "sell"})
    side = f.text("side").where(f.text("side") != "", spot)
    own_fills(f, intake, fill="id", order="orderId", symbol="symbol", size="qty", side=side, price="price",
              fee=f.number("commission"), money=f.text("commissionAsset"), time="time")  # fmt: skip


def _order_updates(f: Fields, intake: Intake) -> None:
    """Of the stream of our orders those that traded: the last fill of each."""
    traded = (f.text("x").isin(("TRADE", "CALCULATED")) & (f.number("l") > 0)).to_numpy()
    if (~traded).any():
        intake.reject("order", "no trade", f.places[int((~traded).argmax())], int((~traded).sum()))
    f = f.where(traded)
    own_fills(f, intake, fill="t", order="i", symbol="s", size="l", side=f.text("S"), price="L", fee=f.number("n"),
              money=f.text("N"), time="T")  # fmt: skip


_OTHERS = "a trade of others: no part of a market at one instant"
_ORDER = "an order, not yet a trade"
SHAPES = (
    shape("symbol", "symbol baseAsset quoteAsset filters", _symbols),
    shape("order update", "_order", _order_updates),
    shape("position", "symbol positionAmt", _positions, holds="positionAmt entryPrice unrealizedProfit"),
    shape("position update", "_position s pa", _positions, holds="_position"),
    shape("balance", "asset walletBalance", _balances, holds="walletBalance crossWalletBalance"),
    shape("balance of futures", "asset balance crossUnPnl", _balances, holds="crossUnPnl crossWalletBalance"),
    shape("balance of spot", "asset free locked", _balances, holds="free locked"),
    shape("balance update", "_balance a", _balances, holds="_balance"),
    shape("own trade", "symbol orderId commission commissionAsset price qty", _trades),
    shape("commission", "symbol takerCommissionRate", _commissions),
    shape("trading fee", "symbol takerCommission", _commissions),
    shape("funding interval", "symbol fundingIntervalHours", _funding_info),
    shape("funding paid", "symbol fundingRate fundingTime", why="past funding without the mark it was paid on"),
    shape("mark of the stream", "s p i r T", _marks),
    shape("mark", "symbol markPrice indexPrice lastFundingRate", _marks),
    shape("book", "lastUpdateId bids asks", _depth),
    shape("update of a book", "U u s b a", _depth_updates),
    shape("day and best of the stream", "s o h l v q b a", _tops),
    shape("day of the stream", "s o h l v q", _volumes),
    shape("best of the stream", "u s b B a A", _tops),
    shape("best", "symbol bidPrice askPrice", _tops),
    shape("day", "symbol volume closeTime", _volumes),
    shape("trade lite", "s l L t", why="an execution without its fee: give the trades"),
    shape("trade", "a p q T m", why=_OTHERS), shape("trade", "s t p q", why=_OTHERS),
    shape("trade", "id price qty", why=_OTHERS), shape("order", "orderId", why=_ORDER),
    shape("order", "algoId", why=_ORDER), shape("order", "e T E", why=_ORDER, lacks="s a"),
    shape("list of orders", "e s C O g", why=_ORDER), shape("list of orders", "orderListId", why=_ORDER),
    shape("balance change", "e a d", why="a deposit or withdrawal: the next balance holds it"),
    shape("liquidation", "e o", why=_OTHERS),
    shape("bar", "e k", why="bars: no part of a market at one instant"),
    shape("setting", "dualSidePosition", why="a setting of the account"),
    shape("setting", "symbol marginType leverage", why="a setting of the account"),
    shape("statistic", "symbol openInterest", why="statistics of the venue: no part of a market at one instant"),
    shape("statistic", "symbol longShortRatio", why="statistics of the venue: no part of a market at one instant"),
    shape("statistic", "buySellRatio", why="statistics of the venue: no part of a market at one instant"),
    shape("statistic", "symbol sumOpenInterest", why="statistics of the venue: no part of a market at one instant"),
    shape("index", "symbol baseAssetList", why="the composition of an index"),
    shape("index", "symbol index time", why="an index of a multi-asset margin"),
    shape("price", "symbol price", why="the last trade's price: no quote"),
    shape("price", "mins price", why="a mean of trades: no quote"),
    shape("time", "serverTime", why="no market data"),
    shape("plain value", "value", why="a bar or plain value: no part of a market at one instant"),
)  # fmt: skip
