"""When not to trade: Leland's modified vol, Whalley-Wilmott bands, and the policy that follows a target within a band.

Arrays broadcast. Costs are fractions of traded value: Leland's `round_trip` counts a purchase and the sale that
undoes it, `one_way` each trade alone. Vols are decimal, times in years.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optihedge.errors import SpecError

Floats = NDArray[np.float64]


def leland_number(vol: ArrayLike, round_trip: ArrayLike, interval: ArrayLike) -> Floats:
    """sqrt(2/pi) k / (vol sqrt(interval)): expected cost of rebalancing every `interval` years over the gamma decay.

    Leland, "Option pricing and replication with transactions costs", J. Finance 1985.
    """
    vol, round_trip, interval = _positive(vol=vol, round_trip=round_trip, interval=interval)
    return np.sqrt(2 / np.pi) * round_trip / (vol * np.sqrt(interval))


def leland_vol(vol: ArrayLike, round_trip: ArrayLike, interval: ArrayLike, side: ArrayLike) -> Floats:
    """The vol at which to price and hedge under cost: vol sqrt(1 - side A), A Leland's number.

    `side` is +1 for a long option position (vol falls), -1 for a short one (vol rises). 0 where a long position's
    costs eat the whole of its gamma (A >= 1): then rebalance less often.
    """
    number = leland_number(vol, round_trip, interval)
    return np.asarray(vol, dtype=float) * np.sqrt(np.maximum(1 - np.asarray(side, dtype=float) * number, 0.0))


def whalley_wilmott_band(
    spot: ArrayLike, gamma: ArrayLike, one_way: ArrayLike, risk_aversion: ArrayLike, discount: ArrayLike = 1.0
) -> Floats:
    """Half-width in units of the underlying: (3/2 D k S gamma^2 / aversion)^(1/3), the no-trade region about delta.

    `gamma` is the position's (natural, per 1.00 of spot), `risk_aversion` per unit of currency, `discount` to expiry.
    Trade to the nearest edge, not to the middle. Whalley and Wilmott, Mathematical Finance 1997.
    """
    spot, risk_aversion = _positive(spot=spot, risk_aversion=risk_aversion)
    one_way, gamma, discount = (np.asarray(a, dtype=float) for a in (one_way, gamma, discount))
    return np.cbrt(1.5 * discount * one_way * spot * gamma**2 / risk_aversion)


def band_trade(
    current: ArrayLike, target: ArrayLike, below: ArrayLike, above: ArrayLike, *, to_edge: bool = False
) -> Floats:
    """The trade of a threshold policy: nothing while target - below < current < target + above, else back to target.

    With `to_edge` only as far as the edge that was crossed. `below` and `above` are distances >= 0; an edge that is
    reached counts as crossed.
    """
    current, target, below, above = np.broadcast_arrays(
        *(np.asarray(a, float) for a in (current, target, below, above))
    )
    if np.any(below < 0) or np.any(above < 0):
        raise SpecError("a band's distances below and above its target must not be negative")
    low, high = target - below, target + above
    aim = np.where(to_edge, np.clip(current, low, high), target)
    return np.where((current <= low) | (current >= high), aim - current, 0.0)


def follow_band(
    target: ArrayLike, below: ArrayLike, above: ArrayLike, *, start: ArrayLike = 0.0, to_edge: bool = False
) -> Floats:
    """Holdings after each step (T x n) of the policy `band_trade` that follows `target` (T x n) from `start` (n,)."""
    target, below, above = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (target, below, above)))
    holdings = np.empty(target.shape)
    held = np.broadcast_to(np.asarray(start, dtype=float), target.shape[1:])
    for step in range(target.shape[0]):
        held = held + band_trade(held, target[step], below[step], above[step], to_edge=to_edge)
        holdings[step] = held
    return holdings


def replication_cash(
    spot: ArrayLike, holdings: ArrayLike, *, interest: float = 0.0, one_way: float = 0.0, start: ArrayLike = 0.0
) -> Floats:
    """Cash account at the last step (n,) of holding `holdings` (T x n) of an underlying at `spot` (T x n).

    Every change of the holding is paid at the spot plus `one_way` of its value; cash earns (debt costs) `interest`,
    simple, per step. The last holding is still held and not in the cash.
    """
    spot, holdings = (np.asarray(a, dtype=float) for a in (spot, holdings))
    trades = np.diff(holdings, axis=0, prepend=np.broadcast_to(start, holdings.shape[1:])[None])
    paid = trades * spot + one_way * np.abs(trades) * spot
    steps = np.arange(spot.shape[0])[::-1].reshape(-1, *[1] * (spot.ndim - 1))
    return -np.sum(paid * (1 + interest) ** steps, axis=0)


def _positive(**values: ArrayLike) -> tuple[Floats, ...]:
    arrays = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    for name, array in arrays.items():
        if not np.all(array > 0):
            raise SpecError(f"{name} must be positive, found {float(np.min(array)):.6g}")
    return tuple(arrays.values())
