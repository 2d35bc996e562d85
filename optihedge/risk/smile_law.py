"""How a smile moves, from a prior relative to its own vol: the mathematics of `SmileRisk` in pure functions.

Words over one period, e1 to e4 standard normal and independent (a the level, s the skew of today's smile):

    spot = sd x e1                         term = (stickiness - 1) s / sqrt(30 d) x spot + nu a e2
    vol  = lam x nu a e2 + par a e3        skew = sk a e4

`vol`, `term`, `skew` are those of `market.scenarios`: changes of vol at a fixed strike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.linalg import cholesky, solve_triangular

from optihedge.market.snapshot import Market
from optihedge.readonly import told
from optihedge.risk.smile_state import DAY, MONTH, SmileState

Array = np.ndarray
WORDS = ("spot", "term", "vol", "skew")  # in this order a Cholesky root gives e1 to e4
SOURCES = ("spot", "vol", "parallel vol", "skew")  # what e1 to e4 are called
MOST_STICKY = 2.0
_WING, _FAR = 0.6, 6.0  # own noise grows with min(d^2, 6), d in deviations from the forward
_PART_OF_SPREAD = 0.12  # of the half spread that a mark moves by
_NEWTON, _SETTLED = 8, 1e-9  # steps to fourth moments, and the last one's size
_LOST = 1e-7  # of a contract's variance that compression may take


@dataclass(frozen=True)
class SmilePrior:
    """Deviations a period relative to the level of the smile; measured on SPX, VIX, single stocks and coins.

    vol_of_vol      nu: 30-day level at a fixed strike, net of spot
    stickiness      at-the-money vol moves by so many times today's skew: 0 sticky delta, 1 sticky strike; above 2, what
                    smiles of diffusions tend to at short lives (Bergomi 2009), it counts as 2
    parallel        par: the same for every option
    term_to_level   lam: what the level of all does as the 30-day level moves
    skew            sk: change of vol per unit of ln(K/F) / sqrt(T)
    noise           n: each option's own, at the money and 30 days, relative to its vol
    basis           of the spot's deviation: ln(F/S) of all, and of each expiry
    across          correlation of e2 between underlyings

    >>> import optihedge as oh
    >>> oh.risk.SmilePrior(vol_of_vol=0.06).vol_of_vol
    0.06
    """

    vol_of_vol: float = 0.055
    stickiness: float = 1.4
    parallel: float = 0.011
    term_to_level: float = -0.25
    skew: float = 0.035
    noise: float = 0.0055
    basis: tuple[float, float] = (0.04, 0.015)
    across: float = 0.6


def word_covariance(state: SmileState, spot: float, prior: SmilePrior) -> Array:
    """4 x 4 covariance of WORDS over one period; spot: standard deviation of its return."""
    a, root = state.level, np.zeros((4, 4))
    root[0, 0] = spot
    root[1, :2] = (min(prior.stickiness, MOST_STICKY) - 1) * state.skew / np.sqrt(MONTH) * spot, prior.vol_of_vol * a
    root[2, 1:3] = prior.term_to_level * prior.vol_of_vol * a, prior.parallel * a
    root[3, 3] = prior.skew * a
    return root @ root.T


def blended(prior: Array, moves: Array, weight: float) -> Array:
    """(weight prior + sum m m') / (weight + n) for n moves (n x 4) about zero."""
    return (weight * prior + moves.T @ moves) / (weight + len(moves))


def word_root(covariance: Array, spot: float) -> Array:
    """4 x 4 root: WORDS = root @ (e1 .. e4); its first column rescaled to another deviation of spot."""
    size = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    root = size[:, None] * cholesky(covariance / np.outer(size, size) + 1e-12 * np.eye(4), lower=True)
    root[:, 0] *= spot / root[0, 0]
    return root


@lru_cache(maxsize=8)
def standard_draws(count: int, underlyings: int, seed: int, tails: float | tuple[float, ...] | None = None) -> Array:
    """count x underlyings x 4 draws in pairs of opposite sign whose sample covariance is exactly the identity.

    tails   degrees of freedom (> 2) of a Student law, or radii relative to the normal's to draw from; None: normal,
            and then the fourth moments are the normal law's too (of each underlying, and of all where they are two)
    """
    rng = np.random.default_rng(seed)
    dimension = 4 * underlyings
    half = rng.normal(size=(count // 2, dimension))
    if isinstance(tails, tuple):
        half *= rng.choice(np.array(tails), size=(len(half), 1))
    elif tails is not None:
        half *= np.sqrt((tails - 2) / rng.chisquare(tails, size=(len(half), 1)))
    half = _whitened(half)
    if tails is None:
        groups = [np.arange(dimension)] if underlyings <= 2 else np.arange(dimension).reshape(-1, 4)
        quartic = [four for group in groups for four in combinations_with_replacement(group, 4)]
        if len(quartic) + dimension * (dimension + 1) // 2 < half.size / 2:
            half = _whitened(_with_fourth_moments(half, np.array(quartic)))
    draws = np.vstack([half, -half])
    draws.setflags(write=False)
    return draws.reshape(count, underlyings, 4)


def _whitened(half: Array) -> Array:
    triangle = cholesky(half.T @ half / len(half), lower=True)
    return solve_triangular(triangle, half.T, lower=True).T


def _with_fourth_moments(half: Array, quartic: Array) -> Array:
    """The nearest draws whose second moments and these fourth ones (q x 4 columns) are the normal law's, by Newton."""
    count, dimension = half.shape
    square = np.column_stack(np.triu_indices(dimension))
    pairs = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2))  # Isserlis: E abcd = E ab E cd + E ac E bd + E ad E bc
    normal = sum(
        ((quartic[:, a] == quartic[:, b]) & (quartic[:, c] == quartic[:, d])).astype(float) for a, b, c, d in pairs
    )
    target = np.concatenate([(square[:, 0] == square[:, 1]).astype(float), normal])
    for _ in range(_NEWTON):
        parts = [half[:, columns] for columns in (square, quartic)]  # count x monomials x factors
        value = np.concatenate([part.prod(axis=2).mean(axis=0) for part in parts])
        slope = np.zeros((len(target), count, dimension))
        first = 0
        for columns, part in zip((square, quartic), parts, strict=True):
            row = np.arange(first, first + len(columns))
            for j in range(columns.shape[1]):
                others = np.delete(part, j, axis=2).prod(axis=2) / count
                np.add.at(slope, (row[:, None], np.arange(count)[None, :], columns[:, j][:, None]), others.T)
            first += len(columns)
        flat = slope.reshape(len(target), -1)
        step = flat.T @ np.linalg.solve(flat @ flat.T, target - value)
        half = half + step.reshape(half.shape)
        if np.abs(step).max() < _SETTLED:
            break
    return half


def compressed(rows: Array, most: int, size: Array) -> tuple[Array, Array]:
    """At most `most` rows that keep the N x N products of rows (S x N), and each column's variance that is lost (N).

    size   N, deviations: no contract loses more than 1e-7 of its squared size if `most` allows
    """
    weight = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    scaled = rows * weight
    _, vectors = np.linalg.eigh(scaled @ scaled.T)
    kept = vectors[:, : -most - 1 : -1].T @ rows
    left = np.einsum("sn,sn->n", rows, rows) - np.cumsum(kept**2, axis=0)
    enough = (left * weight**2 <= _LOST).all(axis=1)
    count = min(int(np.argmax(enough)) + 1 if enough.any() else len(rows), most)
    return kept[:count], np.maximum(left[count - 1], 0.0)


def own_variance(market: Market, noise: float | Array, periods: float) -> Array:
    """N variances of each option's own P&L over the periods, base currency squared; 0 for what is no option."""
    c, option = market.contracts, market.contracts.option
    life = np.where(option, np.maximum(c.years, DAY), 1.0)
    vol = np.where(option & np.isfinite(c.vol), c.vol, 0.0)
    relative = noise * (1 + _WING * np.minimum(distance(market) ** 2, _FAR)) * np.sqrt(MONTH / life)
    half = np.nan_to_num(market.trade_cost.min(axis=1).to_numpy(dtype=float))
    own = periods * (market.sensitivities.vega * vol * relative) ** 2 + (_PART_OF_SPREAD * half) ** 2
    return np.where(option, own, 0.0)


def distance(market: Market) -> Array:
    """N: |ln(K/F)| in deviations sigma sqrt(T), T at least a day; 0 for what is no option."""
    c = market.contracts
    deviation = np.where(c.option & (c.vol > 0), c.vol * np.sqrt(np.maximum(c.years, DAY)), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.abs(np.log(np.where(c.option, c.strike / c.forward, 1.0))) / deviation)


def usual_noise(market: Market, underlying: str, level: float) -> float:
    """What `smile_move` would measure as noise, over the level, if every option's own noise were 1 at the money."""
    c = market.contracts
    seen = c.option & told(market.instruments, "underlying", underlying) & np.isfinite(c.vol) & (c.years > DAY)
    vega = market.sensitivities.vega[seen]
    each = c.vol[seen] / level * (1 + _WING * np.minimum(distance(market)[seen] ** 2, _FAR))
    return float(np.sqrt(np.average(each**2, weights=vega**2))) if (vega > 0).any() else 1.0


def basis_rows(basis: Array, spot: Array, underlying: Array, expiry: Array, parts: tuple[float, float]) -> sp.csr_array:
    """Rows over N contracts of the basis: one for each underlying, and one for each of its expiries.

    basis   N, base currency per unit of ln(F/S);  spot  N, deviation of the underlying's return
    expiry  N integers, the same for contracts of one expiry (perpetuals are one of their own)
    """
    some = np.flatnonzero(basis * spot != 0)
    common = pd.factorize(underlying[some])[0]
    each = np.unique(np.column_stack([common, expiry[some]]), axis=0, return_inverse=True)[1].ravel()
    blocks = []
    for part, codes in zip(parts, (common, each), strict=True):
        size = part * spot[some] * basis[some]
        shape = (int(codes.max(initial=-1)) + 1, len(basis))
        blocks.append(sp.csr_array((size, (codes, some)), shape=shape))
    return sp.csr_array(sp.vstack(blocks))
