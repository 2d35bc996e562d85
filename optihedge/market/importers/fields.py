"""Fields: records of one shape as columns; numbers, texts, times and flags, whatever way a source writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

HUGE = 1e100  # no quantity of a market is larger
_SMALLEST_COUNT = 1e8  # seconds of 1973: what is smaller is no time
_LABELS = ("instrument_name", "symbol", "instId", "contract", "localSymbol", "coin", "currency", "ccy", "asset",
           "market", "product_id", "Ticker", "Symbol", "isin", "ISIN", "s", "name", "id")  # fmt: skip
"""What sources call the field that names a contract or a currency."""
_UNITS = ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3), (np.inf, 1))  # counts below it, nanoseconds of one
_LAST = 9 * 10**18  # nanoseconds: 2255

Reject = Callable[[str, str, str, int], None]
"""What could not be read: what, why, its place, how often."""


class Fields:
    """The fields of records of one shape, as columns; what cannot be read is named and left empty.

    A dot goes into a nested object: `number("stats.volume")`.
    """

    def __init__(self, frame: pd.DataFrame, reject: Reject, what: str, places: list[str] | None = None) -> None:
        self.frame, self.reject, self.what = frame, reject, what
        self.places = places if places is not None else [""] * len(frame)

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, name: str) -> bool:
        return self._raw(name) is not None

    def where(self, chosen: pd.Series | np.ndarray) -> Fields:
        """Only these records."""
        mask = np.asarray(chosen, dtype=bool)
        kept = [place for place, keep in zip(self.places, mask, strict=True) if keep]
        return Fields(self.frame[mask].reset_index(drop=True), self.reject, self.what, kept)

    def raw(self, name: str) -> pd.Series:
        """The values as they stand, None where there are none."""
        values = self._raw(name)
        return pd.Series([None] * len(self.frame), dtype=object) if values is None else values

    def number(self, name: str, needed: bool = False) -> pd.Series:
        """Finite floats, NaN where empty; `needed`: its absence is named."""
        values = self._raw(name)
        if values is None:
            self._absent(name, needed)
            return pd.Series(np.nan, index=self.frame.index)
        numbers = pd.to_numeric(values, errors="coerce").astype(float)
        numbers = numbers.where(numbers.abs() <= HUGE)
        said = values.notna() & (values.astype(str).str.strip() != "")
        wrong = (said & numbers.isna()).to_numpy()
        if wrong.any():
            first = values[wrong].iloc[0]
            at = self.place(int(wrong.argmax()))
            self.reject(f"{self.what}: {name}", f"{first!r} is no number", at, int(wrong.sum()))
        if needed and not said.all():
            self._absent(name, needed, (~said).to_numpy())
        return numbers

    def text(self, name: str, needed: bool = False) -> pd.Series:
        """Texts, '' where empty."""
        values = self._raw(name)
        if values is None:
            self._absent(name, needed)
            return pd.Series("", index=self.frame.index, dtype=object)
        nested = np.array([isinstance(v, (dict, list)) for v in values], dtype=bool)
        if nested.any():
            at = self.place(int(nested.argmax()))
            self.reject(f"{self.what}: {name}", f"{values[nested].iloc[0]!r} is no text", at, int(nested.sum()))
        return values.where(values.notna() & ~nested, "").astype(str).str.strip().astype(object)

    def time(self, name: str, needed: bool = False) -> pd.Series:
        """UTC instants of ISO texts, timestamps, or counts since 1970, whose size says their unit; NaT where empty.

        Of the years 1973 to 5138 a count of seconds, milli-, micro- and nanoseconds have sizes of their own. What never
        comes (after 2255) is NaT, and what is no time is named.
        """
        values = self._raw(name)
        if values is None:
            self._absent(name, needed)
            return pd.Series(pd.NaT, index=self.frame.index, dtype="datetime64[ns, UTC]")
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            zoned = values if isinstance(values.dtype, pd.DatetimeTZDtype) else values.dt.tz_localize("UTC")
            return zoned.dt.tz_convert("UTC").dt.as_unit("ns")
        numbers = pd.to_numeric(values, errors="coerce")
        counts = numbers[numbers.abs().between(_SMALLEST_COUNT, HUGE)]
        nanos = [_nanoseconds(v) for v in counts]
        times = pd.Series(pd.NaT, index=values.index, dtype="datetime64[ns, UTC]")
        times[counts.index] = pd.to_datetime(pd.array(nanos, dtype="Int64"), utc=True)
        words = numbers.isna() & values.notna() & (values.astype(str).str.strip() != "")
        if words.any():
            times[words] = pd.to_datetime(values[words].astype(str), utc=True, errors="coerce", format="ISO8601")
        odd = numbers.notna() & (numbers != 0) & ~numbers.index.isin(counts.index)
        lost = ((words & times.isna()) | odd).to_numpy()
        if lost.any():
            first = int(lost.argmax())
            told = f"{values.iloc[first]!r} is no time"
            self.reject(f"{self.what}: {name}", told, self.place(first), int(lost.sum()))
        return times

    def signed(self, size: pd.Series, side: pd.Series, own: tuple[str, ...] = ()) -> pd.Series:
        """Sizes with the sign that their side says, whatever its case: buy and long above zero, sell and short below.

        own   words (and '') that leave a size its own sign. Another word, and a buy below zero, are named: NaN.
        """
        word = side.str.lower()
        up, down = word.isin(("buy", "long")), word.isin(("sell", "short"))
        lost = size.notna() & (size != 0) & ~(up | down | word.isin(own)) | (up & (size < 0))
        if lost.any():
            first = int(lost.to_numpy().argmax())
            told = f"side {side.iloc[first]!r} of a size {size.iloc[first]:g} says no direction"
            self.reject(self.what, told, self.place(first), int(lost.sum()))
        return size.abs().where(up, -size.abs()).where(up | down, size).mask(lost)

    def flag(self, name: str, default: bool = False) -> pd.Series:
        """True and false, however they are written."""
        words = self.text(name).str.lower()
        return words.where(words != "", str(default).lower()).isin(("true", "1", "yes", "1.0"))

    def place(self, at: int) -> str:
        """Where a record stands, and what it calls itself: 'item 3 (BTC-PERPETUAL)'."""
        row = self.frame.iloc[at] if at < len(self.frame) else {}
        label = label_in(row)
        return " ".join(
            word for word in (self.places[at] if at < len(self.places) else "", label and f"({label})") if word
        )

    def _absent(self, name: str, needed: bool, lacks: np.ndarray | None = None) -> None:
        if needed and len(self.frame):
            lacks = np.ones(len(self.frame), dtype=bool) if lacks is None else lacks
            at = self.place(int(lacks.argmax()))
            self.reject(f"{self.what}: {name}", "the field is missing", at, int(lacks.sum()))

    def _raw(self, name: str) -> pd.Series | None:
        if name in self.frame.columns:
            return self.frame[name]
        outer, dot, inner = name.partition(".")
        if not dot or outer not in self.frame.columns:
            return None
        values = [v.get(inner) if isinstance(v, dict) else None for v in self.frame[outer]]
        return None if all(v is None for v in values) else pd.Series(values, index=self.frame.index, dtype=object)


def label_in(record: Mapping[str, Any] | pd.Series) -> str:
    """What a record says it is about, '' if nothing."""
    for name in _LABELS:
        value = record.get(name)
        if isinstance(value, dict):
            return label_in(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def fields_within(value: Any) -> set[str]:
    """The names of all fields of a value, however deep."""
    if isinstance(value, dict):
        return set(value).union(*(fields_within(inner) for inner in value.values()))
    return set().union(*(fields_within(inner) for inner in value)) if isinstance(value, list) else set()


def _nanoseconds(count: float) -> int | None:
    """Nanoseconds since 1970 of a count whose unit its size says; None beyond what a timestamp holds (2255)."""
    unit = next(unit for most, unit in _UNITS if abs(count) < most)
    whole = round(count * unit) if count % 1 else int(count) * unit
    return whole if abs(whole) < _LAST else None


def tens(digits: pd.Series | np.ndarray | float) -> np.ndarray:
    """Powers of ten as their decimal texts read: 1e-5 to the last bit, which a processor's power need not be."""
    given = np.asarray(digits, dtype=float)
    return np.array([float(f"1e{d:.0f}") if np.isfinite(d) else np.nan for d in given.flat]).reshape(given.shape)
