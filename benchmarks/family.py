"""Synthetic books of one family at any size: factor risk, own risk, costs, neutral rows, bands, turnover and gross."""

import numpy as np
import scipy.sparse as sp

from optihedge.program.program import Program


def factor_book(n: int, k: int, seed: int = 0, *, rows: int = 30, aversion: float = 10.0) -> Program:
    """n contracts on k factors: 4 exact neutralities, sector, bucket and factor bands, turnover and gross limits."""
    r = np.random.default_rng(seed)
    betas = r.normal(size=(n, k))
    betas[:, 0] = 1 + 0.3 * r.normal(size=n)
    rotation = np.linalg.qr(0.2 * r.normal(size=(k, k)) / np.sqrt(k) + np.eye(k))[1]
    factors = (betas @ np.diag(0.15 * np.geomspace(1, 0.1, k)) @ rotation.T).T
    own = r.uniform(0.1, 0.5, n) ** 2
    wanted = r.normal(size=n) / n
    option = r.random(n) < 0.3
    vega = np.where(option, r.lognormal(0, 0.5, n), 0.0)
    gamma = np.where(option, r.lognormal(0, 0.7, n) * 0.5, 0.0)
    sector, bucket = r.integers(0, 11, n), r.integers(0, 5, n)
    table = [np.ones(n), betas[:, 0], vega, gamma]
    names = ["dollar", "beta", "vega", "gamma"]
    table += [(sector == s).astype(float) for s in range(11)] + [np.where(bucket == b, vega, 0.0) for b in range(5)]
    names += [f"sector{s}" for s in range(11)] + [f"vega{b}" for b in range(5)]
    for j in range(1, min(k, rows - len(names) + 1)):
        table.append(betas[:, j])
        names.append(f"factor{j}")
    A = np.array(table)
    start = wanted * 0.8 + 0.3 * r.normal(size=n) / n
    neutral = start - np.linalg.lstsq(A, A @ start, rcond=None)[0]  # a feasible point
    buy = r.uniform(1e-4, 2e-3, n)
    sell = buy * r.uniform(0.8, 1.3, n)
    quadratic = r.uniform(0.01, 0.5, n) * n / 50
    short = r.uniform(0, 0.01, n) * (r.random(n) < 0.5)
    turnover = max(1.3 * np.abs(neutral - start).sum(), 0.3 * np.abs(start - wanted).sum())
    gross = 1.05 * max(np.abs(neutral).sum(), 0.9 * np.abs(start).sum())
    lower = np.minimum(np.maximum(-6 / n, start - 4 / n), neutral - 1e-3 / n)
    upper = np.maximum(np.minimum(6 / n, start + 4 / n), neutral + 1e-3 / n)
    m = len(names)
    band = np.where(np.arange(m) < 4, 0.0, 0.01)
    nothing = sp.csr_array((m, n))
    one = sp.csr_array(np.ones((1, n)))
    return Program(
        columns=tuple(f"c{i}" for i in range(n)), start=start, lower=lower, upper=upper, lot=np.full(n, 1e-3 / n),
        factors=np.sqrt(aversion) * factors, factor_offset=-np.sqrt(aversion) * factors @ wanted,
        diagonal=aversion * own, linear=-aversion * own * wanted, constant=0.5 * aversion * float(own @ wanted**2),
        buy=buy, sell=sell, quadratic=quadratic, short=short, row_names=(*names, "turnover", "gross"),
        rows=sp.csr_array(np.vstack([A, np.zeros((2, n))])),
        rows_on_holdings=sp.vstack([nothing, 0 * one, one], format="csr"),
        rows_on_trades=sp.vstack([nothing, one, 0 * one], format="csr"),
        row_lower=np.concatenate([-band, [-np.inf, -np.inf]]), row_upper=np.concatenate([band, [turnover, gross]]),
    )  # fmt: skip
