"""Listed shares and options: labels that every source shares, expiry instants, exercise."""

from __future__ import annotations

import numpy as np
import pandas as pd

OCC = r"^\s*(?P<root>[A-Z0-9.]{1,6}?)\s*(?P<day>\d{6})(?P<right>[CP])(?P<strike>\d{8}|\d+(?:\.\d+)?)\s*$"
"""OCC symbols: padded root, yymmdd, C or P, strike in thousandths (eight digits) or as it is."""
EUROPEAN = frozenset({"SPX", "SPXW", "XSP", "NDX", "NDXP", "RUT", "RUTW", "VIX", "VIXW", "DJX", "OEX", "XEO", "MRUT"})
MORNING = frozenset({"SPX", "NDX", "RUT", "VIX", "VIXW", "DJX"})  # settled at the open of their last day
CLOSES = {  # when options of a currency's main exchange end, local time
    "USD": ("16:00", "America/New_York"), "CAD": ("16:00", "America/Toronto"), "EUR": ("17:30", "Europe/Berlin"),
    "CHF": ("17:20", "Europe/Zurich"), "GBP": ("16:30", "Europe/London"), "JPY": ("15:15", "Asia/Tokyo"),
    "HKD": ("16:00", "Asia/Hong_Kong"), "AUD": ("16:00", "Australia/Sydney"), "SEK": ("17:25", "Europe/Stockholm"),
}  # fmt: skip
"""Local closes by currency, for sources that give an expiry as a date: said in a note wherever it is used."""


def share_label(symbol: pd.Series, money: pd.Series) -> pd.Series:
    """A share's label: its symbol, with its currency behind it but for dollars; '' where either is not said."""
    label = (symbol + "." + money).where(money != "USD", symbol)
    return label.where((symbol != "") & (money != ""), "")


def option_parts(symbols: pd.Series) -> pd.DataFrame:
    """root, day (a date), right and strike of OCC symbols, however padded; root '' for anything else."""
    parts = symbols.astype(str).str.extract(OCC)
    day = pd.to_datetime(parts["day"], format="%y%m%d", errors="coerce")
    number = pd.to_numeric(parts["strike"], errors="coerce").astype(float)
    strike = number.where(parts["strike"].str.len() != 8, number / 1000)
    known = day.notna() & strike.notna()
    return pd.DataFrame({
        "root": parts["root"].where(known, "").fillna(""), "day": day.where(known),
        "right": parts["right"].where(known, ""), "strike": strike.where(known),
    })  # fmt: skip


def option_label(root: pd.Series, day: pd.Series, right: pd.Series, strike: pd.Series) -> pd.Series:
    """The compact OCC symbol, SPXW250117C05900000: the same from a broker's book and from a vendor's chain."""
    thousandths = (strike.fillna(0) * 1000).round().astype("int64").astype(str).str.zfill(8)
    return root.astype(str) + day.dt.strftime("%y%m%d") + right.astype(str) + thousandths


def expiry_instants(day: pd.Series, money: pd.Series, root: pd.Series | None = None) -> pd.Series:
    """UTC instants of expiry dates: the close of the currency's exchange, the open for indices settled there."""
    result = pd.Series(pd.NaT, index=day.index, dtype="datetime64[ns, UTC]")
    for currency in money.unique():
        hour, zone = CLOSES.get(str(currency), CLOSES["USD"])
        at = (money == currency) & day.notna()
        local = day[at].dt.normalize() + pd.Timedelta(f"{hour}:00")
        if root is not None and currency == "USD":
            local = local.where(~root[at].isin(MORNING), day[at].dt.normalize() + pd.Timedelta("09:30:00"))
        result[at] = (
            local.dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
            .dt.tz_convert("UTC")
            .dt.as_unit("ns")
        )
    return result


def exercise_of(root: pd.Series) -> np.ndarray:
    """'european' for the cash-settled US indices, 'american' for shares and funds."""
    return np.where(root.isin(EUROPEAN), "european", "american")
