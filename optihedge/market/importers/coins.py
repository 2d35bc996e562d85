"""Coins: what crypto venues' contracts have in common, from a venue's words to instruments."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.importers.books import OF_FILE
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake
from optihedge.market.pricing import black, years_between

SETTLES_IN_COIN = "inverse_"
_MOST_VOL = 50.0  # decimal: beyond it all options are worth their most
PUBLISHED_FEES = {  # taker, lowest tier, 2025: spot, perpetuals and futures, options
    "okx": (0.001, 0.0005, 0.0003), "bybit": (0.001, 0.00055, 0.0003), "binance": (0.001, 0.0005, 0.0003),
    "hyperliquid": (0.0007, 0.00045, 0.00045),
}  # fmt: skip
"""Where no file says the account's fees, these stand in, and a note says so: no cost at all would be worse."""


def label_of(venue: str, symbol: pd.Series) -> pd.Series:
    """The instrument's label, `venue:symbol`: the same every night, whatever else is imported beside it."""
    return (venue + ":" + symbol.astype(str)).where(symbol.astype(str) != "", "")


def own_fills(
    f: Fields, intake: Intake, *, fill: str, order: str, symbol: str, size: str, price: str, time: str, side: pd.Series,
    fee: pd.Series, money: pd.Series | str,
) -> None:  # fmt: skip
    """Our own trades from records in a venue's words: names of fields, and columns that need more than a name.

    side   buy or sell, in any case: another word leaves the fill aside by name
    """
    intake.add("fills", pd.DataFrame({
        "fill_id": f.text(fill), "order_id": f.text(order), "book": intake.account,
        "instrument": label_of(intake.venue, f.text(symbol)), "quantity": f.signed(f.number(size, needed=True), side),
        "price": f.number(price, needed=True), "fee": fee, "money": money, "time": f.time(time, needed=True),
        "source": intake.venue,
    }))  # fmt: skip


def add_contracts(intake: Intake, rows: pd.DataFrame) -> None:
    """Instruments from columns in a venue's words.

    symbol, family (spot, perpetual, future, option), base, quote, settle (of a contract), size (units of base, or of
    quote where it settles in base), tick, lot and least (contracts); and, where the venue says them, amount (what it
    counts for one contract), expiry, strike, right (C, P), fee, fee_cap, min_notional, further facts.
    """
    base, quote = rows["base"], rows["quote"]
    settle = rows["settle"].where(rows["settle"] != "", quote)
    contract = rows["family"] != "spot"
    inverse = contract & (settle == base)
    table = rows.drop(columns=["family", "base", "quote", "settle", "size", "least"]).assign(
        instrument=label_of(intake.venue, rows["symbol"]), venue=intake.venue, underlying=base, multiplier=rows["size"],
        type=np.where(inverse, SETTLES_IN_COIN, "") + rows["family"].astype(str),
        currency=quote.where(inverse | ~contract, settle), min_quantity=rows["least"],
        settlement_currency=settle.where(contract, ""),
    )  # fmt: skip
    if "amount" in table.columns:
        table = table.rename(columns={"amount": "venue_amount"})
    lost = table["multiplier"].isna() | (table["underlying"] == "")
    if lost.any():
        intake.reject("contract", "its size or its base currency is not said", count=int(lost.sum()))
    intake.add("instruments", table[~lost])


def add_index(intake: Intake, base: pd.Series, quote: pd.Series, time: pd.Series, level: pd.Series) -> None:
    """The index of a base currency, as an instrument of type index with its quote."""
    pairs = pd.DataFrame({"underlying": base, "currency": quote, "time": time, "mark": level}).dropna(subset=["mark"])
    pairs = pairs[(pairs["underlying"] != "") & (pairs["currency"] != "") & (pairs["mark"] > 0)]
    pairs["symbol"] = pairs["underlying"].astype(str) + "/" + pairs["currency"].astype(str)
    pairs["instrument"] = label_of(intake.venue, "index:" + pairs["symbol"])
    rows = pairs.drop_duplicates("instrument")[["instrument", "symbol", "underlying", "currency"]]
    intake.add("instruments", rows.assign(type="index", venue=intake.venue, multiplier=1.0))
    intake.quotes(pairs[["instrument", "time", "mark"]])


def vol_scale(
    vol: pd.Series, price: pd.Series, forward: pd.Series, strike: pd.Series, years: np.ndarray, right: pd.Series,
    inverse: np.ndarray, said: float = np.nan,
) -> float:  # fmt: skip
    """What turns a column of vols into decimals: 1, 0.01, or NaN; settled by which of them reprices the marks.

    said   the unit that the source's documentation says: it stands unless another one alone reprices the marks
    """
    good = ((vol > 0) & (price > 0) & (forward > 0) & (strike > 0)).to_numpy() & (np.asarray(years) > 0)
    at = np.flatnonzero(good)
    if not at.size:
        return said
    far = np.abs(np.log(strike.to_numpy(dtype=float)[at] / forward.to_numpy(dtype=float)[at]))
    at = at[np.argsort(far / np.sqrt(np.asarray(years)[at]), kind="stable")[: max(20, min(at.size // 2, 2500))]]
    f, k, p = (s.to_numpy(dtype=float)[at] for s in (forward, strike, price))
    sign = np.where(right.to_numpy()[at] == "C", 1.0, -1.0)
    unit = np.where(np.asarray(inverse)[at], 1.0, f)
    errors = {}
    for scale in (1.0, 0.01):
        decimal = np.minimum(vol.to_numpy(dtype=float)[at] * scale, _MOST_VOL)
        fair = black(f, k, np.asarray(years)[at], decimal, sign) / f
        errors[scale] = float(np.median(np.abs(fair - p / unit)))
    best = min(errors, key=errors.__getitem__)
    if errors[best] > min(1e-3, 0.2 * errors.get(said, np.inf)):
        return said
    return best


def decimal_vols(
    vol: pd.Series, price: pd.Series, forward: pd.Series, strike: pd.Series, years: np.ndarray, right: pd.Series,
    inverse: np.ndarray, intake: Intake, said: float = np.nan,
) -> pd.Series:  # fmt: skip
    """Vols as decimals, see `vol_scale`: where neither unit reprices the marks they are named, and not used."""
    scale = vol_scale(vol, price, forward, strike, years, right, inverse, said)
    told = int((vol > 0).sum())
    if np.isnan(scale) and told:
        intake.reject("vols", "neither percent nor decimals reprice the marks; not used", count=told)
    elif told and not np.isnan(said) and scale != said:
        words = {1.0: "decimals", 0.01: "percent"}
        intake.note(f"vols of {intake.file} are {words[scale]}, not {words[said]}: so they reprice the marks")
    return (vol * scale).where(vol > 0)


def years_to(time: pd.Series, expiry: pd.Series) -> np.ndarray:
    """Years from a quote to an expiry, NaN where either is missing."""
    return np.asarray(years_between(pd.DatetimeIndex(time), pd.DatetimeIndex(expiry)), dtype=float)


def option_values(intake: Intake, money: pd.Series, value: pd.Series) -> None:
    """Keep what options are worth by currency: a venue's equity holds it, the book's cash must not."""
    known = value.notna() & (money != "")
    for name, amount in value[known].groupby(money[known]).sum().items():
        intake.option_value[str(name)] = intake.option_value.get(str(name), 0.0) + float(amount)


def finish_coins(intake: Intake) -> None:
    """When all files are read: books named by their file, the account's fees (else published ones), cash of equity."""
    _name_books(intake)
    _fees(intake)
    books = intake.frame("books")
    if intake.option_value and len(books):
        worth = books["instrument"].map(intake.option_value).astype(float).fillna(0.0)
        worth = worth.where(books["scope"].str.startswith("balance"), 0.0)
        intake.replace("books", books.assign(quantity=books["quantity"] - worth))
    told = intake.frame("instruments")
    contract = ~told["type"].isin(("index", "spot"))
    monies = told["currency"][contract if contract.any() else told["type"] == "spot"].value_counts()
    intake.money = intake.money or (str(monies.index[0]) if len(monies) else "")


def _name_books(intake: Intake) -> None:
    """Give books without an instrument the one whose symbol is in the name of their file, if there is just one."""
    told = intake.frame("instruments").drop_duplicates("instrument")
    for name in ("quotes", "depth"):
        frame = intake.frame(name)
        open_ = frame["instrument"].str.startswith(OF_FILE)
        if not open_.any():
            continue
        renamed = {}
        for label in frame["instrument"][open_].unique():
            known = zip(told["symbol"], told["instrument"], strict=True)
            fits = [(len(symbol), instrument) for symbol, instrument in known if symbol and symbol in label]
            best = [instrument for size, instrument in fits if size == max(fits)[0]]
            if len(best) == 1:
                renamed[label] = best[0]
            elif name == "quotes":
                intake.reject(f"book of {label.removeprefix(OF_FILE)}", "it names no instrument, nor does its file")
        kept = ~open_ | frame["instrument"].isin(renamed)
        intake.replace(name, frame[kept].assign(instrument=frame["instrument"][kept].replace(renamed)))


def _fees(intake: Intake) -> None:
    told = intake.frame("instruments")
    if told.empty:
        return
    own = pd.Series(np.nan, index=told.index)
    for (column, key), (_, taker) in intake.fees.items():
        if column in told.columns:
            own = own.where(told[column] != key, taker)
    given = own.fillna(told["fee"])
    spot, option = told["type"] == "spot", told["type"].str.endswith("option")
    rates = PUBLISHED_FEES.get(intake.venue.split("_")[0])
    bare = given.isna() & ~told["type"].isin(("index", "cash"))
    if bare.any() and rates is not None:
        listed = np.select([spot, option], [rates[0], rates[2]], rates[1])
        given = given.where(~bare, listed)
        intake.note(f"fees of {int(bare.sum())} contracts are the venue's published taker fees of 2025 (lowest tier); "
                    "no file says the account's")  # fmt: skip
    intake.replace("instruments", told.assign(fee=given))
