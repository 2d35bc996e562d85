"""Deribit: instruments, tickers, book summaries, order books, accounts, positions, own trades; JSON-RPC or recorded.

Amounts are what the venue counts (USD of an inverse future, coin elsewhere) until the intake turns them into contracts
of `contract_size`. Prices of inverse options are in coin. Vols are percent at the venue, decimals here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from optihedge.market.importers.books import book, last_book, levels_of
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile
from optihedge.market.pricing import black, years_between

FEE_CAP = 0.125  # published rule, in no message: an option's fee is at most 12.5 % of its price
SETTLEMENT_WINDOW = 30.0  # minutes, published: delivery is the mean of the index over the last half hour
PUBLISHED = {  # terms of 2026 for contracts that no instrument list describes: contract size, least amount, tick, fee
    ("BTC", "option"): (1.0, 0.1, 0.0001, 0.0003),
    ("ETH", "option"): (1.0, 1.0, 0.0001, 0.0003),
    ("BTC", "future"): (10.0, 10.0, 2.5, 0.0005),
    ("ETH", "future"): (1.0, 1.0, 0.25, 0.0005),
}
_NAME = (
    r"^(?P<base>[A-Z0-9]+?)(?:_(?P<money>USDC|USDT|EURR))?-(?:(?P<perpetual>PERPETUAL)|(?P<day>\d{1,2}[A-Z]{3}\d{2})"
    r"(?:-(?P<strike>\d+(?:[d.]\d+)?)-(?P<right>[CP]))?)$"
)
_COMBO = "a combination; its legs are the contracts"


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Deribit's into the intake."""
    if raw.form == "table":
        table: pd.DataFrame = raw.content  # type: ignore[assignment]
        _table(table, intake)
    elif raw.form == "json":
        intake.records(_unwrapped(raw.content, intake), SHAPES)  # type: ignore[arg-type]
    else:
        intake.reject("the file", f"{raw.form} is no format of Deribit's; give JSON, or a table of its fields")


def _unwrapped(values: object, intake: Intake) -> Iterator[tuple[str, dict]]:
    """The records inside JSON-RPC answers and subscriptions, each with its place."""
    for place, value in values:  # type: ignore[attr-defined]
        if isinstance(value, ValueError):
            intake.reject("the text", f"not whole JSON ({value})", place)
            continue
        seen = pd.NaT
        if isinstance(value, dict) and "msg" in value and "dir" in value:  # a recorder's envelope
            if value["dir"] != "recv":
                intake.reject("request", "what was asked of the venue, not said by it", place)
                continue
            value = value["msg"]
        if isinstance(value, dict) and "error" in value:
            intake.reject("answer", f"an error of the venue: {value['error']}", place)
            continue
        if isinstance(value, dict) and "params" in value and "method" in value:
            params = value["params"] if isinstance(value["params"], dict) else {}
            value = params.get("data", params)
        elif isinstance(value, dict) and "result" in value:
            seen = value.get("usOut", pd.NaT)
            value = value["result"]
        if isinstance(value, dict) and isinstance(value.get("trades"), list) and "order" not in value:
            value = value["trades"]
        if isinstance(value, dict) and isinstance(value.get("summaries"), list):
            value = value["summaries"]
        for item in value if isinstance(value, list) else [value]:
            record = item if isinstance(item, dict) else {"value": item}
            yield place, record if seen is pd.NaT else {**record, "_seen": seen}


# ---- contracts -----------------------------------------------------------------------------------------------------


def _instruments(f: Fields, intake: Intake) -> None:
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
    kind, base = f.text("kind", needed=True), f.text("base_currency", needed=True)
    quote = f.text("quote_currency", needed=True)
    counter = f.text("counter_currency")
    inverse = (f.text("instrument_type") == "reversed") | (f.text("future_type") == "reversed")
    silent = (f.text("instrument_type") == "") & (f.text("future_type") == "")
    inverse |= silent & ((quote == base) | (quote == "USD"))  # old messages do not say: dollar contracts settle in coin
    counter = counter.where(counter != "", quote.where(quote != base, "USD"))
    perpetual = f.text("settlement_period") == "perpetual"
    option, spot = kind == "option", kind == "spot"
    family = np.select([option, spot, perpetual], ["option", "spot", "perpetual"], "future")
    size, least = f.number("contract_size", needed=True), f.number("min_trade_amount", needed=True)
    least = least.fillna(size)  # whole contracts
    money = f.text("settlement_currency")
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
    _add_instruments(rows, intake)


def _add_instruments(rows: pd.DataFrame, intake: Intake) -> None:
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


def finish(intake: Intake) -> None:
    """Describe by its name, and by the published terms, each contract seen that no instrument list describes."""
    intake.money = intake.money or "USD"
    _own_fees(intake)
    told = set(intake.frame("instruments")["instrument"])
    seen = pd.concat([intake.frame(name)["instrument"] for name in ("quotes", "books", "fills")]).drop_duplicates()
    seen = seen[~seen.isin(told)].reset_index(drop=True)
    parts = named_contracts(seen)
    group = parts["kind"].replace("perpetual", "future")
    terms = [PUBLISHED.get(key) for key in zip(parts["base"], group, strict=True)]
    terms = [t if money == "" else None for t, money in zip(terms, parts["money"], strict=True)]
    known = np.array([t is not None for t in terms], dtype=bool)
    coins = (seen.str.fullmatch(r"[A-Z0-9]{2,6}") | seen.str.fullmatch(r"[a-z0-9]+_[a-z0-9]+")).to_numpy(dtype=bool)
    for name in seen[~known & ~coins]:
        intake.reject(name, "no instrument list describes it; add get_instruments of its currency")
    if not known.any():
        return
    seen, parts = seen[known], parts[known]
    size, least, tick, fee = np.array([t for t in terms if t is not None]).T
    option = (parts["kind"] == "option").to_numpy()
    tick = np.where((parts["kind"] == "perpetual").to_numpy(), tick / 5, tick)
    rows = pd.DataFrame({
        "instrument": seen, "type": "inverse_" + parts["kind"], "underlying": parts["base"], "currency": "USD",
        "multiplier": size, "venue_amount": size, "expiry": parts["expiry"], "strike": parts["strike"],
        "right": parts["right"], "lot": least / size, "min_quantity": least / size, "tick": tick, "fee": fee,
        "fee_cap": np.where(option, FEE_CAP, np.nan), "settlement_currency": parts["base"],
        "price_index": parts["base"].str.lower() + "_usd",
    })  # fmt: skip
    intake.note(f"{len(rows)} contracts, {rows['instrument'].iloc[0]} first, are in no instrument list: their expiry "
                "is their name's, contract size, lot, tick and fee are Deribit's published terms of 2026")  # fmt: skip
    _add_instruments(rows, intake)


def _own_fees(intake: Intake) -> None:
    """The account's own fees in place of the contracts' list fees."""
    told = intake.frame("instruments")
    if not intake.fees or "price_index" not in told.columns:
        return
    option = told["type"].astype(str).str.endswith("option")
    kind = np.select([option, told["type"].astype(str).str.endswith("perpetual")], ["option", "perpetual"], "future")
    own = [intake.fees.get(key) for key in zip(told["price_index"], kind, strict=True)]
    fee = [old if mine is None else mine[1] * (old if mine[0] == "relative" else 1.0)
           for old, mine in zip(told["fee"], own, strict=True)]  # fmt: skip
    chosen = np.array([mine is not None for mine in own], dtype=bool)
    if chosen.any():
        intake.note(f"fees of {int(chosen.sum())} contracts are the account's own, not the venue's list")
        intake.add("instruments", told.assign(fee=fee)[chosen])


# ---- prices --------------------------------------------------------------------------------------------------------


def _tickers(f: Fields, intake: Intake) -> None:
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
    _marks(f, intake, head, forward, f.number("mark_iv").where(option) / 100)
    dollars = f.number("stats.volume_usd").where(~option & ~linear, f.number("stats.volume"))
    intake.quotes(pd.DataFrame(head | {"volume": dollars}))
    perpetual = parts["kind"] == "perpetual"
    rate = f.number("funding_8h").where(perpetual)
    intake.quotes(pd.DataFrame(head | {"funding_rate": rate, "funding_hours": np.where(rate.notna(), 8.0, np.nan)}))
    greeks = {f"venue_{g}": f.number(f"greeks.{g}") for g in ("delta", "gamma", "vega", "theta", "rho")}
    if "greeks.delta" in f:
        intake.add("greeks", pd.DataFrame(head | greeks)[option.to_numpy()])


def _marks(f: Fields, intake: Intake, head: dict, forward: pd.Series, vol: pd.Series) -> None:
    """Marks with forward and vol, and the index of each base currency."""
    vol = vol.where(vol > 0)
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
    vol = f.number("mark_iv").where(option) / 100
    intake.quotes(pd.DataFrame(head | {"mark": f.number("mark_price"), "underlying_price": forward,
                                       "vol": vol.where(vol > 0)}))  # fmt: skip
    _index_quotes(name, time, estimate, intake)
    dollars = f.number("volume_usd").where(~option & ~linear, f.number("volume"))
    intake.quotes(pd.DataFrame(head | {"volume": dollars}))
    rate = f.number("funding_8h").where(parts["kind"] == "perpetual")
    intake.quotes(pd.DataFrame(head | {"funding_rate": rate, "funding_hours": np.where(rate.notna(), 8.0, np.nan)}))


def _order_books(f: Fields, intake: Intake) -> None:
    """Whole books (get_order_book, grouped books): ticker fields where they are there, and the levels."""
    if "best_bid_price" in f:
        _tickers(f, intake)
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
    signed = size.abs().where(side == "buy", -size.abs()).where(side.isin(("buy", "sell")), size)
    name, combo = f.text("instrument_name"), f.text("kind").str.endswith("combo")
    if combo.any():
        intake.reject("position", _COMBO, count=int(combo.sum()))
    coin = named_contracts(name)["base"]
    time = f.time("_seen", unit="us")
    rows = {"book": intake.account, "instrument": name, "quantity": signed, "time": time, "scope": "positions " + coin}
    intake.add("books", pd.DataFrame(rows)[~combo])
    mark = f.number("mark_price")
    intake.held_marks(name[~combo], time[~combo], mark[~combo])


def _accounts(f: Fields, intake: Intake) -> None:
    """Account summaries: the coin that is not option marks (balance, session profit and unrealised profit), the fees.

    equity = balance + session profit + option value, so that equity - option value is what the market's cash instrument
    stands for: futures have no value of their own here.
    """
    equity, balance = f.number("equity"), f.number("balance")
    coin = (equity - f.number("options_value").fillna(0.0)).where(equity.notna(), balance)
    time = f.time("_seen", unit="us")
    money = f.text("currency")
    rows = {"book": intake.account, "instrument": money, "quantity": coin, "time": time, "scope": "balance " + money}
    intake.add("books", pd.DataFrame(rows))
    if "fees" in f:
        for fees in f.raw("fees"):
            _fees(fees if isinstance(fees, list) else [], intake)


def _fees(fees: list, intake: Intake) -> None:
    """An account's own fees by index and kind: 'fixed' is the rate, 'relative' a part of the instrument's."""
    for fee in fees:
        default = fee.get("value", {}).get("default", {}) if isinstance(fee, dict) else {}
        if isinstance(default, dict) and "taker" in default:
            key = (str(fee.get("index_name")), str(fee.get("kind")))
            intake.fees[key] = (str(default.get("type")), float(default["taker"]))


def _own_trades(f: Fields, intake: Intake) -> None:
    """Our executions (get_user_trades, user.trades): signed amounts, the fee in its own currency."""
    amount = f.number("amount", needed=True)
    signed = amount.where(f.text("direction") == "buy", -amount)
    intake.add("fills", pd.DataFrame({
        "fill_id": f.text("trade_id"), "order_id": f.text("order_id"), "book": intake.account,
        "instrument": f.text("instrument_name"), "quantity": signed, "price": f.number("price", needed=True),
        "fee": f.number("fee", needed=True), "money": f.text("fee_currency"), "time": f.time("timestamp", needed=True),
        "source": "deribit",
    }))  # fmt: skip


SHAPES = (
    shape("instrument", "instrument_name kind base_currency", _instruments),
    shape("position", "instrument_name size average_price direction", _positions),
    shape("own trade", "trade_id order_id instrument_name amount", _own_trades),
    shape("order", "order_id order_state", why="an order, not yet a trade"),
    shape("answer to an order", "order trades", why="an order, not yet a trade"),
    shape("trade", "trade_seq trade_id instrument_name", why="a trade of others: no part of a market at one instant"),
    shape("change of a book", "instrument_name bids asks type", _book_messages),
    shape("order book", "instrument_name bids asks timestamp", _order_books),
    shape("ticker", "instrument_name timestamp best_bid_price best_ask_price", _tickers),
    shape("book summary", "instrument_name creation_timestamp mark_price", _summaries),
    shape("account", "currency equity balance", _accounts),
    shape("index price", "index_name price", _index_price),
    shape("volatility index", "index_name volatility", why="an index of vols: the chain has the vols themselves"),
    shape("combination", "legs id", why=_COMBO),
    shape("chart", "tick open close", why="bars of trades: no part of a market at one instant"),
    shape("chart", "ticks open close", why="bars of trades: no part of a market at one instant"),
    shape("expirations", "option future", why="dates alone; the instruments have them"),
    shape("expirations", "option", why="dates alone; the instruments have them"),
    shape("version", "version", why="no market data"),
    shape("heartbeat", "type", why="no market data"),
    shape("plain value", "value", why="no market data (a time, or the channels subscribed to)"),
)  # fmt: skip

# ---- recorded tables -----------------------------------------------------------------------------------------------

_RECORDED = {
    "expiration": "expiration_timestamp", "expiry": "expiration_timestamp", "time": "timestamp",
    "bid_price": "best_bid_price", "ask_price": "best_ask_price", "implied_volatility": "mark_iv",
    "stats_volume": "stats.volume", "stats_volume_usd": "stats.volume_usd", "volume": "stats.volume",
    **{greek: f"greeks.{greek}" for greek in ("delta", "gamma", "vega", "theta", "rho")},
}  # fmt: skip
"""What recorders call the API's fields when they flatten them."""


def _table(table: pd.DataFrame, intake: Intake) -> None:
    """A table of the API's fields, flattened by whoever recorded it, any number of snapshots."""
    table = table.reset_index(drop=True)
    table = table.rename(columns={a: b for a, b in _RECORDED.items() if b not in table.columns})
    for field in ("instrument_name", "timestamp"):
        if field not in table.columns:
            intake.reject("the table", f"no column {field}", count=len(table))
            return
    parts = named_contracts(table["instrument_name"])
    unread = (parts["kind"] == "").to_numpy()
    if unread.any():
        first = table["instrument_name"][unread].iloc[0]
        intake.reject("row", f"{first} is no name of a future or option of Deribit's", count=int(unread.sum()))
        table, parts = table[~unread].reset_index(drop=True), parts[~unread].reset_index(drop=True)
    if "mark_iv" in table.columns:
        table["mark_iv"] = table["mark_iv"].astype(float) * _percent(table, parts, intake)
    if "contract_size" in table.columns:
        latest = ~table["instrument_name"].duplicated(keep="last")
        _recorded_instruments(table[latest].reset_index(drop=True), parts[latest].reset_index(drop=True), intake)
    table["instrument_name"] = table["instrument_name"].astype(str)
    fields = Fields(table, intake.reject, "row")
    priced = [c for c in ("best_bid_price", "mark_price") if c in table.columns]
    if not priced:
        intake.reject("the table", "no column of prices (best_bid_price, bid_price, mark_price)", count=len(table))
        return
    _tickers(fields, intake)


def _recorded_instruments(table: pd.DataFrame, parts: pd.DataFrame, intake: Intake) -> None:
    """Contract facts of a recorded table: what the name says, the size, least amount, tick and fee that it recorded."""
    option = parts["kind"] == "option"
    linear = parts["money"] != ""
    said = table.assign(
        kind=np.where(option, "option", "future"), base_currency=parts["base"],
        quote_currency=parts["money"].where(linear, parts["base"].where(option, "USD")),
        counter_currency=parts["money"].where(linear, "USD"),
        instrument_type=np.where(linear, "linear", "reversed"),
        settlement_period=np.where(parts["kind"] == "perpetual", "perpetual", "day"),
        option_type=parts["right"].map({"C": "call", "P": "put"}),
        expiration_timestamp=parts["expiry"], strike=parts["strike"],
    )  # fmt: skip
    _instruments(Fields(said, intake.reject, "contract"), intake)


def _percent(table: pd.DataFrame, parts: pd.DataFrame, intake: Intake) -> float:
    """What turns a column of vols into percent: 1, 100, or NaN; settled by which of them reprices the marks."""
    need = ("mark_price", "underlying_price")
    option = (parts["kind"] == "option").to_numpy() & (parts["money"] == "").to_numpy()
    if not option.any() or not set(need) <= set(table.columns):
        return 1.0
    at = np.flatnonzero(option & (table["mark_iv"] > 0).to_numpy())[:5000]
    rows, named = table.iloc[at], parts.iloc[at]
    years = years_between(pd.to_datetime(rows["timestamp"], utc=True), named["expiry"])
    forward = rows["underlying_price"].to_numpy(float)
    sign = np.where(named["right"] == "C", 1.0, -1.0)
    error = {}
    for scale in (0.01, 1.0):
        vol = rows["mark_iv"].to_numpy(float) * scale
        with np.errstate(all="ignore"):
            fair = black(forward, named["strike"].to_numpy(), np.asarray(years), vol, sign) / forward
        error[scale] = float(np.nanmedian(np.abs(fair - rows["mark_price"].to_numpy(float))))
    best = min(error, key=error.__getitem__)
    if not error[best] < 1e-3:
        intake.reject(
            "column of implied vols", "neither percent nor decimals reprice the marks; not used", "", len(table)
        )
        return float("nan")
    return best * 100
