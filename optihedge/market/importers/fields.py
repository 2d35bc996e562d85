"""Fields: records of one shape as columns; numbers, texts, times and flags, whatever way a source writes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

HUGE = 1e100  # no quantity of a market is larger

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
            self.reject(f"{self.what}: {name}", f"{first!r} is no number", self.places[int(wrong.argmax())],
                               int(wrong.sum()))  # fmt: skip
        if needed and not said.all():
            self._absent(name, needed, int((~said).sum()))
        return numbers

    def text(self, name: str, needed: bool = False) -> pd.Series:
        """Texts, '' where empty."""
        values = self._raw(name)
        if values is None:
            self._absent(name, needed)
            return pd.Series("", index=self.frame.index, dtype=object)
        return values.where(values.notna(), "").astype(str).str.strip().astype(object)

    def time(self, name: str, unit: str = "ms", needed: bool = False) -> pd.Series:
        """UTC instants from counts since 1970 in a unit, ISO texts or timestamps; NaT where empty or impossible."""
        values = self._raw(name)
        if values is None:
            self._absent(name, needed)
            return pd.Series(pd.NaT, index=self.frame.index).dt.tz_localize("UTC")
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            zoned = values if isinstance(values.dtype, pd.DatetimeTZDtype) else values.dt.tz_localize("UTC")
            return zoned.dt.tz_convert("UTC").dt.as_unit("ns")
        numbers = pd.to_numeric(values, errors="coerce")
        scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
        sane = numbers.abs() < 7.3e18 / scale
        whole = numbers.where(sane & (numbers != 0))
        counts = [int(v * scale) if unit == "s" else int(v) * scale for v in whole.dropna()]
        times = pd.Series(pd.NaT, index=values.index, dtype="datetime64[ns, UTC]")
        times[whole.notna()] = pd.to_datetime(counts, utc=True)
        words = numbers.isna() & values.notna() & (values.astype(str).str.strip() != "")
        if words.any():
            times[words] = pd.to_datetime(values[words].astype(str), utc=True, errors="coerce", format="ISO8601")
            lost = (words & times.isna()).to_numpy()
            if lost.any():
                self.reject(f"{self.what}: {name}", f"{values[lost].iloc[0]!r} is no time",
                                   self.places[int(lost.argmax())], int(lost.sum()))  # fmt: skip
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
            self.reject(self.what, told, self.places[first], int(lost.sum()))
        return size.abs().where(up, -size.abs()).where(up | down, size).mask(lost)

    def flag(self, name: str, default: bool = False) -> pd.Series:
        """True and false, however they are written."""
        words = self.text(name).str.lower()
        return words.where(words != "", str(default).lower()).isin(("true", "1", "yes", "1.0"))

    def _absent(self, name: str, needed: bool, count: int | None = None) -> None:
        if needed:
            some = len(self.frame) if count is None else count
            self.reject(f"{self.what}: {name}", "the field is missing", self.places[0] if self.places else "",
                               some)  # fmt: skip

    def _raw(self, name: str) -> pd.Series | None:
        if name in self.frame.columns:
            return self.frame[name]
        outer, dot, inner = name.partition(".")
        if not dot or outer not in self.frame.columns:
            return None
        values = [v.get(inner) if isinstance(v, dict) else None for v in self.frame[outer]]
        return None if all(v is None for v in values) else pd.Series(values, index=self.frame.index, dtype=object)


def tens(digits: pd.Series | np.ndarray | float) -> np.ndarray:
    """Powers of ten as their decimal texts read: 1e-5 to the last bit, which a processor's power need not be."""
    given = np.asarray(digits, dtype=float)
    return np.array([float(f"1e{d:.0f}") if np.isfinite(d) else np.nan for d in given.flat]).reshape(given.shape)
