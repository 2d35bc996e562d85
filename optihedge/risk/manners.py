"""scikit-learn's manners without scikit-learn: parameters by name, unlearnt copies, moves that are plainly right.

To import scikit-learn takes longer than to hedge a book. It comes where one of its estimators is given, where it asks
what one of ours is, and where moves are not plain floats, to say what is wrong with them.
"""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from inspect import signature
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import pandas as pd

from optihedge.errors import SpecError

T = TypeVar("T")


@runtime_checkable
class Learner(Protocol):
    """Whatever learns as scikit-learn's estimators do, theirs among them."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn from rows."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its parameters by name."""

    def set_params(self, **parameters: Any) -> Any:
        """Set parameters by name."""


class ParameterError(SpecError, ValueError):
    """An estimator has no such parameter. A ValueError too, as scikit-learn's callers expect."""


class Estimator:
    """Parameters are what the constructor takes, stored under their names as given."""

    @classmethod
    def _parameters(cls) -> dict[str, Any]:
        """Default by name of each, in rising order of name."""
        return _defaults(cls)  # type: ignore[arg-type]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; deep: those of an estimator among them too, as `name__theirs`."""
        told: dict[str, Any] = {}
        for name in self._parameters():
            value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                told |= {f"{name}__{inner}": one for inner, one in value.get_params().items()}
            told[name] = value
        return told

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by name, those inside as `name__theirs`. Raises ParameterError."""
        inside: dict[str, dict[str, Any]] = {}
        for key, value in parameters.items():
            name, _, inner = key.partition("__")
            if name not in self._parameters():
                known = ", ".join(self._parameters())
                raise ParameterError(f"{type(self).__name__} has no parameter {name!r}; known are {known}")
            if inner:
                inside.setdefault(name, {})[inner] = value
            else:
                setattr(self, name, value)
        for name, inner_values in inside.items():
            getattr(self, name).set_params(**inner_values)
        return self

    def __repr__(self) -> str:
        default = self._parameters()
        changed = [(name, value) for name, value in self.get_params(deep=False).items()
                   if repr(value) != repr(default[name])]  # fmt: skip
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))


@lru_cache
def _defaults(kind: type) -> dict[str, Any]:
    return {name: one.default for name, one in sorted(signature(kind).parameters.items())}


def clone(estimator: T) -> T:
    """An estimator with the same parameters, copied, that has learnt nothing."""
    if not isinstance(estimator, Estimator):
        from sklearn.base import clone as cloned

        return cloned(estimator)
    given = estimator.get_params(deep=False)
    copies = {name: clone(one) if hasattr(one, "get_params") else deepcopy(one) for name, one in given.items()}
    return type(estimator)(**copies)


def refuse_unfitted(estimator: object, learnt: str) -> None:
    """Raise scikit-learn's NotFittedError where `fit` has not set what is learnt."""
    if not hasattr(estimator, learnt):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"{type(estimator).__name__} has learnt nothing yet; call fit first")


def plain_values(estimator: Any, moves: object, *, reset: bool, minimum: int) -> np.ndarray | None:
    """Moves that scikit-learn's check would pass as they are: a frame of floats, names that are texts or none at all.

    Notes or compares `n_features_in_` and `feature_names_in_` as that check does. None: ask it.
    """
    if not isinstance(moves, pd.DataFrame):
        return None
    values = moves.to_numpy()
    if values.dtype != np.float64 or len(values) < minimum:
        return None
    texts = [isinstance(name, str) for name in moves.columns]
    if not texts or any(texts) != all(texts):
        return None
    names = np.asarray(moves.columns, dtype=object) if texts[0] else None
    if reset:
        estimator.n_features_in_ = len(texts)
        estimator.__dict__.pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = names
    else:
        known = getattr(estimator, "feature_names_in_", None)
        alike = known is None if names is None else known is not None and np.array_equal(known, names)
        if not alike or getattr(estimator, "n_features_in_", None) != len(texts):
            return None
    return values
