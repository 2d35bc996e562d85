"""The walk of speed.py as skfolio states it: run by an interpreter that has it, on the arrays that it wrote.

    python benchmarks/peer_skfolio.py FILE.npz SOLVER DAYS

Prints one JSON line: CPU seconds of the daily fits and of drifting, days. Utility of variance with costs of trading,
weights that sum to zero, the risk given as its root (nothing is estimated); no accounts, no costs booked.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
from skfolio.optimization import MeanRisk, ObjectiveFunction
from skfolio.prior import BasePrior, FactorModel, ReturnDistribution

warnings.filterwarnings("ignore")


class Given(BasePrior):
    """A factor risk from outside: root (k x n) and specific deviations (n), per period."""

    def __init__(self, root: np.ndarray | None = None, specific: np.ndarray | None = None) -> None:
        self.root, self.specific = root, specific

    def fit(self, X: np.ndarray, y: object = None, **_: object) -> "Given":
        k, n = self.root.shape
        factors = FactorModel(
            observations=np.arange(len(X)).astype(str), asset_names=np.arange(n).astype(str),
            factor_names=np.arange(k).astype(str), factor_families=None, loading_matrix=self.root.T, exposures=None,
            factor_covariance=np.eye(k), factor_mu=np.zeros(k), factor_returns=None, idio_mu=None, idio_returns=None,
            idio_covariance=self.specific**2, idio_variances=None,
        )  # fmt: skip
        covariance = self.root.T @ self.root + np.diag(self.specific**2)
        self.return_distribution_ = ReturnDistribution(
            mu=np.zeros(n), covariance=covariance, returns=np.asarray(X), factor_model=factors
        )
        return self


def main(path: str, solver: str, days: int) -> None:
    data = np.load(path)
    first, prices = int(data["first"]), data["prices"]
    held = data["book"] * prices[first]
    size = np.abs(held).sum()
    given = Given(data["root"], data["specific"])
    returns = prices[first - 252 : first] / prices[first - 253 : first - 1] - 1
    began = time.process_time()
    for day in range(first, first + days):
        model = MeanRisk(
            objective_function=ObjectiveFunction.MAXIMIZE_UTILITY, risk_aversion=float(data["relative"]) / 2,
            prior_estimator=given, budget=0.0, min_weights=-1.0, max_weights=1.0, solver=solver,
            transaction_costs=float(data["cost"]), previous_weights=held / size,
        )  # fmt: skip
        model.fit(returns)
        held = model.weights_ * size * prices[day + 1] / prices[day]
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "days": days, "solver": solver, "version": version("skfolio")}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
