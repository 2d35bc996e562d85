"""Interactive Brokers' Flex statements: positions, trades, cash, dividends, corporate actions, rates.

One FlexStatement is one account. Times are New York's unless the statement says another zone; quantities are signed;
commissions are negative where they are paid.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.listed import exercise_of, expiry_instants, option_label, option_parts, share_label

ZONE = "America/New_York"
_PLAIN = ("STK", "FUND", "ETF")
_PER_SHARE = r"(?:\b([A-Z]{3}) )?(\d+(?:\.\d+)?) ?(?:([A-Z]{3}) )?PER SHARE"
_READ = {
    "Trade": "trade", "OpenPosition": "position", "CashReportCurrency": "cash", "CashTransaction": "payment",
    "CorporateAction": "action", "ConversionRate": "rate", "SecurityInfo": "security", "AccountInformation": "account",
}  # fmt: skip


def read_flex(root: Element, intake: Intake) -> None:
    """Put every statement of a Flex query into the intake; sections that are not read are named."""
    statements = list(root.iter("FlexStatement"))
    if not statements:
        intake.reject("the file", f"no FlexStatement in <{root.tag}>")
    account = intake.account
    for statement in statements:
        intake.account = account or statement.get("accountId", "")
        rows: dict[str, list[dict]] = {}
        for element in statement.iter():
            kind = _READ.get(element.tag)
            if kind is not None:
                rows.setdefault(kind, []).append(dict(element.attrib))
            elif element is not statement and element.attrib and not len(element):
                intake.reject(f"section {element.tag}", "nothing a market, a book or fills hold")
        until = statement.get("toDate", "")
        order = ("account", "security", "position", "trade", "cash", "payment", "action", "rate")
        records = [("", {**row, "_kind": kind, "_until": until}) for kind in order for row in rows.get(kind, [])]
        for kind in order:
            part = [(place, {**row, f"_{kind}": True}) for place, row in records if row["_kind"] == kind]
            intake.records(part, SHAPES)
    intake.account = account


def local_times(f: Fields, *names: str) -> pd.Series:
    """UTC instants of the first of these fields that is filled: '20220125;105910', '2013-06-17, 20:25:00' or a date
    (then the close of that day), in New York time."""
    words = pd.Series("", index=f.frame.index, dtype=object)
    for name in names:
        words = words.where(words != "", f.text(name))
    digits = words.str.replace(r"[^\d]", "", regex=True)
    digits = digits.where(digits.str.len() != 8, digits + "160000").str.ljust(14, "0").str[:14]
    local = pd.to_datetime(digits, format="%Y%m%d%H%M%S", errors="coerce")
    lost = (words != "") & local.isna()
    if lost.any():
        f.reject(f"{f.what}: {names[0]}", f"{words[lost].iloc[0]!r} is no time", "", int(lost.sum()))
    return local.dt.tz_localize(ZONE, ambiguous=True, nonexistent="shift_forward").dt.tz_convert("UTC").dt.as_unit("ns")


def contract_labels(f: Fields, intake: Intake) -> pd.Series:
    """Labels of the contracts of records, which are put among the instruments; '' where the kind is not known.

    A share is its symbol (SYMBOL.CUR where it is not in dollars), an option its compact OCC symbol, a pair EUR.USD.
    """
    symbol, money, kind = f.text("symbol"), f.text("currency"), f.text("assetCategory")
    share, option, pair = kind.isin(_PLAIN), kind == "OPT", kind == "CASH"
    future = kind == "FUT"
    day = pd.to_datetime(f.text("expiry").str.replace("-", "").replace("", None), format="%Y%m%d", errors="coerce")
    parts = option_parts(symbol)
    root = parts["root"].where(parts["root"] != "", f.text("underlyingSymbol"))
    occ = option & (root != "") & day.notna()
    label = share_label(symbol, money).where(share | future, "")
    label = label.where(~pair, symbol)
    if occ.any():
        built = option_label(root[occ], day[occ], f.text("putCall")[occ].str[:1], f.number("strike")[occ])
        label = label.mask(occ, built.reindex(label.index))
    other = (label == "") & (symbol != "") & (money != "")
    label = label.where(~other, kind + ":" + symbol)
    base = symbol.str.extract(r"^([A-Z]{3})\.([A-Z]{3})$")
    size = f.number("multiplier")
    family = np.select([option, future, pair], ["option", "future", "spot"], "equity")
    choices = [share_label(root, money), f.text("underlyingSymbol"), base[0].fillna("")]
    underlying = np.select([option, future, pair], choices, label)
    expiry = expiry_instants(day.where(option | future), money, root)
    rows = pd.DataFrame({
        "instrument": label, "type": family, "underlying": underlying, "currency": money,
        "multiplier": size.where(size > 0, 1.0).where(~pair, 1.0), "expiry": expiry,
        "strike": f.number("strike").where(option),
        "right": f.text("putCall").str[:1].where(option, ""), "venue": "ibkr", "symbol": symbol, "lot": 1.0,
        "conid": f.text("conid"), "isin": f.text("isin"), "listing": f.text("listingExchange"), "asset": kind,
        "exercise": np.where(option, exercise_of(root), ""),
    })  # fmt: skip
    for name in kind[other].unique():
        count = int((other & (kind == name)).sum())
        intake.reject(
            f"contract of kind {name}", "kept as a share of that price: it may be held, not hedged with", count=count
        )
    if option.any():
        intake.note(
            "expiries of options are dates in the statement; the instant is the close of their currency's exchange"
        )
    intake.note("commissions of future trades are in no statement: set fee and fee_per_contract in instruments.csv")
    intake.add("instruments", rows[(label != "").to_numpy()])
    return label


def _accounts(f: Fields, intake: Intake) -> None:
    intake.money = intake.money or next((m for m in f.text("currency") if m), "")


def _securities(f: Fields, intake: Intake) -> None:
    contract_labels(f, intake)


def _positions(f: Fields, intake: Intake) -> None:
    """Positions as of the report's day; lots of a summary that is also there are not counted again."""
    detail = f.text("levelOfDetail")
    lots = (detail == "LOT") if (detail == "SUMMARY").any() else pd.Series(False, index=detail.index)
    f = f.where(~lots)
    label, time = contract_labels(f, intake), local_times(f, "reportDate", "_until")
    intake.holds(label, f.number("position", needed=True), time, "positions")
    intake.held_marks(label, time, f.number("markPrice"))


def _trades(f: Fields, intake: Intake) -> None:
    detail = f.text("levelOfDetail")
    summed = ~detail.isin(("", "EXECUTION"))
    if summed.any():
        intake.reject("trade", "an order's or a lot's sum: its executions are the fills", count=int(summed.sum()))
    f = f.where(~summed)
    if not len(f):
        return
    label = contract_labels(f, intake)
    fill = f.text("ibExecID").where(f.text("ibExecID") != "", f.text("tradeID"))
    exact = f.text("dateTime").where(f.text("dateTime") != "", f.text("tradeDate") + f.text("tradeTime"))
    f.frame["_when"] = exact
    intake.add("fills", pd.DataFrame({
        "fill_id": fill, "order_id": f.text("ibOrderID"), "book": intake.account, "instrument": label,
        "quantity": f.number("quantity", needed=True), "price": f.number("tradePrice", needed=True),
        "fee": -f.number("ibCommission").fillna(0.0) - f.number("taxes").fillna(0.0),
        "money": f.text("ibCommissionCurrency").where(f.text("ibCommissionCurrency") != "", f.text("currency")),
        "time": local_times(f, "_when", "reportDate"), "source": "ibkr",
    }))  # fmt: skip


def _cash(f: Fields, intake: Intake) -> None:
    """Ending cash by currency; the sum in the account's own currency only where it stands alone."""
    whole = f.text("currency") == "BASE_SUMMARY"
    money = f.text("currency").where(~whole, intake.money)
    f = f.where(~whole if (~whole).any() else whole)
    money = money[~whole if (~whole).any() else whole].reset_index(drop=True)
    rows = {"book": intake.account, "instrument": money, "quantity": f.number("endingCash", needed=True),
            "time": local_times(f, "toDate", "_until"), "scope": "balance " + money}  # fmt: skip
    intake.add("books", pd.DataFrame(rows)[money != ""])


def _payments(f: Fields, intake: Intake) -> None:
    """Dividends as events per share, at their payment; taxes, interest and fees lie in the cash and are named."""
    kind = f.text("type")
    paid = kind.isin(("Dividends", "Payment In Lieu Of Dividends"))
    for name in kind[~paid].unique():
        intake.reject(
            f"payment: {name}", "in the cash already; no event of a contract", count=int((kind == name).sum())
        )
    f = f.where(paid)
    if not len(f):
        return
    words = f.text("description").str.extract(_PER_SHARE)
    value = pd.to_numeric(words[1], errors="coerce").astype(float)
    if value.isna().any():
        intake.reject("dividend", "its description says no amount per share", count=int(value.isna().sum()))
    money = words[0].fillna(words[2]).fillna(f.text("currency"))
    label = contract_labels(f, intake)
    number = f.text("transactionID")
    time = local_times(f, "dateTime", "settleDate", "reportDate")
    number = number.where(number != "", label + " " + time.astype(str))
    special = f.text("description").str.contains("Special|Return of Capital", case=False)
    rows = {"event_id": "ibkr dividend " + number, "time": time, "known_at": time, "kind": "dividend",
            "instrument": label, "value": value, "money": money, "other": np.where(special, "special", "")}  # fmt: skip
    intake.add("events", pd.DataFrame(rows)[value.notna()].drop_duplicates(["instrument", "time", "value"]))


def _actions(f: Fields, intake: Intake) -> None:
    """Splits, mergers for cash and spin-offs by their description; anything else is named."""
    label, time = contract_labels(f, intake), local_times(f, "dateTime", "reportDate")
    for name, when, text, quantity in zip(label, time, f.text("description"), f.number("quantity"), strict=True):
        split = re.search(r"SPLIT (\d+(?:\.\d+)?) FOR (\d+(?:\.\d+)?)", text)
        cash = re.search(r"MERGED\([^)]*\)\s+FOR ([A-Z]{3}) (\d+(?:\.\d+)?) PER SHARE", text)
        spun = re.search(r"SPINOFF\s+(\d+(?:\.\d+)?) FOR (\d+(?:\.\d+)?)", text)
        old = text.split("(")[0].strip()
        money = name.partition(".")[2]
        event: tuple[str, str, float, str, str] | None = None
        if split and quantity > 0:
            event = ("split", name, float(split[1]) / float(split[2]), "", "")
        elif cash:
            event = ("merger", name, float(cash[2]), cash[1], "")
        elif spun and quantity > 0:
            parent = f"{old}.{money}" if money and not old.endswith(money) else old
            event = ("spin_off", parent, float(spun[1]) / float(spun[2]), "", name)
        elif not (split or spun):
            intake.reject(f"corporate action of {name}", f"{text[:80]}: no kind of event that is known")
        if event is not None:
            kind, who, value, paid, other = event
            row = {"event_id": f"ibkr {kind} {who} {when:%Y%m%d}", "time": when, "known_at": when, "kind": kind,
                   "instrument": who, "value": value, "money": paid, "other": other}  # fmt: skip
            intake.add("events", pd.DataFrame([row]))


def _rates(f: Fields, intake: Intake) -> None:
    """Conversion rates as quotes of pairs: EUR.USD is the price of a euro in dollars."""
    base, quote = f.text("fromCurrency"), f.text("toCurrency")
    pair = base + "." + quote
    good = (base != quote) & (base != "") & (f.number("rate") > 0)
    rows = pd.DataFrame({"instrument": pair, "type": "index", "underlying": base, "currency": quote, "multiplier": 1.0,
                         "venue": "ibkr", "symbol": pair})[good]  # fmt: skip
    intake.add("instruments", rows.drop_duplicates("instrument"))
    time = local_times(f, "reportDate")
    intake.quotes(pd.DataFrame({"instrument": pair, "time": time, "mark": f.number("rate")})[good])


SHAPES = (
    shape("account", "_account", _accounts), shape("security", "_security", _securities),
    shape("position", "_position", _positions, holds="_position"),
    shape("trade", "_trade", _trades), shape("cash", "_cash", _cash, holds="_cash"),
    shape("payment", "_payment", _payments), shape("corporate action", "_action", _actions),
    shape("conversion rate", "_rate", _rates),
)  # fmt: skip
