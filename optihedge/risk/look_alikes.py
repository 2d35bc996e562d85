"""Drivers that are copies of each other: the same moves but for scale, sign or a row's delay."""

from __future__ import annotations

import numpy as np
import pandas as pd

_ENOUGH = 20  # moves that two drivers must share to be look-alikes


def look_alikes(moves: pd.DataFrame, least: float) -> list[tuple]:
    """Pairs of drivers whose moves (T x D) are the same but for scale, sign or a row's delay, where both are observed:
    driver, first row, last row, problem, detail. least: absolute correlation from which two are alike.

    Masked products in single precision find the pairs that come near; their own rows decide.
    """
    moves = moves.loc[:, (moves.fillna(0.0) != 0).sum() >= _ENOUGH]
    spread = moves.std().to_numpy()
    values = moves.to_numpy()
    seen = np.abs(values) <= 12 * spread  # a shared bad row is no likeness
    scaled = np.where(seen, values / np.where(spread > 0, spread, 1.0), 0.0).astype(np.float32)
    mask, square = seen.astype(np.float32), scaled**2
    found = []
    for lag in (0, 1):
        before = len(values) - lag
        for begin in range(0, values.shape[1], 1000):
            part = np.s_[lag:, begin : begin + 1000]
            product = scaled[:before].T @ scaled[part]
            norms = (square[:before].T @ mask[part]) * (mask[:before].T @ square[part])
            for i, k in np.argwhere(product**2 > (least - 1e-4) ** 2 * norms):
                j = begin + k
                if i == j or (not lag and i > j):
                    continue
                both = seen[:before, i] & seen[lag:, j]
                first, second = values[:before, i][both] / spread[i], values[lag:, j][both] / spread[j]
                correlation = first @ second / np.sqrt((first @ first) * (second @ second))
                if np.count_nonzero(first * second) >= _ENOUGH and abs(correlation) > least:
                    late = ", a row late" if lag else ""
                    mirror = "the mirror image of" if correlation < 0 else "the same moves as"
                    detail = f"{mirror} {moves.columns[i]}{late}, correlation {correlation:.6f}"
                    found.append((moves.columns[j], moves.index[0], moves.index[-1], "look-alike", detail))
    return found
