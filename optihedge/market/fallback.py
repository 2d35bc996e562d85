"""Vols of options whose own quote gives none: whose vol stands in, and how it is said.

An option takes, in this order, the vols of its neighbours of the same expiry and right (linear in ln(K/F), flat
beyond), its twin at the same strike, the surface of its underlying (at its own ln(K/F) / sqrt(T), linear in time
between the expiries around it, flat beyond), and the strike nearest the money of the expiry nearest in time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.market.american import american_price
from optihedge.market.contracts import Contracts
from optihedge.market.pricing import black

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Positions = NDArray[np.intp]

_LEAST = 3  # strikes of an expiry that enters the surface
_WILD = 1.5  # ratio of a vol to its neighbours' from which its quote is doubted
_WILD_DEVIATIONS = 6.0  # robust ones of the expiry's ratios, below which it is not
_SMILE = 5  # strikes of one expiry and right that tell a wild quote from a steep smile


def standing_in(c: Contracts, underlying: pd.Series, vol: Floats, lost: Positions) -> tuple[Floats, pd.Series]:
    """Vols of the options at `lost`, NaN where nobody has one, and by label whose they are, in words.

    c           N contracts;  underlying  of each, with their labels as index;  vol  N, NaN where unusable
    """
    labels, names = underlying.index, underlying.to_numpy()
    usable = c.option & (vol > 0) & (c.years > 0)
    usable[lost] = False
    found, said = np.full(len(lost), np.nan), np.full(len(lost), "", dtype=object)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.log(c.strike / c.forward)
    for name in pd.unique(names[lost]):
        chain = _Chain(np.flatnonzero(usable & (names == name)), x, c, vol, labels)
        if not len(chain.at):
            continue
        for i in np.flatnonzero(names[lost] == name):
            for rule in (chain.neighbours, chain.twin, chain.surface, chain.nearest):
                answer = rule(int(lost[i]))
                if answer is not None:
                    found[i], said[i] = answer
                    break
    known = np.isfinite(found)
    return found, pd.Series(said[known], index=labels[lost[known]], dtype=object)


class _Chain:
    """The usable options of one underlying, by expiry; every rule gives a vol and whose it is, or None."""

    def __init__(self, at: Positions, x: Floats, c: Contracts, vol: Floats, labels: pd.Index) -> None:
        self.at, self.x, self.c, self.vol, self.labels = at[np.argsort(x[at], kind="stable")], x, c, vol, labels
        self.life = np.round(c.years, 6)

    def neighbours(self, row: int) -> tuple[float, str] | None:
        mine = self.at[(self.life[self.at] == self.life[row]) & (self.c.right[self.at] == self.c.right[row])]
        if not len(mine):
            return None
        beside = np.searchsorted(self.x[mine], self.x[row])
        whose = mine[max(beside - 1, 0) : beside + 1]
        said = " and ".join(str(self.labels[i]) for i in whose)
        return float(np.interp(self.x[row], self.x[mine], self.vol[mine])), f"of {said}"

    def twin(self, row: int) -> tuple[float, str] | None:
        same = (self.life[self.at] == self.life[row]) & (self.c.strike[self.at] == self.c.strike[row])
        mine = self.at[same]
        return (float(self.vol[mine[0]]), f"of {self.labels[mine[0]]}, its twin") if len(mine) else None

    def surface(self, row: int) -> tuple[float, str] | None:
        z, lives, read = self.x[row] / np.sqrt(max(self.c.years[row], 1e-9)), [], []
        for life in np.unique(self.life[self.at]):
            mine = self.at[self.life[self.at] == life]
            if len(np.unique(self.x[mine])) >= _LEAST:
                lives.append(life)
                read.append(np.interp(z, self.x[mine] / np.sqrt(life), self.vol[mine]))
        if not lives:
            return None
        return float(np.interp(self.life[row], lives, read)), f"of the surface of {len(lives)} expiries"

    def nearest(self, row: int) -> tuple[float, str] | None:
        away = np.abs(self.life[self.at] - self.life[row])
        mine = self.at[away == away.min()]
        one = mine[np.argmin(np.abs(self.x[mine]))]
        return float(self.vol[one]), f"of {self.labels[one]}, nearest at the money"


def model_price(c: Contracts, vol: Floats) -> Floats:
    """What each option of c is worth at these vols and its exercise style, in its price units: n."""
    price = black(c.forward, c.strike, c.years, vol, c.right, c.discount) / np.where(c.inverse, c.forward, 1.0)
    early = np.flatnonzero(c.american)
    if early.size:
        a = c.take(early)
        price[early] = american_price(
            a.deliverable, a.strike, a.years, vol[early], a.right, a.rate, a.carry, a.ex, a.cash
        )
    return price


def wild(c: Contracts, underlying: pd.Series, vol: Floats, implied: Flags, bid: Floats, ask: Floats) -> Positions:
    """Options whose implied vol is far from what its neighbours on both sides say and whose quote is not met by theirs.

    Far: by half or more, and by six robust deviations of such ratios of the expiry and right, the wildest first. Met:
    the price at the neighbours' vol lies within bid and ask, a spread beyond each.
    """
    rows = np.flatnonzero(c.option & (vol > 0) & (c.years > 0))
    frame = pd.DataFrame({
        "u": underlying.to_numpy()[rows], "life": np.round(c.years[rows], 6), "right": c.right[rows], "row": rows,
    })  # fmt: skip
    doubted: list[int] = []
    fair: list[float] = []
    for _, group in frame.groupby(["u", "life", "right"], sort=False):
        at = group["row"].to_numpy()
        if len(at) >= _SMILE and implied[at].any():
            at = at[np.argsort(c.strike[at], kind="stable")]
            found = [(i, said) for i, said in _outliers(np.log(c.strike[at]), np.log(vol[at])) if implied[at[i]]]
            doubted += [int(at[i]) for i, _ in found]
            fair += [float(np.exp(value)) for _, value in found]
    if not doubted:
        return np.array([], dtype=np.intp)
    which = np.array(doubted, dtype=np.intp)
    price, spread = model_price(c.take(which), np.array(fair)), np.nan_to_num(ask[which] - bid[which])
    met = (price >= bid[which] - spread) & (price <= ask[which] + spread)
    return np.sort(which[~met])


def _outliers(x: Floats, y: Floats) -> list[tuple[int, float]]:
    """(position, what its neighbours say) of the inner values that are far from the line between their neighbours."""
    kept, found = np.arange(len(x)), []
    while len(kept) >= _SMILE:
        a, b = x[kept], y[kept]
        line = b[:-2] + (b[2:] - b[:-2]) * (a[1:-1] - a[:-2]) / (a[2:] - a[:-2])
        off = np.abs(b[1:-1] - line)
        worst = int(np.argmax(off))
        if off[worst] <= max(np.log(_WILD), _WILD_DEVIATIONS * 1.4826 * float(np.median(off))):
            break
        found.append((int(kept[worst + 1]), float(line[worst])))
        kept = np.delete(kept, worst + 1)
    return found
