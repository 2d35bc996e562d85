"""Deribit: instruments, tickers, book summaries, order books, accounts, positions, own trades; JSON-RPC or recorded.

Amounts are what the venue counts (USD of an inverse future, coin elsewhere) until the intake turns them into contracts
of `contract_size`. Prices of inverse options are in coin. Vols are percent at the venue, decimals here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.importers.books import book, last_book, levels_of
from optihedge.market.importers.coins import decimal_vols, years_to
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape

FEE_CAP = 0.125  # published rule, in no message: an option's fee is at most 12.5 % of its price
SETTLEMENT_WINDOW = 30.0  # minutes, published: delivery is the mean of the index over the last half hour
_NAME = (
    r"^(?P<base>[A-Z0-9]+?)(?:_(?P<money>USDC|USDT|EURR))?-(?:(?P<perpetual>PERPETUAL)|(?P<day>\d{1,2}[A-Z]{3}\d{2})"
    r"(?:-(?P<strike>\d+(?:[d.]\d+)?)-(?P<right>[CP]))?)$"
)
_COMBO = "a combination; its legs are the contracts"


# ---- contracts -----------------------------------------------------------------------------------------------------


def read_instruments(f: Fields, intake: Intake) -> None:
    kind = f.text("kind")
    combo = kind.str.endswith("combo")
    if combo.any():
        intake.reject("instrument", _COMBO, f.places[int(combo.argmax())], int(combo.sum()))
    closed = ~f.flag("is_active", default=True) | f.text("state").isin(("closed", "terminated", "archived"))
    if (closed & ~combo).any():
        intake.reject("instrument", "no longer traded", count=int((closed & ~combo).sum()))
    f = f.where(~combo & ~closed)
    if not len(f):
        return
    kind = f.text("kind", needed=True)
    odd = ~kind.isin(("option", "future", "spot"))
    if odd.any():
        first = int(odd.to_numpy().argmax())
        intake.reject(f"instrument of kind {kind.iloc[first]!r}", "neither option, future nor spot", f.place(first),
                      int(odd.sum()))  # fmt: skip
        intake.refused |= set(f.text("instrument_name")[odd])
        f = f.where(~odd)
        kind = f.text("kind")
    if not len(f):
        return
    base, quote = f.text("base_currency", needed=True), f.text("quote_currency", needed=True)
    counter = f.text("counter_currency")
    inverse = (f.text("instrument_type") == "reversed") | (f.text("future_type") == "reversed")
    silent = (f.text("instrument_type") == "") & (f.text("future_type") == "")
    money = f.text("settlement_currency")
    dollars = (money == "") & ((quote == base) | (quote == "USD"))  # of old messages, which settle these in coin
    inverse |= silent & (dollars | (money == base))
    counter = counter.where(counter != "", quote.where(quote != base, "USD"))
    perpetual = (f.text("settlement_period") == "perpetual") | f.text("instrument_name").str.endswith("-PERPETUAL")
    option, spot = kind == "option", kind == "spot"
    family = np.select([option, spot, perpetual], ["option", "spot", "perpetual"], "future")
    size, least = f.number("contract_size", needed=True), f.number("min_trade_amount", needed=True)
    least = least.fillna(size)  # whole contracts
    expiry = f.time("expiration_timestamp", needed=True).where(~perpetual & ~spot)
    index = f.text("price_index")
    rows = pd.DataFrame({
        "instrument": f.text("instrument_name"), "underlying": base,
        "type": np.where(inverse & ~spot, "inverse_", "") + pd.Series(family, index=base.index),
        "currency": counter.where(inverse, quote.where(spot | (money == ""), money)), "multiplier": size,
        "venue_amount": size, "expiry": expiry, "strike": f.number("strike").where(option),
        "right": f.text("option_type").map({"call": "C", "put": "P"}).where(option, ""),
        "lot": least / size, "min_quantity": least / size, "tick": f.number("tick_size", needed=True),
        "fee": f.number("taker_commission", needed=True), "fee_cap": np.where(option, FEE_CAP, np.nan),
        "maker_fee": f.number("maker_commission"), "tick_steps": f.raw("tick_size_steps"),
        "settlement_currency": money.where(money != "", base.where(inverse, quote)),
        "price_index": index.where(index != "", base.str.lower() + "_" + counter.str.lower()),
    })  # fmt: skip
    add_instruments(rows, intake)


def add_instruments(rows: pd.DataFrame, intake: Intake) -> None:
    rows["venue"], rows["symbol"] = "deribit", rows["instrument"]
    rows["settlement_window"] = np.where(rows["expiry"].notna(), SETTLEMENT_WINDOW, 0.0)
    intake.note("fee caps of options (12.5 % of the price) and the settlement window (30 minutes) are Deribit's "
                "published rules; no message says them")  # fmt: skip
    intake.add("instruments", rows)


def named_contracts(names: pd.Series) -> pd.DataFrame:
    """What Deribit's names say: base, money, kind, expiry (08:00 UTC of the day), strike, right; kind '' if nothing."""
    parts = names.astype(str).str.extract(_NAME)
    expiry = pd.to_datetime(parts["day"].str.title(), format="%d%b%y", errors="coerce").dt.tz_localize("UTC")
    known = parts["base"].notna() & (parts["day"].isna() | expiry.notna())
    kind = np.select(
        [~known, parts["strike"].notna(), parts["perpetual"].notna()], ["", "option", "perpetual"], "future"
    )
    return pd.DataFrame({
        "base": parts["base"].fillna(""), "money": parts["money"].fillna(""), "kind": kind,
        "expiry": expiry + pd.Timedelta(hours=8), "right": parts["right"].fillna(""),
        "strike": parts["strike"].str.replace("d", ".").astype(float),
    })  # fmt: skip


# ---- prices --------------------------------------------------------------------------------------------------------


def read_tickers(f: Fields, intake: Intake) -> None:
    """Tickers, order books and quotes: the best bid and ask, the mark and its vol, the venue's Greeks, funding."""
    name, time = f.text("instrument_name"), f.time("timestamp", needed=True)
    head = {"instrument": name, "time": time}
    tops = {side: f.number(f"best_{side}_price") for side in ("bid", "ask")}
    tops |= {f"{side}_size": f.number(f"best_{side}_amount") for side in ("bid", "ask")}
    intake.quotes(pd.DataFrame(head | tops))
    if "mark_price" not in f:
        return
    parts = named_contracts(name)
    linear, option = parts["money"] != "", parts["kind"] == "option"
    forward = f.number("underlying_price").where(option, f.number("index_price"))
    _marks(f, intake, head, forward, _vols(f, parts, time, forward, intake))
    dollars = f.number("stats.volume_usd").where(~option & ~linear, f.number("stats.volume"))
    intake.quotes(pd.DataFrame(head | {"volume": dollars}))
    perpetual = parts["kind"] == "perpetual"
    rate = f.number("funding_8h").where(perpetual)
    intake.quotes(pd.DataFrame(head | {"funding_rate": rate, "funding_hours": np.where(rate.notna(), 8.0, np.nan)}))
    greeks = {f"venue_{g}": f.number(f"greeks.{g}") for g in ("delta", "gamma", "vega", "theta", "rho")}
    if "greeks.delta" in f:
        intake.add("greeks", pd.DataFrame(head | greeks)[option.to_numpy()])


def _vols(f: Fields, parts: pd.DataFrame, time: pd.Series, forward: pd.Series, intake: Intake) -> pd.Series:
    """Decimal vols of options; the API says percent, which the marks confirm or refute."""
    vol, inverse = f.number("mark_iv").where(parts["kind"] == "option"), (parts["money"] == "").to_numpy()
    years = years_to(time, parts["expiry"])
    mark = f.number("mark_price")
    return decimal_vols(vol, mark, forward, parts["strike"], years, parts["right"], inverse, intake, said=0.01)


def _marks(f: Fields, intake: Intake, head: dict, forward: pd.Series, vol: pd.Series) -> None:
    """Marks with forward and vol, and the index of each base currency."""
    intake.quotes(pd.DataFrame(head | {"mark": f.number("mark_price"), "underlying_price": forward, "vol": vol}))
    _index_quotes(head["instrument"], head["time"], f.number("index_price"), intake)


def _index_quotes(name: pd.Series, time: pd.Series, level: pd.Series, intake: Intake) -> None:
    parts = named_contracts(name)
    label = parts["base"].str.lower() + "_" + parts["money"].where(parts["money"] != "", "USD").str.lower()
    seen = pd.DataFrame({"instrument": label, "time": time, "mark": level})[(parts["kind"] != "") & level.notna()]
    _indices(seen["instrument"].unique(), intake)
    intake.quotes(seen)


def _indices(labels: np.ndarray, intake: Intake) -> None:
    rows = pd.DataFrame({"instrument": labels, "type": "index", "venue": "deribit", "symbol": labels})
    pairs = rows["instrument"].str.upper().str.split("_", expand=True).reindex(columns=[0, 1])
    intake.add("instruments", rows.assign(underlying=pairs[0], currency=pairs[1], multiplier=1.0, venue_amount=1.0))


def _summaries(f: Fields, intake: Intake) -> None:
    """Book summaries (get_book_summary_by_currency): no sizes."""
    name, time = f.text("instrument_name"), f.time("creation_timestamp", needed=True)
    head = {"instrument": name, "time": time}
    intake.quotes(pd.DataFrame(head | {"bid": f.number("bid_price"), "ask": f.number("ask_price")}))
    parts = named_contracts(name)
    option, linear = parts["kind"] == "option", parts["money"] != ""
    estimate = f.number("estimated_delivery_price")
    forward = f.number("underlying_price").where(option, estimate)
    vol = _vols(f, parts, time, forward, intake)
    intake.quotes(pd.DataFrame(head | {"mark": f.number("mark_price"), "underlying_price": forward, "vol": vol}))
    _index_quotes(name, time, estimate, intake)
    dollars = f.number("volume_usd").where(~option & ~linear, f.number("volume"))
    intake.quotes(pd.DataFrame(head | {"volume": dollars}))
    rate = f.number("funding_8h").where(parts["kind"] == "perpetual")
    intake.quotes(pd.DataFrame(head | {"funding_rate": rate, "funding_hours": np.where(rate.notna(), 8.0, np.nan)}))


def _order_books(f: Fields, intake: Intake) -> None:
    """Whole books (get_order_book, grouped books): ticker fields where they are there, and the levels."""
    if "best_bid_price" in f:
        read_tickers(f, intake)
    name, time = f.text("instrument_name"), f.time("timestamp", needed=True)
    for label, when, bids, asks in zip(name, time, f.raw("bids"), f.raw("asks"), strict=True):
        book(label, when, levels_of(bids), levels_of(asks), intake)


def _book_messages(f: Fields, intake: Intake) -> None:
    """Book subscriptions: a snapshot, then changes of levels ('new', 'change', 'delete')."""
    name, time = f.text("instrument_name"), f.time("timestamp", needed=True)
    rows = zip(name, time, f.text("type"), f.raw("bids"), f.raw("asks"), f.places, strict=True)
    books: dict[str, list] = {}
    for label, when, kind, bids, asks, _ in rows:
        books.setdefault(label, []).append((when, kind == "snapshot", levels_of(bids), levels_of(asks)))
    for label, messages in books.items():
        last_book(label, messages, intake)


def _index_price(f: Fields, intake: Intake) -> None:
    """deribit_price_index: an index by its own name."""
    label, time = f.text("index_name"), f.time("timestamp")
    _indices(label.unique(), intake)
    intake.quotes(pd.DataFrame({"instrument": label, "time": time, "mark": f.number("price")}))


# ---- what one holds ------------------------------------------------------------------------------------------------


def _positions(f: Fields, intake: Intake) -> None:
    """get_positions: the size in the venue's amounts, its sign the direction's; its mark for what no ticker quotes."""
    size, side = f.number("size", needed=True), f.text("direction")
    signed = f.signed(size, side, own=("zero",))
    name, combo = f.text("instrument_name"), f.text("kind").str.endswith("combo")
    for label in name[combo & (signed != 0)]:
        intake.lose(f"position of {label}", _COMBO)
    coin = named_contracts(name)["base"]
    time = f.time("_seen")
    intake.holds(name[~combo], signed[~combo], time[~combo], "positions " + coin[~combo])
    mark = f.number("mark_price")
    intake.held_marks(name[~combo], time[~combo], mark[~combo])


def _accounts(f: Fields, intake: Intake) -> None:
    """Account summaries: the coin that is not option marks (balance, session profit and unrealised profit), the fees.

    equity = balance + session profit + option value, so that equity - option value is what the market's cash instrument
    stands for: futures have no value of their own here.
    """
    coin = f.number("equity", needed=True) - f.number("options_value", needed=True)
    money = f.text("currency")
    intake.holds(money, coin, f.time("_seen"), "balance " + money)
    if "fees" in f:
        for fees in f.raw("fees"):
            _fees(fees if isinstance(fees, list) else [], intake)


def _fees(fees: list, intake: Intake) -> None:
    """An account's own fees by index and kind: 'fixed' is the rate, 'relative' a part of the instrument's."""
    for fee in fees:
        value = fee.get("value") if isinstance(fee, dict) else None
        default = value.get("default") if isinstance(value, dict) else None
        if not isinstance(default, dict) or "taker" not in default:
            continue
        taker = pd.to_numeric(pd.Series([default["taker"]]), errors="coerce").iloc[0]
        if np.isfinite(taker):
            intake.fees[str(fee.get("index_name")), str(fee.get("kind"))] = (str(default.get("type")), float(taker))
        else:
            intake.reject(f"fee of {fee.get('index_name')}", f"{default['taker']!r} is no number")


def _own_trades(f: Fields, intake: Intake) -> None:
    """Our executions (get_user_trades, user.trades): signed amounts, the fee in its own currency."""
    amount = f.number("amount", needed=True)
    signed = f.signed(amount, f.text("direction"))
    intake.add("fills", pd.DataFrame({
        "fill_id": f.text("trade_id"), "order_id": f.text("order_id"), "book": intake.account,
        "instrument": f.text("instrument_name"), "quantity": signed, "price": f.number("price", needed=True),
        "fee": f.number("fee", needed=True), "money": f.text("fee_currency"), "time": f.time("timestamp", needed=True),
        "source": "deribit",
    }))  # fmt: skip


SHAPES = (
    shape("instrument", "instrument_name kind base_currency", read_instruments),
    shape("position", "instrument_name size", _positions, holds="size floating_profit_loss total_profit_loss"),
    shape("own trade", "trade_id order_id instrument_name amount", _own_trades),
    shape("order", "order_id order_state", why="an order, not yet a trade"),
    shape("answer to an order", "order trades", why="an order, not yet a trade"),
    shape("trade", "trade_seq trade_id instrument_name", why="a trade of others: no part of a market at one instant"),
    shape("change of a book", "instrument_name bids asks type", _book_messages),
    shape("order book", "instrument_name bids asks timestamp", _order_books),
    shape("ticker", "instrument_name timestamp best_bid_price best_ask_price", read_tickers),
    shape("book summary", "instrument_name creation_timestamp mark_price", _summaries),
    shape("account", "currency equity", _accounts, holds="equity balance margin_balance options_value"),
    shape("index price", "index_name price", _index_price),
    shape("volatility index", "index_name volatility", why="an index of vols: the chain has the vols themselves"),
    shape("combination", "legs id", why=_COMBO),
    shape("chart", "tick open close", why="bars of trades: no part of a market at one instant"),
    shape("chart", "ticks open close", why="bars of trades: no part of a market at one instant"),
    shape("expirations", "future", why="dates alone; the instruments have them"),
    shape("expirations", "option", why="dates alone; the instruments have them"),
    shape("version", "version", why="no market data"),
    shape("heartbeat", "type", why="no market data"),
    shape("plain value", "value", why="no market data (a time, or the channels subscribed to)"),
)  # fmt: skip
