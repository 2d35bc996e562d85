"""Option chains as brokers and exchanges export them: calls on the left, puts on the right, the strike between.

Cboe's delayed quotes and Fidelity's Active Trader Pro, told by their headers; any other table goes by `csv` and a map.
The underlying's price and the time of the export stand in the lines before the table.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake
from optihedge.market.importers.listed import exercise_of, expiry_instants, option_label, option_parts
from optihedge.market.importers.raw import RawFile
from optihedge.market.importers.tables import csv_rows, written_numbers

ZONES = {"ET": "America/New_York", "EST": "America/New_York", "EDT": "America/New_York", "CT": "America/Chicago",
         "CST": "America/Chicago", "UTC": "UTC", "GMT": "UTC"}  # fmt: skip
_TIME = re.compile(
    r"(\d{1,2}/\d{1,2}/\d{4},? \d{1,2}:\d{2}(?::\d{2})? ?[AP]M|[A-Z][a-z]+ \d{1,2}, \d{4} at \d{1,2}:\d{2} ?[AP]M)"
    r" ([A-Z]{2,3})"
)
_COLUMNS = {  # one side of a chain: ours, and how the table's column is called
    "symbol": ("symbol", "calls", "puts"), "bid": ("bid",), "ask": ("ask",),
    "vol": ("iv", "imp vol", "implied volatility"),
    "volume": ("volume", "vol"), "bid_size": ("bid size",), "ask_size": ("ask size",), "venue_delta": ("delta",),
    "venue_gamma": ("gamma",), "venue_theta": ("theta",), "venue_vega": ("vega",),
}  # fmt: skip


def read(raw: RawFile, intake: Intake) -> None:
    """Put one exported chain into the intake."""
    if raw.form == "table":
        _long_table(raw.content, intake)
        return
    if raw.form != "text":
        intake.reject("the file", f"{raw.form}; give the chain as text")
        return
    rows = csv_rows(str(raw.content), ",")
    head = next((n for n, row in enumerate(rows) if "strike" in [c.lower() for c in row]), None)
    if head is None:
        intake.reject("the file", "no header with a column Strike: no chain")
        return
    header = [cell.lower() for cell in rows[head]]
    table = [row for row in rows[head + 1 :] if len(row) == len(header)]
    preamble = " ".join(" ".join(row) for row in rows[:head])
    time = _seen(preamble, intake)
    middle = header.index("strike")
    halves = {"C": range(middle), "P": range(middle + 1, len(header))}
    sides = [_side(table, header, half, right, intake) for right, half in halves.items()]
    options = pd.concat(sides, ignore_index=True)
    intake.used[intake.file] = len(options)
    _add_chain(options.assign(time=time), "USD", intake)
    price = re.search(r"Last(?: Trade)?:? ?\$?([\d,]+(?:\.\d+)?)", preamble)
    bid, ask = (re.search(rf"{side}: ?([\d,]+(?:\.\d+)?)", preamble) for side in ("Bid", "Ask"))
    roots = options["root"].mode()
    if price is None or roots.empty:
        intake.reject("the underlying", "the lines before the table say no price of it")
        return
    last, low, high = (np.nan if m is None else float(m[1].replace(",", "")) for m in (price, bid, ask))
    _add_underlying(str(roots.iloc[0]), "USD", time, last, low, high, intake)


def finish(intake: Intake) -> None:
    """Chains of this kind are in dollars; what they do not say is named."""
    intake.money = intake.money or "USD"
    if len(intake.frame("instruments")):
        intake.note("lots (1 contract of 100), ticks (0.01), exercise and expiry instants are rules of the exchange; "
                    "fees are not in the file: set fee_per_contract in instruments.csv")  # fmt: skip


def _seen(text: str, intake: Intake) -> pd.Timestamp:
    """The last time in the preamble, that of the export; else as_of."""
    found = _TIME.findall(text)
    if not found:
        return intake.until if intake.until is not None else pd.NaT
    words, zone = found[-1]
    local = pd.Timestamp(words.replace(" at ", " ").replace(",", ""))
    return local.tz_localize(ZONES.get(zone, ZONES["ET"])).tz_convert("UTC").as_unit("ns")


def _side(table: list[list[str]], header: list[str], half: range, right: str, intake: Intake) -> pd.DataFrame:
    """One side of the chain, its columns by their names; rows that head an expiry ('--') go."""
    frame = pd.DataFrame({ours: _column(table, header, half, names) for ours, names in _COLUMNS.items()})
    parts = option_parts(frame["symbol"])
    good = (parts["root"] != "") & (parts["right"] == right)
    heads = ~good & ((frame["symbol"] == "") | frame["symbol"].isna())
    if (~good & ~heads).any():
        first = frame["symbol"][~good & ~heads].iloc[0]
        intake.reject("row", f"{first!r} is no option's symbol", count=int((~good & ~heads).sum()))
    numbers = {name: written_numbers(frame[name]) for name in _COLUMNS if name != "symbol"}
    return pd.concat([parts, pd.DataFrame(numbers)], axis=1)[good]


def _column(table: list[list[str]], header: list[str], half: range, names: tuple[str, ...]) -> list[str]:
    at = next((i for i in half if header[i] in names), None)
    return [row[at].replace("--", "") if at is not None else "" for row in table]


def _add_chain(options: pd.DataFrame, money: str, intake: Intake) -> None:
    """Options (root, day, right, strike, bid, ask ...) as instruments and quotes."""
    label = option_label(options["root"], options["day"], options["right"], options["strike"])
    currency = pd.Series(money, index=options.index)
    index = np.isin(options["root"], ("SPXW", "NDXP", "RUTW", "VIXW"))
    underlying = options["root"].where(~index, options["root"].str[:-1])
    intake.add("instruments", pd.DataFrame({
        "instrument": label, "type": "option", "underlying": underlying, "currency": currency, "multiplier": 100.0,
        "expiry": expiry_instants(options["day"], currency, options["root"]), "strike": options["strike"],
        "right": options["right"], "symbol": label, "lot": 1.0, "tick": 0.01, "min_quantity": 1.0,
        "exercise": exercise_of(options["root"]),
    }))  # fmt: skip
    head = {"instrument": label, "time": options["time"]}
    tops = {name: options[name] for name in ("bid", "ask", "bid_size", "ask_size")}
    intake.quotes(pd.DataFrame(head | tops))
    vol = options["vol"]
    intake.quotes(pd.DataFrame(head | {"vol": vol.where(vol > 0)}))
    intake.quotes(pd.DataFrame(head | {"volume": options["volume"]}))
    greeks = {name: options[name] for name in ("venue_delta", "venue_gamma", "venue_vega", "venue_theta")}
    intake.add("greeks", pd.DataFrame(head | greeks))


def _add_underlying(
    root: str, money: str, time: pd.Timestamp, last: float, bid: float, ask: float, intake: Intake
) -> None:  # fmt: skip
    name = root[:-1] if root in ("SPXW", "NDXP", "RUTW", "VIXW") else root
    kind = "index" if exercise_of(pd.Series([root]))[0] == "european" else "equity"
    row = {"instrument": name, "type": kind, "underlying": name, "currency": money, "multiplier": 1.0, "lot": 1.0,
           "symbol": name}  # fmt: skip
    intake.add("instruments", pd.DataFrame([row | {"tick": 0.01 if kind == "equity" else np.nan}]))
    quote = {"instrument": name, "time": time, "mark": last}
    intake.quotes(pd.DataFrame([quote | ({"bid": bid, "ask": ask} if kind == "equity" and bid > 0 else {})]))


def _long_table(table: pd.DataFrame, intake: Intake) -> None:
    """A recorded chain with one option a row: symbol, time, bid, ask and the price of its stock."""
    f = Fields(table.reset_index(drop=True), intake.reject, "row")
    symbol = f.text("symbol", needed=True)
    parts = option_parts(symbol)
    good = (parts["root"] != "").to_numpy()
    if (~good).any():
        intake.reject("row", f"{symbol[~good].iloc[0]!r} is no option's symbol", count=int((~good).sum()))
    names = [name for name in _COLUMNS if name not in ("symbol", "vol")]
    numbers = {name: f.number(name.removeprefix("venue_")) for name in names}
    options = pd.concat([parts, pd.DataFrame(numbers)], axis=1).assign(time=f.time("time", needed=True), vol=np.nan)
    intake.used[intake.file] = len(table)
    _add_chain(options[good], "USD", intake)
    stock = pd.DataFrame({"root": parts["root"], "time": options["time"], "last": f.number("stock_last")})[good]
    for row in stock.dropna().drop_duplicates(["root", "time"]).itertuples(index=False):
        _add_underlying(row.root, "USD", row.time, row.last, np.nan, np.nan, intake)
