"""When not to trade: Leland's modified vol, Whalley-Wilmott bands, and the policy that follows a target within a band.

Arrays broadcast. Costs are fractions of traded value: Leland's `round_trip` counts a purchase and the sale that
undoes it, `one_way` each trade alone. Vols are decimal, times in years. Numbers that are missing or make no sense are a
SpecError, Series and DataFrames with differing labels a DataError.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optihedge.errors import SpecError
from optihedge.frames import same_labels

Floats = NDArray[np.float64]

_RULES: dict[str, Callable[[Floats], NDArray[np.bool_]]] = {
    "positive": lambda a: a > 0,
    "at least 0": lambda a: a >= 0,
    "a finite number": np.isfinite,
    "+1 (long) or -1 (short)": lambda a: np.abs(a) == 1,
}


def leland_number(vol: ArrayLike, round_trip: ArrayLike, interval: ArrayLike) -> Floats:
    """sqrt(2/pi) k / (vol sqrt(interval)): expected cost of rebalancing every `interval` years over the gamma decay.

    Leland, "Option pricing and replication with transactions costs", J. Finance 1985.

    >>> import optihedge as oh
    >>> float(oh.policy.leland_number(0.2, 0.01, 1 / 52).round(4))
    0.2877
    """
    vol, interval = _checked("positive", vol=vol, interval=interval)
    (round_trip,) = _checked("at least 0", round_trip=round_trip)
    return np.sqrt(2 / np.pi) * round_trip / (vol * np.sqrt(interval))


def leland_vol(vol: ArrayLike, round_trip: ArrayLike, interval: ArrayLike, side: ArrayLike) -> Floats:
    """The vol at which to price and hedge under cost: vol sqrt(1 - side A), A Leland's number.

    `side` is +1 for a long option position (vol falls), -1 for a short one (vol rises); without cost both are vol. 0
    where a long position's costs eat the whole of its gamma (A >= 1): then rebalance less often.

    >>> import optihedge as oh
    >>> float(oh.policy.leland_vol(0.2, 0.01, 1 / 52, -1).round(4))
    0.227
    """
    number = leland_number(vol, round_trip, interval)
    (side,) = _checked("+1 (long) or -1 (short)", side=side)
    return np.asarray(vol, dtype=float) * np.sqrt(np.maximum(1 - side * number, 0.0))


def whalley_wilmott_band(
    spot: ArrayLike, gamma: ArrayLike, one_way: ArrayLike, risk_aversion: ArrayLike, discount: ArrayLike = 1.0
) -> Floats:
    """Half-width in units of the underlying: (3/2 D k S gamma^2 / aversion)^(1/3), the no-trade region about delta.

    `gamma` is the position's (natural, per 1.00 of spot), `risk_aversion` per unit of currency, `discount` to expiry.
    Trade to the nearest edge, not to the middle. Whalley and Wilmott, Mathematical Finance 1997.

    >>> import optihedge as oh
    >>> float(oh.policy.whalley_wilmott_band(100.0, 0.05, 0.001, 1.0).round(4))
    0.0721
    """
    _same_labels(spot=spot, gamma=gamma, one_way=one_way, risk_aversion=risk_aversion, discount=discount)
    spot, risk_aversion, discount = _checked("positive", spot=spot, risk_aversion=risk_aversion, discount=discount)
    (one_way,), (gamma,) = _checked("at least 0", one_way=one_way), _checked("a finite number", gamma=gamma)
    return np.cbrt(1.5 * discount * one_way * spot * gamma**2 / risk_aversion)


def band_trade(
    current: ArrayLike, target: ArrayLike, below: ArrayLike, above: ArrayLike, *, to_edge: bool = False
) -> Floats:
    """The trade of a threshold policy: nothing while target - below < current < target + above, else back to target.

    With `to_edge` only as far as the edge that was crossed. `below` and `above` are distances >= 0; an edge that is
    reached counts as crossed.

    >>> import optihedge as oh
    >>> float(oh.policy.band_trade(-2.0, -3.0, 0.5, 1.0))
    -1.0
    """
    _same_labels(current=current, target=target, below=below, above=above)
    current, target = _checked("a finite number", current=current, target=target)
    below, above = _checked("at least 0", below=below, above=above)
    return _trade(*np.broadcast_arrays(current, target, below, above), to_edge=to_edge)


def follow_band(
    target: ArrayLike, below: ArrayLike, above: ArrayLike, *, start: ArrayLike = 0.0, to_edge: bool = False
) -> Floats:
    """Holdings after each step (T x n) of the policy `band_trade` that follows `target` (T x n) from `start` (n,).

    >>> import optihedge as oh
    >>> import numpy as np
    >>> target = np.array([[0.5], [0.55], [0.7]])
    >>> oh.policy.follow_band(target, 0.1, 0.1, start=0.5).tolist()
    [[0.5], [0.5], [0.7]]
    """
    _same_labels(target=target, below=below, above=above, start=start)
    target, start = _checked("a finite number", target=target, start=start)
    target, below, above = np.broadcast_arrays(target, *_checked("at least 0", below=below, above=above))
    holdings = np.empty(target.shape)
    held = np.broadcast_to(start, target.shape[1:])
    for step in range(target.shape[0]):
        held = held + _trade(held, target[step], below[step], above[step], to_edge=to_edge)
        holdings[step] = held
    return holdings


def replication_cash(
    spot: ArrayLike, holdings: ArrayLike, *, interest: float = 0.0, one_way: float = 0.0, start: ArrayLike = 0.0
) -> Floats:
    """Cash account at the last step (n,) of holding `holdings` (T x n) of an underlying at `spot` (T x n).

    Every change of the holding is paid at the spot plus `one_way` of its value; cash earns (debt costs) `interest`,
    simple, per step. The last holding is still held and not in the cash.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> spot, holdings = np.array([[100.0], [110.0]]), np.array([[1.0], [0.5]])
    >>> oh.policy.replication_cash(spot, holdings).tolist()
    [-45.0]
    """
    _same_labels(spot=spot, holdings=holdings, start=start)
    spot, holdings = _checked("a finite number", spot=spot, holdings=holdings)
    trades = np.diff(holdings, axis=0, prepend=np.broadcast_to(start, holdings.shape[1:])[None])
    paid = trades * spot + one_way * np.abs(trades) * spot
    steps = np.arange(spot.shape[0])[::-1].reshape(-1, *[1] * (spot.ndim - 1))
    return -np.sum(paid * (1 + interest) ** steps, axis=0)


def _trade(current: Floats, target: Floats, below: Floats, above: Floats, *, to_edge: bool) -> Floats:
    low, high = target - below, target + above
    aim = np.where(to_edge, np.clip(current, low, high), target)
    return np.where((current <= low) | (current >= high), aim - current, 0.0)


def _same_labels(**values: ArrayLike) -> None:
    """The last axes of arrays that broadcast are one another's."""
    for axis in (-1, -2):
        same_labels("bands", axis, **values)


def _checked(rule: str, **values: ArrayLike) -> tuple[Floats, ...]:
    arrays = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    for name, array in arrays.items():
        bad = np.argwhere(~_RULES[rule](array))
        if len(bad):
            place = tuple(int(i) for i in bad[0])
            raise SpecError(f"{name} must be {rule}, found {array[place]:.6g}{f' at {list(place)}' if place else ''}")
    return tuple(arrays.values())
