"""Numbers as a reader wants them: one by one, a column that is compared, and short ones for an axis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

import numpy as np

_MOST_DECIMALS, _LARGEST = 6, 1e15  # of a number in words
_DUST = 1e-12  # of a column's largest number: rounding


def number(value: object, digits: int = 6) -> str:
    """A number as a reader wants it: thousands separated, about `digits` significant, text left as it is."""
    if not is_number(value):
        return "" if value is None else str(value)
    if not np.isfinite(value):
        return "" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    size = abs(float(value))
    if size >= _LARGEST or 0 < size < 1e-6:
        return f"{value:.3g}"
    order = 0 if size == 0 else int(np.floor(np.log10(size)))
    decimals = 0 if float(value).is_integer() else max(0, min(digits - 1 - order, max(_MOST_DECIMALS, 3 - order)))
    text = f"{float(value) + 0.0:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def numbers(values: Iterable[object], digits: int = 6) -> list[str]:
    """A column as a reader compares it: every number to the same decimals, as many as say all of them within `digits`,
    else those that give the largest `digits` significant, at most four.

    A number of which the common decimals would show less than two digits has its own; what is rounding beside the
    largest is zero, and what is no number is left as it is.
    """
    cells = list(values)
    sizes = np.array([abs(float(v)) if is_number(v) else np.nan for v in cells])
    sizes = np.where(np.isfinite(sizes), sizes, 0.0)
    largest = sizes.max(initial=0.0)
    dust = sizes <= _DUST * largest
    if dust.all() or largest >= _LARGEST:
        return [number(value, digits) for value in cells]
    decimals = _decimals(sizes[~dust], digits)
    told = []
    for value, size, nothing in zip(cells, sizes, dust, strict=True):
        if nothing:  # also what is no finite number
            told.append("0" if size > 0 else number(value, digits))
        elif size < 10.0 ** (1 - decimals) and size != round(size, decimals):
            told.append(number(value, 3))
        else:
            told.append(f"{value:,.{decimals}f}")
    return told


def _decimals(sizes: np.ndarray, digits: int) -> int:
    """Decimals that all of these have in common."""
    order = int(np.floor(np.log10(sizes.max())))
    for places in range(max(digits - max(order, 0), 0)):
        if np.allclose(np.round(sizes, places), sizes, rtol=1e-9, atol=0):
            return places
    return max(0, min(digits - 1 - order, max(4, 3 - order)))


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))


def compact(value: float) -> str:
    """A number for an axis: 1.2M, 350k, 0.04."""
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return number(value, 3)
