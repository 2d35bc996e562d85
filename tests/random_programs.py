"""Random Programs with every feature mixed and badly scaled on purpose; shared by tests and benchmarks."""

import numpy as np
import scipy.sparse as sp

from optihedge.hedge.program import Depth, Program


def random_program(seed: int, *, largest: int = 500, feasible: bool = True, rescale: bool = True) -> Program:
    """One Program of up to `largest` columns; where `feasible`, some point inside the box meets every row."""
    r = np.random.default_rng(seed)
    n = int(np.exp(r.uniform(0, np.log(largest))))
    k = int(r.integers(0, max(2, min(n, 40))))
    chance = lambda p: r.random() < p  # noqa: E731
    some = lambda p: r.random(n) < p  # noqa: E731

    start = np.where(some(0.7), r.normal(size=n), 0.0)
    width = np.exp(r.normal(0.5, 1.0, n)) * (1 + np.abs(start))
    lower, upper = start - width * some(0.9), start + width * some(0.9)
    if chance(0.3):
        lower, upper = np.maximum(lower, np.minimum(start, 0.0)), np.maximum(upper, np.minimum(start, 0.0))
    outside = some(0.05) if chance(0.3) else np.zeros(n, bool)  # the start need not be inside its own box
    lower, upper = np.where(outside, start + 0.1, lower), np.where(outside, start + 1.1, upper)
    point = lower + r.random(n) * (upper - lower)

    factors = r.normal(size=(k, n)) * np.geomspace(1, 0.1, max(k, 1))[:k, None] * np.exp(r.normal(0, 1))
    if n > 3 and chance(0.4):
        factors[:, 1] = factors[:, 0]  # collinear
        factors[:, 2] = 0.0  # no variance
    diagonal = r.uniform(0, 0.5, n) * some(0.8) if chance(0.8) else np.zeros(n)
    aversion = np.exp(r.normal(0, 4)) if chance(0.5) else 1.0
    shared = np.zeros((0, n))
    if n > 5 and chance(0.5):
        group = r.integers(0, max(n // 4, 1), n)
        shared = (group == np.arange(max(n // 4, 1))[:, None]) * r.uniform(-1, 1, n)

    costly = chance(0.85)
    buy = r.uniform(0, 0.1, n) * some(0.9) * costly
    sell = np.where(some(0.1), -0.5 * buy, r.uniform(0, 0.1, n)) * costly
    quadratic = r.uniform(0, 0.3, n) * some(0.6) if chance(0.5) else np.zeros(n)
    power = r.uniform(0, 0.3, n) * some(0.6) if chance(0.35) else np.zeros(n)
    long = r.uniform(-0.01, 0.02, n) if chance(0.4) else np.zeros(n)
    short = np.maximum(r.uniform(0.01, 0.05, n) * some(0.7) * chance(0.4), -long)
    linear = r.normal(0, 0.1, n) if chance(0.6) else np.zeros(n)
    depth = None
    if chance(0.25):
        count = int(r.integers(1, 3 * n + 1))
        depth = Depth(column=r.integers(0, n, count), side=r.choice([-1, 1], count), beyond=r.uniform(0, 1, count),
                      slope=r.uniform(0, 0.3, count))  # fmt: skip

    m = int(r.integers(0, max(2, min(n, 25)))) if chance(0.9) else 0
    density = r.choice([0.1, 0.5, 1.0])
    A = r.normal(size=(m, n)) * (r.random((m, n)) < density)
    P, W = np.zeros((m, n)), np.zeros((m, n))
    sized = r.random(m) < 0.25
    for j in np.flatnonzero(sized):
        A[j] *= chance(0.3)
        (P if chance(0.5) else W)[j] = r.uniform(0.5, 1.5, n) * (r.random(n) < 0.9)
    duplicate = m > 2 and chance(0.3)
    if duplicate:
        A[1], P[1], W[1], sized[1] = 2 * A[0], 2 * P[0], 2 * W[0], sized[0]
    values = A @ point + P @ np.abs(point) + W @ np.abs(point - start)
    equal = (r.random(m) < 0.4) & ~sized
    slack = np.where(equal, 0.0, r.exponential(0.3, m) * (r.random(m) < 0.8))
    low = np.where(sized | (r.random(m) < 0.2) & ~equal, -np.inf, values - slack)
    high = values + slack
    if duplicate:
        low[1], high[1] = 2 * low[0], 2 * high[0]
    penalty = np.where(r.random(m) < 0.25, r.exponential(0.3, m), np.inf)
    if not feasible and m:
        j = int(r.integers(0, m))
        reach = np.abs(A[j]) @ np.maximum(np.abs(lower), np.abs(upper)) + 1.0
        low[j], high[j] = (low[j], -reach) if sized[j] else (2 * reach, 3 * reach)
        penalty[j] = np.inf

    # bad scales: contracts, rows, and the currency each in their own unit
    unit = np.exp(r.normal(0, 4, n)) if rescale else np.ones(n)
    row_unit = np.exp(r.normal(0, 4, m)) if rescale else np.ones(m)
    money = float(np.exp(r.normal(0, 5))) if rescale else 1.0
    root = np.sqrt(aversion * money)
    by_row = lambda M: sp.csr_array(M * row_unit[:, None] / unit)  # noqa: E731
    if depth is not None:
        at = depth.column
        depth = Depth(column=at, side=depth.side, beyond=depth.beyond * unit[at], slope=depth.slope * money / unit[at])
    return Program(
        columns=tuple(f"c{i}" for i in range(n)), start=start * unit, lower=lower * unit, upper=upper * unit,
        lot=unit * 0.01, factors=factors * root / unit, factor_offset=r.normal(size=k) * root * chance(0.7),
        specifics=sp.csr_array(shared * root / unit), specific_offset=r.normal(size=len(shared)) * root,
        diagonal=diagonal * aversion * money / unit**2, linear=linear * money / unit,
        constant=float(r.normal()) * money, buy=buy * money / unit, sell=sell * money / unit,
        quadratic=quadratic * money / unit**2, power=power * money / unit**1.5, depth=depth,
        long=long * money / unit, short=short * money / unit,
        row_names=tuple(f"r{j}" for j in range(m)), rows=by_row(A), rows_on_holdings=by_row(P),
        rows_on_trades=by_row(W), row_lower=low * row_unit, row_upper=high * row_unit,
        row_penalty=penalty * money / row_unit,
    )  # fmt: skip
