"""CSV exports of retail brokers: trades as fills, dividends per share as events. A table is known by its columns.

Trading 212, Revolut, eToro, XTB, Investimental, Avanza. They say trades, not positions; what an export leaves unsaid
(a split's ratio, a dividend per share, the price behind leverage) is named, never worked out.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd

from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.listed import share_label
from optihedge.market.importers.raw import RawFile
from optihedge.market.importers.tables import csv_records, written_numbers

_MOVES = r"split|spin|merger|distribution"
_CASH = "cash, or a booking that is neither a trade nor a dividend"
_XTB_TRADE = r"^(OPEN|CLOSE) (BUY|SELL) (\d+(?:\.\d+)?)(?:/\d+(?:\.\d+)?)? @ (\d+(?:\.\d+)?)$"
_XTB_PAID = r"^\S+ ([A-Z]{3}) (\d+(?:\.\d+)?)/ ?SHR$"


def read(raw: RawFile, intake: Intake) -> None:
    """Put one export into the intake."""
    if raw.form != "text":
        intake.reject("the file", f"{raw.form} is no export of these brokers; give their CSV")
        return
    records = csv_records(str(raw.content), intake)
    intake.records([(f"row {number}", record) for number, record in enumerate(records, start=2)], SHAPES)


def finish(intake: Intake) -> None:
    """The money of most shares."""
    monies = intake.frame("instruments")["currency"].value_counts()
    intake.money = intake.money or (str(monies.index[0]) if len(monies) else "")


def _local(f: Fields, name: str, form: str, zone: str, close: str = "") -> pd.Series:
    """UTC instants of local times in a format; `close`: the hour that a bare date stands for."""
    words = f.text(name)
    local = pd.to_datetime(words.where(words != ""), format=form, errors="coerce")
    lost = (words != "") & local.isna()
    if lost.any():
        f.reject(f"{f.what}: {name}", f"{words[lost].iloc[0]!r} is no time", "", int(lost.sum()))
    local = local + pd.Timedelta(f"{close}:00") if close else local
    return local.dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward").dt.tz_convert("UTC").dt.as_unit("ns")


def _number(f: Fields, name: str) -> pd.Series:
    """Numbers as people write them ($52.07); another is named."""
    words = f.text(name)
    numbers = written_numbers(words)
    lost = numbers.isna() & ~words.isin(("", "-"))
    if lost.any():
        f.reject(f"{f.what}: {name}", f"{words[lost].iloc[0]!r} is no number", f.places[0], int(lost.sum()))
    return numbers


def _chosen(
    f: Fields, trade: pd.Series, paid: pd.Series, what: str, intake: Intake, why: str = _CASH, size: str = ""
) -> None:
    """Name the rows that are neither a trade nor a dividend, by what they call themselves.

    size   field of shares: a row that has some, or speaks of a split, spin-off or merger, moves shares
    """
    other = ~trade & ~paid
    kind = f.text(what)
    shares = written_numbers(f.text(size)).fillna(0.0) != 0 if size else pd.Series(False, index=kind.index)
    moving = other & (shares | kind.str.contains(_MOVES, case=False))
    for name, count in kind[other & ~moving].value_counts(sort=False).items():
        intake.reject(str(name), why, count=int(count))
    for at in map(int, np.flatnonzero(moving)):
        intake.move(f"{kind.iloc[at]} of {f.place(at)}", "shares that came or went without a trade")


def _share(symbol: pd.Series, money: pd.Series, intake: Intake, isin: pd.Series | None = None) -> pd.Series:
    """Labels of shares, SYMBOL or SYMBOL.CUR where it is not in dollars, which are put among the instruments."""
    label = share_label(symbol, money)
    rows = pd.DataFrame({"instrument": label, "type": "equity", "underlying": label, "currency": money,
                         "multiplier": 1.0, "venue": intake.venue, "symbol": symbol})  # fmt: skip
    intake.add("instruments", (rows if isin is None else rows.assign(isin=isin))[(label != "").to_numpy()])
    return label


def _fills(intake: Intake, **columns: pd.Series | str | float) -> None:
    given = {"fill_id": "", "order_id": "", "book": intake.account, "fee": 0.0, "money": "", "source": intake.venue}
    intake.add("fills", pd.DataFrame(given | columns))


def _dividends(intake: Intake, label: pd.Series, time: pd.Series, value: pd.Series, money: pd.Series) -> None:
    number = intake.venue + " dividend " + label + " " + time.astype(str)
    rows = pd.DataFrame({"event_id": number, "time": time, "known_at": time, "kind": "dividend", "instrument": label,
                         "value": value, "money": money, "other": ""})  # fmt: skip
    intake.add("events", rows[rows["value"].notna() & rows["time"].notna()])


# ---- one reader a broker -------------------------------------------------------------------------------------------


def _trading212(f: Fields, intake: Intake) -> None:
    action = f.text("Action").str.lower()
    trade = action.str.endswith((" buy", " sell"))
    paid, split = action.str.startswith("dividend"), action.str.startswith("stock split")
    _chosen(f, trade, paid | split, "Action", intake, size="No. of shares")
    odd = ~f.text("Currency (Price / share)").str.fullmatch(r"[A-Z]{3}|GBp") & (trade | paid | split)
    if odd.any():
        intake.move("row", "its fields are in another order than the header's", f.places[int(odd.argmax())],
                      int(odd.sum()))  # fmt: skip
    keep = (trade | paid | split) & ~odd
    f, action = f.where(keep), action[keep].reset_index(drop=True)
    if not len(f):
        return
    intake.note("times of Trading 212 are read as UTC; pence (GBX) are pounds here")
    said = f.text("Currency (Price / share)")
    pence = said.isin(("GBX", "GBp"))
    money = said.where(~pence, "GBP")
    label = _share(f.text("Ticker"), money, intake, f.text("ISIN"))
    time, size = f.time("Time", needed=True), f.number("No. of shares", needed=True)
    price = f.number("Price / share", needed=True) / np.where(pence, 100.0, 1.0)
    trade = action.str.endswith((" buy", " sell"))
    _fills(intake, instrument=label[trade], price=price[trade], time=time[trade], fill_id=f.text("ID")[trade],
           quantity=size.where(action.str.endswith("buy"), -size)[trade],
           fee=f.number("Currency conversion fee").fillna(0.0)[trade],
           money=f.text("Currency (Currency conversion fee)")[trade])  # fmt: skip
    paid = action.str.startswith("dividend")
    _dividends(intake, label[paid], time[paid], price[paid], money[paid])
    _splits_of(action, label, time, size, intake)


def _splits_of(action: pd.Series, label: pd.Series, time: pd.Series, size: pd.Series, intake: Intake) -> None:
    """Splits from the pairs of rows that close the old shares and open the new ones."""
    old, new = action == "stock split close", action == "stock split open"
    for name in label[old].unique():
        mine = label == name
        before, after = size[old & mine].sum(), size[new & mine].sum()
        if not (before > 0 and after > 0):
            intake.reject(f"split of {name}", "its old and new shares are not both said")
            continue
        near = Fraction(after / before).limit_denominator(100)
        ratio = float(near) if abs(float(near) * before / after - 1) < 1e-4 else after / before
        when = time[new & mine].iloc[0]
        number = f"{intake.venue} split {name} {when:%Y%m%d}"
        row = {"event_id": number, "time": when, "known_at": when, "kind": "split", "instrument": name,
               "value": ratio, "money": "", "other": ""}  # fmt: skip
        intake.add("events", pd.DataFrame([row]))


def _revolut(f: Fields, intake: Intake) -> None:
    kind = f.text("Type")
    trade = kind.str.startswith(("BUY", "SELL"))
    _chosen(f, trade, pd.Series(False, index=trade.index), "Type", intake,
            "cash, or a booking that says no ratio and no amount per share", "Quantity")  # fmt: skip
    f, kind = f.where(trade), kind[trade].reset_index(drop=True)
    if not len(f):
        return
    size = _number(f, "Quantity")
    _fills(intake, instrument=_share(f.text("Ticker"), f.text("Currency"), intake), price=_number(f, "Price per share"),
           quantity=size.where(kind.str.startswith("BUY"), -size), time=f.time("Date", needed=True))  # fmt: skip


def _etoro(f: Fields, intake: Intake) -> None:
    kind, pair = f.text("Type"), f.text("Details").str.extract(r"^(?P<symbol>.+)/(?P<money>[A-Z]{3})$").fillna("")
    deal = kind.isin(("Open Position", "Position closed"))
    _chosen(f, deal, pd.Series(False, index=deal.index), "Type", intake,
            "cash, or a dividend that says no amount per share")  # fmt: skip
    plain = deal & (f.text("Asset type") != "CFD") & (pair["money"] == "USD")
    if (deal & ~plain).any():
        why = "its amount is in dollars and may be leveraged: no price in the contract's own money is said"
        intake.move("position", why, count=int((deal & ~plain).sum()))
    f, kind, pair = f.where(plain), kind[plain].reset_index(drop=True), pair[plain].reset_index(drop=True)
    if not len(f):
        return
    intake.note("prices of eToro are amount over units, its times are read as UTC")
    size = _number(f, "Units")
    size = size.where(size > 0)
    _fills(intake, instrument=_share(pair["symbol"], pair["money"], intake), price=_number(f, "Amount") / size,
           quantity=size.where(kind == "Open Position", -size),
           time=_local(f, "Date", "%d/%m/%Y %H:%M:%S", "UTC"))  # fmt: skip


def _xtb(f: Fields, intake: Intake) -> None:
    deal, per = f.text("Comment").str.extract(_XTB_TRADE), f.text("Comment").str.extract(_XTB_PAID)
    trade, paid = deal[0].notna(), per[0].notna() & f.text("Type").str.lower().str.contains("divid")
    _chosen(f, trade, paid, "Type", intake)
    keep = trade | paid
    f, deal, per = f.where(keep), deal[keep].reset_index(drop=True), per[keep].reset_index(drop=True)
    if not len(f):
        return
    intake.note("XTB says no currency of its shares: give it in instruments.csv; its times are read as Warsaw's")
    time, size = _local(f, "Time", "%d.%m.%Y %H:%M:%S", "Europe/Warsaw"), deal[2].astype(float)
    trade = deal[0].notna()
    buys = (deal[0] == "OPEN") == (deal[1] == "BUY")
    _fills(intake, instrument=f.text("Symbol")[trade], price=deal[3].astype(float)[trade], time=time[trade],
           quantity=size.where(buys, -size)[trade], fill_id=f.text("ID")[trade])  # fmt: skip
    paid = ~trade
    _dividends(intake, f.text("Symbol")[paid], time[paid], per[1].astype(float)[paid], per[0][paid])


def _investimental(f: Fields, intake: Intake) -> None:
    """A log of orders: after each trade it says what is left of the order (value over price) and of its fee."""
    price, volume, fee = (f.number(name, needed=True) for name in ("Price", "Volume", "Fee"))
    left = f.number("Value", needed=True) / price
    money = f.text("Account Name").str.extract(r"\[([A-Z]{3})\]")[0].fillna("")
    table = pd.DataFrame({
        "order_id": f.text("Order ID"), "fill_id": f.text("Last Trade ID"), "price": price, "left": left, "fee": fee,
        "volume": volume, "money": money, "kind": f.text("Update Type"), "side": f.text("Side"),
        "instrument": f.text("Symbol"), "time": _local(f, "Update Time", "%Y-%m-%d %H:%M:%S", "Europe/Bucharest"),
    })  # fmt: skip
    before = table.groupby("order_id")[["left", "fee"]].shift(1)
    traded = table["kind"] == "Fil"
    if (~traded).any():
        intake.reject("order", "no trade: placed, changed or withdrawn", count=int((~traded).sum()))
    if not traded.any():
        return
    intake.note("an order log says no prices of trades: those of the orders' limits stand in")
    size = (before["left"].fillna(volume) - left).round(6)
    table = table.assign(quantity=f.signed(size.where(traded), table["side"]), fee=before["fee"].fillna(0.0) - fee)
    table = table[traded]
    columns = ("instrument", "quantity", "price", "time", "fee", "money", "fill_id", "order_id")
    _fills(intake, **{name: table[name] for name in columns})


def _avanza(f: Fields, intake: Intake) -> None:
    kind = f.text("Typ av transaktion")
    trade, paid = kind.isin(("Köp", "Sälj")), kind == "Utdelning"
    _chosen(f, trade, paid, "Typ av transaktion", intake, size="Antal")
    f, trade = f.where(trade | paid), trade[trade | paid].reset_index(drop=True)
    if not len(f):
        return
    intake.note("Avanza says days, not times: a trade is at the close of Stockholm; shares are labelled by ISIN")
    money = f.text("Instrumentvaluta")
    label = _share(f.text("ISIN"), money, intake, f.text("ISIN"))
    time = _local(f, "Datum", "%Y-%m-%d", "Europe/Stockholm", close="17:25")
    size, price, fee = (written_numbers(f.text(name), ",") for name in ("Antal", "Kurs", "Courtage (SEK)"))
    _fills(intake, instrument=label[trade], quantity=size[trade], price=price[trade], time=time[trade],
           fee=fee.fillna(0.0)[trade], money="SEK")  # fmt: skip
    _dividends(intake, label[~trade], time[~trade], price[~trade], money[~trade])


SHAPES = (
    shape("row of Trading 212", "Action Time Ticker", _trading212),
    shape("row of Avanza", "Datum Antal Kurs ISIN", _avanza),
    shape("row of XTB", "ID Type Time Symbol Comment Amount", _xtb),
    shape("row of eToro", "Date Type Details Amount Units", _etoro),
    shape("row of Revolut", "Date Ticker Type Quantity Currency", _revolut),
    shape("row of Investimental", "Side Symbol Price Volume Value Fee", _investimental),
)  # fmt: skip
