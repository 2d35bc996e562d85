"""The walk of speed.py as PyPortfolioOpt states it: run by an interpreter that has it, on the arrays that it wrote.

    python benchmarks/peer_pyportfolioopt.py FILE.npz SOLVER DAYS

Prints one JSON line: CPU seconds of the daily optimisations and of drifting, days. An objective in factor form (the
n x n covariance is slower), its transaction cost, weights that sum to zero; no accounts, no costs booked.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version

import cvxpy as cp
import numpy as np
from pypfopt import EfficientFrontier, objective_functions

warnings.filterwarnings("ignore")


def main(path: str, solver: str, days: int) -> None:
    data = np.load(path)
    first, prices, relative = int(data["first"]), data["prices"], float(data["relative"])
    held = data["book"] * prices[first]
    size, n = np.abs(held).sum(), prices.shape[1]
    root, specific = data["root"], data["specific"]

    def risk(weights: cp.Variable) -> cp.Expression:
        return relative / 2 * (cp.sum_squares(root @ weights) + cp.sum_squares(cp.multiply(specific, weights)))

    began = time.process_time()
    for day in range(first, first + days):
        weights = held / size
        frontier = EfficientFrontier(np.zeros(n), np.eye(n), weight_bounds=(-1, 1), solver=solver)
        frontier.add_objective(objective_functions.transaction_cost, w_prev=weights, k=float(data["cost"]))
        frontier.add_constraint(lambda w: cp.sum(w) == 0)
        frontier.convex_objective(risk, weights_sum_to_one=False)
        held = frontier.weights * size * prices[day + 1] / prices[day]
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "days": days, "solver": solver, "version": version("pyportfolioopt")}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
