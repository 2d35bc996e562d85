"""Several iterated EWMAs, fast to slow, combined by convex optimisation (CM-IEWMA)."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.risk.estimator import Moves, MovesError, OnlineRiskEstimator, periods_per_year
from optihedge.risk.ewma import decayed_sums
from optihedge.risk.manners import clone
from optihedge.risk.root import Risk

_NEWTON_STEPS = 60
_GAP, _STEP = 1e-11, 1e-9  # complementarity per observation, and last step, at which weights are final
_CHUNK = 64  # rows whose factors are held at once


class CombinedEwmaRisk(OnlineRiskEstimator):
    """Iterated EWMAs whose precision factors are mixed with the weights that fitted the latest rows best.

    halflives     (volatility, correlation) half-lives of each expert, see EwmaRisk
    lookback      latest rows on which the weights are chosen
    clip          bound on standardised moves, in standard deviations

    With L_k the lower Cholesky factor of expert k's inverse covariance, C^-1 = L L', L = sum_k pi_k L_k, and pi on the
    simplex maximises the Gaussian likelihood of the last rows, each under forecasts made before it: a concave problem
    (Johansson, Ogut, Pelger, Schmelzer, Boyd 2023). Zero means.

    Needs more rows than drivers and refuses NaN. `partial_fit` on new rows equals `fit` on all of them; `path` gives
    every row's covariance at once. Learns `risk_` and `weights_` (by expert, "21/63").

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> risk = oh.risk.CombinedEwmaRisk().fit(moves).risk_
    >>> bool(abs(risk.volatility()["A"] / 0.0112 - 1) < 0.2)
    True
    """

    def __init__(
        self,
        halflives: tuple[tuple[float, float], ...] = ((10, 21), (21, 63), (63, 125), (125, 250), (250, 500)),
        lookback: int = 10,
        clip: float = 4.2,
    ) -> None:
        self.halflives = halflives
        self.lookback = lookback
        self.clip = clip

    def path(self, moves: Moves, start: int) -> np.ndarray:
        """Covariances known after each row from `start` on, (T - start) x D x D, as `fit` on rows up to it gives."""
        values, _ = self._read(moves)
        walker = clone(self).fit(values[:start])
        found = []
        for first in range(start, len(values), _CHUNK):
            factors = walker._advance(values[first : first + _CHUNK])
            inverse = np.linalg.inv(np.einsum("tk,tkde->tde", walker._weights(len(factors)), factors))
            found.append(np.swapaxes(inverse, 1, 2) @ inverse)
            walker._forget()
        return np.concatenate(found)

    def _update(self, moves: Moves, *, fresh: bool) -> Self:
        if np.ndim(self.halflives) != 2 or not (np.array(self.halflives) > 0).all() or self.lookback < 1:
            raise SpecError(f"CombinedEwmaRisk: halflives are {self.halflives!r}, lookback {self.lookback}; give pairs "
                            "of positive half-lives, and at least one row")  # fmt: skip
        values, drivers = self._read(moves, reset=fresh, minimum=2 if fresh else 1)
        if fresh:
            self._start(len(self.halflives), values.shape[1])
        if self._count + len(values) <= len(drivers):
            raise MovesError(
                f"moves: {self._count + len(values)} rows for {len(drivers)} drivers; CombinedEwmaRisk needs more rows "
                "than drivers, FactorRisk does not"
            )
        still = ~(values != 0).any(axis=0) & (self._squares == 0).any(axis=0)
        if still.any():
            raise MovesError(f"moves: driver {drivers[still][0]} never moves; leave it out, or use FactorRisk")
        quiet = max(0, len(values) - self.lookback - 1)
        quiet = max(quiet, min(len(values) - 1, len(drivers) - self._count))
        self._add(values[:quiet])
        factors = self._advance(values[quiet:])[-1]
        weights = self._weights(1)[0]
        self._forget()
        names = [f"{volatility:g}/{correlation:g}" for volatility, correlation in self.halflives]
        self.weights_ = pd.Series(weights, index=names, name="weight")
        root = np.linalg.inv(np.tensordot(weights, factors, axes=1))
        self.risk_ = Risk(root, np.zeros(len(drivers)), drivers, periods_per_year(moves))
        return self

    def _start(self, experts: int, dimension: int) -> None:
        self._count, self._last = 0, None
        self._squares, self._mass = np.zeros((experts, dimension)), np.zeros((experts, dimension))
        self._products = np.zeros((experts, dimension, dimension))
        self._diagonals = np.zeros((0, experts, dimension))
        self._projected = np.zeros((0, experts, dimension))

    def _standardise(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Running volatilities and clipped standardised moves, experts x T x D."""
        paths = []
        for expert, (halflife, _) in enumerate(self.halflives):
            squares, mass, path = decayed_sums(values, halflife, self._squares[expert], self._mass[expert])
            self._squares[expert], self._mass[expert] = squares, mass
            paths.append(path)
        path = np.array(paths)
        standard = np.divide(values, path, out=np.zeros_like(path), where=path > 0)
        return path, np.clip(standard, -self.clip, self.clip)

    def _add(self, values: np.ndarray) -> None:
        """Take in rows after which no covariance is wanted."""
        if not len(values):
            return
        _, standard = self._standardise(values)
        memory = np.array(self.halflives)[:, 1, None, None]
        aged = standard * 0.5 ** (np.arange(len(values))[::-1, None] / memory)
        self._products = 0.5 ** (len(values) / memory) * self._products + np.swapaxes(standard, 1, 2) @ aged
        self._count, self._last = self._count + len(values), None

    def _advance(self, values: np.ndarray) -> np.ndarray:
        """Take in rows one by one: the experts' precision factors after each, T x K x D x D; remember how they did."""
        path, standard = self._standardise(values)
        decay = 0.5 ** (1 / np.array(self.halflives)[:, 1, None, None])
        products = np.empty((len(values), *self._products.shape))
        for row in range(len(values)):
            self._products = decay * self._products + standard[:, row, :, None] * standard[:, row, None, :]
            products[row] = self._products
        factors = precision_factors(products, np.swapaxes(path, 0, 1))
        known = factors[:-1] if self._last is None else np.concatenate([self._last[None], factors[:-1]])
        judged = values[len(values) - len(known) :]
        self._diagonals = np.concatenate([self._diagonals, np.diagonal(known, axis1=2, axis2=3)])
        self._projected = np.concatenate([self._projected, np.einsum("td,tkde->tke", judged, known)])
        self._count, self._last = self._count + len(values), factors[-1]
        return factors

    def _weights(self, rows: int) -> np.ndarray:
        """Weights of the experts after each of the last rows (rows x K), equal where none has been judged."""
        found = np.full((rows, len(self.halflives)), 1 / len(self.halflives))
        for row in range(rows):
            end = len(self._diagonals) - rows + row + 1
            if end > 0:
                window = slice(max(0, end - self.lookback), end)
                found[row] = likeliest_weights(self._diagonals[window], self._projected[window])
        return found

    def _forget(self) -> None:
        self._diagonals, self._projected = self._diagonals[-self.lookback :], self._projected[-self.lookback :]


def precision_factors(products: np.ndarray, volatility: np.ndarray) -> np.ndarray:
    """Lower Cholesky factors of inverse covariances, ... x D x D.

    products: sums of standardised moves' products, ... x D x D; volatility: ... x D.
    With J the reversal of the order, C~ C~' = J C J gives C^-1 = (J C~^-T J)(J C~^-T J)', a lower triangular factor.
    Raises MovesError where C is singular.
    """
    scale = volatility / np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    covariance = products * scale[..., :, None] * scale[..., None, :]
    try:
        flipped = np.linalg.cholesky(covariance[..., ::-1, ::-1])
    except np.linalg.LinAlgError as error:
        raise MovesError(
            "moves: some driver is an exact combination of others, or rows are too few for the half-lives; "
            "leave it out, or use FactorRisk"
        ) from error
    return np.swapaxes(np.linalg.inv(flipped), -1, -2)[..., ::-1, ::-1]


def likeliest_weights(diagonals: np.ndarray, projected: np.ndarray) -> np.ndarray:
    """Weights p on the simplex that maximise sum log(diagonals p) - |projected p|^2 / 2 (both rows x K x D).

    Primal-dual interior point.
    """
    experts = diagonals.shape[1]
    logs = np.swapaxes(diagonals, 1, 2).reshape(-1, experts)
    logs = logs / logs.mean(axis=1, keepdims=True)
    moves = np.swapaxes(projected, 1, 2).reshape(-1, experts)
    count = len(logs)
    quadratic = moves.T @ moves / count
    weights, duals = np.full(experts, 1 / experts), np.ones(experts)
    system = np.ones((experts + 1, experts + 1))
    system[-1, -1] = 0.0
    for _ in range(_NEWTON_STEPS):
        shares = logs / (logs @ weights)[:, None]
        gradient = quadratic @ weights - shares.sum(axis=0) / count
        gap = duals @ weights / experts
        system[:-1, :-1] = quadratic + shares.T @ shares / count + np.diag(duals / weights)
        step = np.linalg.solve(system, np.append(0.1 * gap / weights - gradient, 1 - weights.sum()))[:-1]
        dual_step = (0.1 * gap - duals * step) / weights - duals
        fall = max((-step / weights).max(), (-dual_step / duals).max(), 0.0)
        length = min(1.0, 0.99 / fall) if fall > 0 else 1.0
        weights, duals = weights + length * step, duals + length * dual_step
        if gap < _GAP and np.abs(step).max() < _STEP:
            break
    weights = np.maximum(weights, 0.0)
    return weights / weights.sum()
