"""Histories of unequal length as one sample: what came before a listing, told by drivers listed earlier."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
_MOST = 32  # regressors: beyond these the leading components of the longest histories stand for them
_ADMISSIBLE = 2  # regressors up to which no ridge beats least squares everywhere (Stein 1956)
_WHOLE = 0.9  # of a window's rows: an earlier driver observed on fewer is no regressor there
_FEW = 5  # rows: with fewer nothing is regressed
_RIDGES = np.logspace(-6, 2, 81)  # tried, in units of the weight observed and the regressors' variance
_RANK = 1e-7  # singular values up to this share of the largest are rounding


def completed(moves: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Moves (T x D), those before a driver's first told by the drivers listed earlier; and what that leaves open.

    weights   T, of the rows; the newest is 1, and an observation counts as its weight

    In order of listing each driver is regressed on the earlier ones over the rows since its first move; its moves
    before are the fitted ones. What is left open (m x m, of the m late columns, the last result), to be added to the
    weighted sums of products, is the residual variance of the fitted moves and the error of the slopes, carried on to
    drivers that are fitted on these. The sums are then those of one positive semidefinite covariance; of two drivers it
    is Stambaugh's: Cov(long, short) = slope x Var(long), Var(short) = slope^2 Var(long) + residual variance. Slopes on
    three regressors or more are held by the ridge of most evidence. Gaps after the first move stay missing.

    Source: Stambaugh 1997, Journal of Financial Economics 45; MacKay 1992, Neural Computation 4, for the ridge.
    """
    seen = np.isfinite(moves)
    first = _listed(seen)
    known, groups, basis = np.flatnonzero(first == first.min()), _groups(seen, first), None
    whole, late = len(known), moves.shape[1] - len(known)
    filled, left = moves.copy(), np.zeros((late, late))
    for start, members in groups:
        if len(known) > _MOST and basis is None:
            basis = _leading(filled, weights, known)
        scores, lift = _regressors(filled, weights, known, start) if basis is None else basis
        told = np.isfinite(scores).all(axis=1)
        before, rows = np.flatnonzero(told[:start]), start + np.flatnonzero((told & seen[:, members[0]])[start:])
        if len(rows) >= _FEW and scores.shape[1]:
            root = np.sqrt(weights)[:, None]
            slopes, residuals, error = ridged(
                root[rows] * scores[rows], root[rows] * filled[np.ix_(rows, members)], weights[rows].sum(),
                root[before] * scores[before],
            )  # fmt: skip
            filled[np.ix_(before, members)] = scores[before] @ slopes
            # the residual of the moves that were fitted, and what earlier late ones left open
            size = residuals * np.sqrt((weights[before].sum() + error) / weights[rows].sum())
            count = len(known) - whole
            told_by, own = np.zeros((count, len(members))), slice(count, count + len(members))
            told_by[: max(len(lift) - whole, 0)] = lift[whole:] @ slopes
            left[:count, own] = left[:count, :count] @ told_by
            left[own, :count] = left[:count, own].T
            left[own, own] = told_by.T @ left[:count, own] + size.T @ size
        known = np.concatenate([known, members])
    return filled, left, known[whole:]


def ridged(x: Array, y: Array, count: float, ahead: Array) -> tuple[Array, Array, Array]:
    """Slopes (q x m) of y (n x m) on x (n x q), residuals (n x m), and the error of the slopes over the rows `ahead`.

    Rows are multiplied by the roots of their weights, which sum to `count`. Each column of y has its own ridge, that of
    most evidence for slopes of one prior variance; on one or two regressors there is none. Residuals are scaled so that
    their mean square has the degrees of freedom that are left; the error (m) is in units of the residual variance,
    summed over the rows ahead (a x q).
    """
    left, size, right = np.linalg.svd(x, full_matrices=False)
    present = size > _RANK * size[0] if size.size and size[0] > 0 else np.zeros(len(size), dtype=bool)
    left, size, right = left[:, present], size[present], right[present]
    square, projected = size[:, None] ** 2, left.T @ y
    ridge = np.zeros(y.shape[1])
    if x.shape[1] > _ADMISSIBLE and size.size:
        tried = count * _RIDGES
        total = (y**2).sum(axis=0)
        outside = np.maximum(total - (projected**2).sum(axis=0), 1e-14 * total + 1e-300)
        shrunk = 1.0 + square / tried  # r x g
        evidence = -count * np.log(outside + (1 / shrunk).T @ projected**2) - np.log(shrunk).sum(axis=0)[:, None]
        ridge = tried[np.argmax(evidence, axis=0)]
    held = 1 / (square + ridge)  # r x m
    slopes = right.T @ (size[:, None] * held * projected)
    freedom = np.maximum(count - (square * held).sum(axis=0), 1.0)
    residuals = (y - x @ slopes) * np.sqrt(count / freedom)
    # along directions that the rows show, and along the others by the prior alone
    along = ((ahead @ right.T) ** 2).sum(axis=0)
    beyond = max(float((ahead**2).sum() - along.sum()), 0.0) if len(size) < x.shape[1] else 0.0
    prior = np.divide(beyond, ridge, out=np.zeros_like(ridge), where=ridge > 0)
    return slopes, residuals, along @ held + prior


def _listed(seen: Array) -> Array:
    """First row of each column; the first of all where it starts with no longer a gap than it has later (a weekend)."""
    first = np.argmax(seen, axis=0)
    for column in np.flatnonzero(first > first.min()):
        longest = np.diff(np.flatnonzero(seen[:, column])).max(initial=1) - 1
        if first[column] - first.min() <= longest:
            first[column] = first.min()
    return first


def _groups(seen: Array, first: Array) -> list[tuple[int, Array]]:
    """First row and columns of drivers that are listed late, those with the same rows together, in order of listing."""
    alike: dict[tuple[int, bytes], list[int]] = {}
    for column in np.flatnonzero(first > first.min()):
        alike.setdefault((int(first[column]), seen[:, column].tobytes()), []).append(int(column))
    return [(key[0], np.array(alike[key])) for key in sorted(alike)]


def _regressors(filled: Array, weights: Array, known: Array, start: int) -> tuple[Array, Array]:
    """Standardised moves of those known drivers that have few gaps since `start` (T x q), and what makes slopes on all
    known ones of slopes on these (p x q)."""
    used = np.isfinite(filled[start:, known]).mean(axis=0) >= _WHOLE
    scale = _scale(filled[:, known], weights)
    used &= scale > 0
    scores = filled[:, known[used]] / scale[used]
    return scores, (np.eye(len(known)) / np.where(scale > 0, scale, 1.0))[:, used]


def _leading(filled: Array, weights: Array, known: Array) -> tuple[Array, Array]:
    """The leading components of the known drivers' standardised moves (T x q), a gap counted as no move, and p x q."""
    scale = _scale(filled[:, known], weights)
    standard = np.nan_to_num(filled[:, known]) / np.where(scale > 0, scale, 1.0)
    axes = np.linalg.svd(np.sqrt(weights)[:, None] * standard, full_matrices=False)[2][:_MOST].T
    return standard @ axes, axes / np.where(scale > 0, scale, 1.0)[:, None]


def _scale(moves: Array, weights: Array) -> Array:
    """Root mean square of each column's observed moves."""
    seen = np.isfinite(moves)
    total = weights @ seen
    return np.sqrt(weights @ np.where(seen, moves, 0.0) ** 2 / np.where(total > 0, total, 1.0))
