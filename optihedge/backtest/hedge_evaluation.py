"""Which hedge ratios would have hedged better: many books walked forward at once on plain returns.

Row t of a path (T x m x B: periods, hedges, books) is what is held of each hedge over period t per unit of book, made
from rows before t only. Every path here has the sign of a holding: below zero is sold, as against a book that rises
with the hedge. Betas are minus a path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import DataError

Array = np.ndarray
_ROUNDING = 1e-9  # of a hedge's size: a move of its own below this is rounding


@dataclass(frozen=True, eq=False)
class HedgeEvaluation:
    """`table`: a row per method, see `evaluate_hedges`; `verdict`: what it says; `hedged`: method -> returns T x B."""

    table: pd.DataFrame
    verdict: str
    hedged: dict[str, Array]

    def __str__(self) -> str:
        return f"{self.table.to_string(float_format='{:.4g}'.format)}\n{self.verdict}"


def ols_path(books: Array, hedges: Array, window: int) -> Array:
    """What least squares hold of hedges (T x m) against books (T x B): minus the joint betas, with intercept, on the
    `window` rows before each.

    Raises DataError for a window too short or a hedge that adds nothing to the others in one.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> index = rng.normal(0, 0.01, (300, 1))
    >>> books = 1.5 * index + rng.normal(0, 0.002, (300, 1))
    >>> path = oh.stats.ols_path(books, index, 100)
    >>> float(path[-1, 0, 0].round(1))
    -1.5
    """
    if not hedges.shape[1] < window < len(hedges):
        raise DataError(
            f"betas: window is {window} of {len(hedges)} rows for {hedges.shape[1]} hedges; give more than one row per "
            "hedge and fewer than there are"
        )
    path = np.full((len(books), hedges.shape[1], books.shape[1]), np.nan)
    for t in range(window, len(books)):
        rows = hedges[t - window : t]
        moves = rows - rows.mean(axis=0)
        basis, triangle = np.linalg.qr(moves)
        _require_independent(triangle, rows, t)
        path[t] = -np.linalg.solve(triangle, basis.T @ books[t - window : t])
    return path


def anchored_path(
    books: Array, hedges: Array, start: int, *, halflife: float = 42, anchor_halflife: float = 252, anchor: float = 2.0
) -> Array:
    """Minus the betas of `Beta(method="anchored")` fitted on all rows before each row from `start` on.

    Moments are carried along.

    Raises DataError for too few rows before `start` or a hedge that adds nothing to the others in them.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> index = rng.normal(0, 0.01, (300, 1))
    >>> books = 1.5 * index + rng.normal(0, 0.002, (300, 1))
    >>> float(oh.stats.anchored_path(books, index, 100)[-1, 0, 0].round(1))
    -1.5
    """
    size = hedges.shape[1]
    if not size <= start < len(hedges):
        raise DataError(f"betas: start is {start} of {len(hedges)} rows; give a row with {size} or more before it")
    _require_independent(np.linalg.qr(hedges[:start])[1], hedges[:start], start)
    slow, fast = (_Moments(size, books.shape[1], h) for h in (anchor_halflife, halflife))
    path = np.full((len(books), size, books.shape[1]), np.nan)
    for t in range(len(books)):
        if t >= start:
            ridge = anchor * np.trace(fast.gram) / size * np.eye(size)
            anchored = np.linalg.solve(slow.gram, slow.side)
            path[t] = -np.linalg.solve(fast.gram + ridge, fast.side + ridge @ anchored)
        slow.add(hedges[t], books[t])
        fast.add(hedges[t], books[t])
    return path


def _require_independent(triangle: Array, rows: Array, end: int) -> None:
    """DataError for a hedge without a move of its own; triangle: of the QR decomposition of the rows before `end`."""
    if not np.isfinite(rows).all():
        raise DataError(f"betas: a hedge has a gap in the {len(rows)} rows before row {end}; fill it or leave it out")
    own, size = np.abs(np.diag(triangle)), np.linalg.norm(rows, axis=0)
    idle = np.flatnonzero(own <= _ROUNDING * size)
    if len(idle):
        raise DataError(
            f"betas: hedge {idle[0] + 1} of {len(own)} does not move, or only as those before it, in the {len(rows)} "
            f"rows before row {end}; leave it out"
        )


class _Moments:
    """Exponentially weighted sums of x x' and x y'."""

    def __init__(self, size: int, books: int, halflife: float) -> None:
        self.gram, self.side = np.zeros((size, size)), np.zeros((size, books))
        self.decay = 0.5 ** (1 / halflife)

    def add(self, row: Array, books: Array) -> None:
        self.gram = self.decay * self.gram + np.outer(row, row)
        self.side = self.decay * self.side + row[:, None] * books


def no_trade_path(
    targets: Array, hedges: Array, start: int, cost: float, aversion: float, halflife: float = 63
) -> Array:
    """Hedges h (T x m x B) that each period minimise aversion/2 (h - target)' C (h - target) + cost |h - before|_1.

    target is a path, C the EWMA covariance of the hedges' returns before the period, cost a fraction of notional. A
    HedgeModel with BetaRisk, Variance and SpreadCost does the same (its aversion times the book's notional here).
    Cyclic coordinate descent, exact for this separable penalty (Tseng 2001), for all books at once. Raises DataError.
    """
    if not (aversion > 0 and cost >= 0 and halflife > 0):
        raise DataError(
            f"no-trade path: aversion is {aversion}, cost {cost} and halflife {halflife}; aversion and halflife must "
            "be above 0, cost not below"
        )
    idle = np.flatnonzero(~(np.abs(hedges[: max(start, 0)]).max(axis=0, initial=0.0) > 0))
    if len(idle):
        raise DataError(
            f"no-trade path: hedge {idle[0] + 1} of {hedges.shape[1]} does not move in the rows before start {start}; "
            "start later, or leave it out"
        )
    path = np.full(targets.shape, np.nan)
    covariance, decay = np.zeros((hedges.shape[1],) * 2), 0.5 ** (1 / halflife)
    held = np.zeros(targets.shape[1:])
    for t in range(len(hedges)):
        if t >= start:
            held = _buy_to_band(targets[t], held, aversion * covariance / (1 - decay**t), cost)
            path[t] = held
        covariance = decay * covariance + (1 - decay) * np.outer(hedges[t], hedges[t])
    return path


def _buy_to_band(target: Array, before: Array, curvature: Array, cost: float) -> Array:
    """argmin 1/2 (h - target)' curvature (h - target) + cost |h - before|_1 for each column."""
    h = before.copy()
    for _ in range(500):
        last = h.copy()
        for i in range(len(h)):
            slope = curvature[i] @ (h - target) - curvature[i, i] * (h[i] - before[i])
            h[i] = before[i] - np.sign(slope) * np.maximum(np.abs(slope) - cost, 0.0) / curvature[i, i]
        if np.abs(h - last).max() <= 1e-9:
            break
    return h


def evaluate_hedges(
    books: Array,
    hedges: Array,
    paths: dict[str, Array],
    *,
    baseline: str,
    cost: float,
    start: int,
    block: int = 63,
    material: float = 0.05,
    draws: int = 500,
    seed: int = 0,
) -> HedgeEvaluation:
    """Realised variance, market beta and turnover of books (T x B) held with each path of hedges from row `start`.

    books and hedges are returns per unit of notional, the first hedge is the market; cost is one-way, a fraction of
    notional; the trade into the first hedge is paid. Columns of the table:
      variance        pooled over books, against the baseline's; `low`, `high`: 95 % block-bootstrap interval
      better          share of books whose variance is below the baseline's
      removed         1 - variance / unhedged variance, pooled
      beta            mean |beta| on the market within blocks of `block` rows
      beta_lower      share of books whose `beta` is below the baseline's
      turnover        against the baseline's; NaN where that trades nothing
    The verdict is "nothing material ..." where no path removes `material` of the unhedged variance, and names each path
    that adds some. Raises DataError.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> index = rng.normal(0, 0.01, (300, 1))
    >>> books = 1.5 * index + rng.normal(0, 0.002, (300, 1))
    >>> path = oh.stats.ols_path(books, index, 100)
    >>> paths = {"ols": path, "none": 0 * path}
    >>> found = oh.stats.evaluate_hedges(books, index, paths, baseline="none", cost=0.0, start=100)
    >>> bool(found.table.loc["ols", "removed"] > 0.9)
    True
    """
    _check_evaluation(books, hedges, paths, baseline, start, block)
    paths = {"no hedge": np.zeros_like(paths[baseline]), **paths}
    hedged, turnover = {}, {}
    for name, path in paths.items():
        trades = np.abs(np.diff(path[start:], axis=0, prepend=0.0)).sum(axis=1)
        hedged[name] = books[start:] + np.einsum("tmb,tm->tb", path[start:], hedges[start:]) - cost * trades
        turnover[name] = trades[1:].sum()
    betas = {name: _block_betas(pnl, hedges[start:, 0], block) for name, pnl in hedged.items()}
    table = _compared(hedged, betas, baseline, block_rows(len(books) - start, block, draws, seed))
    table["turnover"] = [turnover[name] / turnover[baseline] if turnover[baseline] else np.nan for name in paths]
    return HedgeEvaluation(table, _verdict(table["removed"].drop("no hedge"), material), hedged)


def _check_evaluation(
    books: Array, hedges: Array, paths: dict[str, Array], baseline: str, start: int, block: int
) -> None:
    """Raise DataError for a baseline without a path, blocks that do not fit, a path of another shape or with gaps."""
    if baseline not in paths:
        raise DataError(f"hedge evaluation: baseline {baseline!r} is not among the paths {', '.join(paths)}")
    rows = len(books) - start
    if not (start >= 0 and 2 <= block <= rows):
        raise DataError(
            f"hedge evaluation: block is {block} for the {rows} rows from row {start} on; give two rows or more to a "
            "block, and at least one block"
        )
    for name, path in paths.items():
        if path.shape != (len(books), hedges.shape[1], books.shape[1]) or not np.isfinite(path[start:]).all():
            raise DataError(f"hedge evaluation: path {name!r} has shape {path.shape} or gaps after row {start}")


def _compared(hedged: dict[str, Array], betas: dict[str, Array], baseline: str, drawn_rows: Array) -> pd.DataFrame:
    """The columns of variance and beta, see `evaluate_hedges`; drawn_rows: a row of rows per bootstrap draw."""
    deviations = {name: ((pnl - pnl.mean(axis=0)) ** 2) for name, pnl in hedged.items()}
    base, daily = deviations[baseline], {name: d.sum(axis=1) for name, d in deviations.items()}
    table = pd.DataFrame(index=pd.Index(hedged, name="method"))
    for name in hedged:
        drawn = daily[name][drawn_rows].sum(axis=1) / daily[baseline][drawn_rows].sum(axis=1)
        table.loc[name, "variance"] = daily[name].sum() / daily[baseline].sum()
        table.loc[name, ["low", "high"]] = np.quantile(drawn, [0.025, 0.975])
        table.loc[name, "better"] = (deviations[name].sum(axis=0) < base.sum(axis=0)).mean()
        table.loc[name, "removed"] = 1 - daily[name].sum() / daily["no hedge"].sum()
        table.loc[name, "beta"] = betas[name].mean()
        table.loc[name, "beta_lower"] = (betas[name] < betas[baseline]).mean()
    return table


def _verdict(removed: pd.Series, material: float) -> str:
    """What the shares of variance that the paths remove say; paths that add some are named."""
    best = removed.idxmax()
    text = f"{best} removes {removed[best]:.1%} of the variance"
    if removed[best] < material:
        text = f"nothing material to hedge: at best {removed[best]:.1%} of the variance is removed ({best})"
        text += "; leave it unhedged"
    adding = [f"{name} adds {-share:.1%}" for name, share in removed[removed < 0].items()]
    return f"{text}; {', '.join(adding)} (is its sign that of a holding?)" if adding else text


def _block_betas(pnl: Array, market: Array, block: int) -> Array:
    """Mean over whole blocks of |slope of pnl on the market|, one per book."""
    count = len(market) // block
    market = market[: count * block].reshape(count, block)
    idle = np.flatnonzero(np.ptp(market, axis=1) == 0)
    if len(idle):
        raise DataError(
            f"hedge evaluation: the market, the first hedge, does not move in block {idle[0] + 1} of {block} rows; "
            "give a longer block, or put another hedge first"
        )
    market = market - market.mean(axis=1, keepdims=True)
    blocks = pnl[: count * block].reshape(count, block, -1)
    slopes = np.einsum("qt,qtb->qb", market, blocks) / (market**2).sum(axis=1)[:, None]
    return np.abs(slopes).mean(axis=0)


def block_rows(periods: int, block: int, draws: int, seed: int) -> Array:
    """Row numbers of `draws` circular block resamples (Politis and Romano 1992)."""
    starts = np.random.default_rng(seed).integers(periods, size=(draws, -(-periods // block)))
    return ((starts[:, :, None] + np.arange(block)) % periods).reshape(draws, -1)[:, :periods]
