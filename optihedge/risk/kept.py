"""What was learnt is kept by its content: the same moves are not learnt twice, and rows that follow are added."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from optihedge.risk.manners import clone

_MOST, _BYTES = 6, 2**28  # fits kept, and the moves that they are of
_PLAIN = (type(None), bool, int, float, str)


@dataclass(frozen=True, eq=False)
class _Fit:
    said: tuple[Any, ...]  # class and parameters
    moves: pd.DataFrame  # its own copy
    fitted: Any
    stepped: bool = False  # whether it is an earlier one with rows added

    def rows_of(self, said: tuple[Any, ...], moves: pd.DataFrame) -> int:
        """How many rows of the moves it has learnt, its own being the first of them; 0 where it is of others."""
        rows, own, other = len(self.moves), self.moves, moves
        if self.said != said or rows > len(other) or dict(own.attrs) != dict(other.attrs):
            return 0  # attrs say which drivers are the market, what kind each is, and how long a period
        ours, theirs = own.to_numpy(), other.to_numpy()[:rows]
        if ours.shape != theirs.shape or not _same(ours[0], theirs[0]) or not _same(ours[-1], theirs[-1]):
            return 0  # of other days, as most are
        labels = own.columns.equals(other.columns) and own.index.equals(other.index[:rows])
        return rows if labels and _same(ours, theirs) else 0


_FITS: list[_Fit] = []  # the latest last
_ALONE = Lock()  # threads of a page or a notebook share the list


def fitted_on(estimator: Any, moves: pd.DataFrame) -> Any:
    """A clone of the estimator that has learnt from these moves (T x D, floats); it is shared: nobody changes it.

    Only estimators of this package with plain parameters are kept. One that says `_exact_in_steps` takes what follows
    by `partial_fit`: it ends as a fit of all rows does, to the bit. Raises what its `fit` raises.
    """
    said = parameters(estimator)
    if said is None or moves.to_numpy().dtype != np.float64:
        return clone(estimator).fit(moves)
    rows, known = max(
        ((one.rows_of(said, moves), one) for one in tuple(_FITS)), key=lambda pair: pair[0], default=(0, None)
    )
    if known is not None and rows == len(moves):
        return known.fitted
    if known is not None and rows and getattr(estimator, "_exact_in_steps", False):
        later = moves.iloc[rows:]
        later.attrs = dict(moves.attrs)
        fitted, stepped = copy(known.fitted).partial_fit(later), True
        if known.stepped:
            _forget(known)
    else:
        stepped = False
        fitted = clone(estimator).fit(moves)
    own = moves.copy(deep=False)  # who writes into the moves writes into a copy
    own.attrs = dict(moves.attrs)
    with _ALONE:
        _FITS.append(_Fit(said, own, fitted, stepped))
        while len(_FITS) > _MOST or sum(one.moves.to_numpy().nbytes for one in _FITS) > _BYTES:
            _FITS.pop(0)
    return fitted


def _forget(known: _Fit) -> None:
    """Keep it no longer; another thread may have been first."""
    with _ALONE:
        if known in _FITS:
            _FITS.remove(known)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """The same numbers, NaN where NaN is; of one place in memory that nobody writes into without a look."""
    if _place(one) == _place(other) and not (one.flags.writeable or other.flags.writeable):
        return True
    return np.array_equal(one, other) or np.array_equal(one, other, equal_nan=True)


def _place(array: np.ndarray) -> tuple[Any, ...]:
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype


def parameters(estimator: Any) -> tuple[Any, ...] | None:
    """Class and parameters of an estimator of this package, as a value to compare; None where one is not plain."""
    if not type(estimator).__module__.startswith("optihedge."):
        return None
    told: list[Any] = [type(estimator)]
    for name, value in sorted(estimator.get_params(deep=False).items()):
        parts = value if isinstance(value, tuple) else (value,)
        known = [(type(one), one) if isinstance(one, _PLAIN) else
                 parameters(one) if hasattr(one, "get_params") else None for one in parts]  # fmt: skip
        if None in known:
            return None
        told.append((name, type(value), *known))
    return tuple(told)
