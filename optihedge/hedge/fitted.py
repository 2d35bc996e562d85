"""What an estimator learns of a market is learnt once, however many books ask, and kept as long as the market lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from optihedge.errors import SpecError
from optihedge.hedge.spec import canonical
from optihedge.market.snapshot import Market

Learnt = TypeVar("Learnt")
_KNOWN: WeakKeyDictionary[Market, dict[str, Any]] = WeakKeyDictionary()


def learnt(market: object) -> dict[str, Any]:
    """What was learnt of a market so far, for another process."""
    return dict(_KNOWN.get(market, {})) if isinstance(market, Market) else {}


def adopt(market: object, known: dict[str, Any]) -> None:
    """Take what another process learnt of the same market."""
    if known and isinstance(market, Market):
        _KNOWN.setdefault(market, {}).update(known)


def fitted_once(market: Market, what: object, fit: Callable[[], Learnt]) -> Learnt:
    """What `fit` gives; at the next call for the same market and the same content of `what` the same object.

    what   the estimator and what else decides; where it has no text (it holds a lambda) it is fitted every time
    """
    try:
        key = canonical(what)
    except SpecError:
        return fit()
    known = _KNOWN.setdefault(market, {})
    if key not in known:
        known[key] = fit()
    found: Learnt = known[key]
    return found
