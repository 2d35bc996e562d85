"""Programs of every kind: all features mixed and badly scaled, hostile ones, options on many underlyings."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optihedge.program.costs import Depth
from optihedge.program.program import Program


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


def options_book(underlyings: int, each: int, k: int, *, seed: int = 0, neutral_each: bool = False) -> Program:
    """Options on many underlyings, each with specific price and vol risk shared by its contracts."""
    r = np.random.default_rng(seed)
    n, of = underlyings * each, np.repeat(np.arange(underlyings), each)
    delta, vega = r.uniform(-1, 1, n) * r.lognormal(0, 0.5, n), r.uniform(0, 1, n) * r.lognormal(0, 0.5, n)
    by_underlying = lambda v: sp.csr_array((v, (of, np.arange(n))), shape=(underlyings, n))  # noqa: E731
    betas = r.normal(size=(k, underlyings)) * np.geomspace(0.15, 0.015, k)[:, None]
    specifics = sp.vstack([by_underlying(r.uniform(0.1, 0.4, underlyings)[of] * delta),
                           by_underlying(r.uniform(0.1, 0.4, underlyings)[of] * vega)], format="csr")  # fmt: skip
    rows, names = [sp.csr_array(delta[None]), sp.csr_array(vega[None])], ["delta", "vega"]
    if neutral_each:
        rows.append(by_underlying(delta))
        names += [f"delta[{u}]" for u in range(underlyings)]
    m = len(names)
    start = r.normal(size=n) * (r.random(n) < 0.3)
    cost = r.uniform(0.001, 0.02, n) * np.maximum(np.abs(delta), 0.05)
    return Program(
        columns=tuple(f"c{i}" for i in range(n)), start=start, lower=start - 5, upper=start + 5, lot=np.full(n, 0.01),
        factors=betas[:, of] * delta, specifics=specifics, diagonal=np.full(n, 1e-4), buy=cost, sell=cost,
        row_names=(*names, "turnover"), rows=sp.vstack([*rows, sp.csr_array((1, n))], format="csr"),
        rows_on_trades=sp.vstack([sp.csr_array((m, n)), sp.csr_array(np.ones((1, n)))], format="csr"),
        row_lower=np.append(np.zeros(m), -np.inf), row_upper=np.append(np.zeros(m), 3 * np.abs(start).sum()),
    )  # fmt: skip


def hostile_program(seed: int) -> Program:
    """One Program meant to break a solver: contradictions from 1 to 1e-9, zero or repeated rows and columns, extremes.

    Raises SpecError where what it asks for is no convex problem (NaN, infinite bounds, negative variance).
    """
    r = np.random.default_rng(seed)
    p = random_program(seed + 10_000, largest=60, rescale=bool(r.random() < 0.5))
    n, _, _, m = p.size
    kind = KINDS[seed % len(KINDS)]
    wide = np.array([1.0])
    if kind == "not a number":
        return replace(p, linear=np.where(np.arange(n) == n - 1, np.nan, p.linear))
    if kind == "infinite bound":
        return replace(p, upper=np.where(np.arange(n) == 0, np.inf, p.upper))
    if kind == "negative variance":
        return replace(p, diagonal=np.where(np.arange(n) == 0, -1e-9, p.diagonal))
    if kind == "contradiction":
        row = sp.csr_array(r.normal(size=(1, n)) * (p.upper > p.lower) / (np.abs(p.upper) + np.abs(p.lower) + 1e-9))
        size = 10.0 ** -(seed // len(KINDS) % 10)
        value = float((row @ p.start)[0])
        return _with_rows(p, sp.vstack([row, row]), [value, value + size], [value, value + size])
    if kind == "zero row":
        return _with_rows(p, sp.csr_array((1, n)), -wide, wide)
    if kind == "broken zero row":
        return _with_rows(p, sp.csr_array((1, n)), wide, 2 * wide)
    if kind == "repeated rows":
        return _with_rows(p, sp.vstack([p.rows, -3 * p.rows]) if m else sp.csr_array((0, n)),
                          *_repeated(p, np.array([1.0, -3.0])))  # fmt: skip
    if kind == "repeated columns":
        column = r.integers(0, n, n)
        return replace(p, **{name: getattr(p, name)[:, column] for name in
                             ("factors", "specifics", "rows", "rows_on_holdings", "rows_on_trades")},
                       row_penalty=np.where(np.isfinite(p.row_penalty), p.row_penalty, 1.0),
                       diagonal=np.zeros(n))  # fmt: skip
    if kind == "points":
        return replace(p, lower=p.start, upper=p.start)
    if kind == "thin boxes":
        return replace(p, lower=p.start, upper=p.start * (1 + 1e-12 * np.sign(p.start)) + 1e-13,
                       row_penalty=np.minimum(p.row_penalty, 1.0))  # fmt: skip
    if kind == "wide boxes":
        return replace(p, lower=p.lower - 1e7 * (p.upper - p.lower), upper=p.upper + 1e7 * (p.upper - p.lower))
    if kind == "no risk":
        return replace(p, factors=None, factor_offset=None, specifics=None, specific_offset=None, diagonal=None)
    if kind == "no cost":
        return replace(p, buy=None, sell=None, quadratic=None, power=None, depth=None, long=None, short=None)
    scale = 1e-12 if kind == "no aversion" else 1e12
    return replace(p, factors=p.factors * np.sqrt(scale), factor_offset=p.factor_offset * np.sqrt(scale),
                   specifics=p.specifics * np.sqrt(scale), specific_offset=p.specific_offset * np.sqrt(scale),
                   diagonal=p.diagonal * scale)  # fmt: skip


KINDS = ("not a number", "infinite bound", "negative variance", "contradiction", "zero row", "broken zero row",
         "repeated rows", "repeated columns", "points", "thin boxes", "wide boxes", "no risk", "no cost",
         "no aversion", "all aversion")  # fmt: skip


def _with_rows(p: Program, rows: sp.sparray, low: np.ndarray, high: np.ndarray) -> Program:
    count = rows.shape[0]
    none = sp.csr_array((count, len(p.columns)))
    grow = lambda old, new: np.concatenate([old, new])  # noqa: E731
    return replace(
        p, row_names=(*p.row_names, *(f"more{j}" for j in range(count))), rows=sp.vstack([p.rows, rows], format="csr"),
        rows_on_holdings=sp.vstack([p.rows_on_holdings, none], format="csr"),
        rows_on_trades=sp.vstack([p.rows_on_trades, none], format="csr"), row_lower=grow(p.row_lower, low),
        row_upper=grow(p.row_upper, high), row_penalty=grow(p.row_penalty, np.full(count, np.inf)),
        row_tier=grow(p.row_tier, np.zeros(count)), row_fixed=grow(p.row_fixed, np.zeros(count)),
        row_limit=None,
    )  # fmt: skip


def _repeated(p: Program, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    plain = (np.diff(p.rows_on_holdings.indptr) + np.diff(p.rows_on_trades.indptr)) == 0
    sides = [np.where(plain, p.row_lower, -np.inf), np.where(plain, p.row_upper, np.inf)]
    low = [np.minimum(f * sides[0], f * sides[1]) for f in factors]
    high = [np.maximum(f * sides[0], f * sides[1]) for f in factors]
    return np.concatenate(low), np.concatenate(high)
