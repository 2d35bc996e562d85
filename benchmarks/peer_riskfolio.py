"""The walk of speed.py as near as Riskfolio-Lib states it: run by an interpreter that has it, on the arrays it wrote.

    python benchmarks/peer_riskfolio.py FILE.npz SOLVER DAYS

Prints one JSON line: CPU seconds of the daily optimisations and of drifting, days. It has no linear cost of trading: a
bound on turnover stands for it; and no sum of zero: weights sum to one with shorts. The covariance is given.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd
import riskfolio

warnings.filterwarnings("ignore")


def main(path: str, solver: str, days: int) -> None:
    data = np.load(path)
    first, prices = int(data["first"]), data["prices"]
    names = [f"S{i:04d}" for i in range(prices.shape[1])]
    held = data["book"] * prices[first]
    weights = held / np.abs(held).sum()
    weights += (1 - weights.sum()) / len(weights)
    covariance = pd.DataFrame(data["root"].T @ data["root"] + np.diag(data["specific"] ** 2), names, names)
    returns = pd.DataFrame(prices[first - 252 : first] / prices[first - 253 : first - 1] - 1, columns=names)
    began = time.process_time()
    for day in range(first, first + days):
        port = riskfolio.Portfolio(returns=returns, sht=True, uppersht=1.0, upperlng=2.0, budget=1.0)
        port.mu, port.cov, port.solvers = pd.DataFrame(np.zeros((1, len(names))), columns=names), covariance, [solver]
        port.allowTO, port.turnover = True, 0.05
        port.benchweights = pd.DataFrame(weights[:, None], names, ["weights"])
        found = port.optimization(model="Classic", rm="MV", obj="Utility", rf=0, l=float(data["relative"]) / 2)
        if found is None:
            sys.exit(f"{solver}: no answer")
        weights = found["weights"].to_numpy() * prices[day + 1] / prices[day]
        weights /= weights.sum()
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "days": days, "solver": solver, "version": version("riskfolio-lib")}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
