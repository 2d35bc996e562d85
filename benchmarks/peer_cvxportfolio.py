"""The walk of walk.py as cvxportfolio states it: run by an interpreter that has it, on the arrays that walk.py wrote.

    python benchmarks/peer_cvxportfolio.py FILE.npz SOLVER[@TOLERANCE] DAYS

Prints one JSON line: CPU seconds of the simulation, days, what was gained after costs. Variance by the same factors,
the same cost of trading and dollar neutrality; forecasts are given, so that nothing is estimated.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version

import cvxportfolio as cvx
import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")


def main(path: str, solver: str, days: int) -> None:
    data = np.load(path)
    names = [f"S{i:04d}" for i in range(data["prices"].shape[1])]
    index = pd.DatetimeIndex(data["times"]).tz_localize("UTC")
    prices = pd.DataFrame(data["prices"], index, names)
    returns = prices.pct_change().shift(-1).iloc[:-1].assign(cash=0.0)
    first = int(data["first"])
    market = cvx.UserProvidedMarketData(
        returns=returns, volumes=pd.DataFrame(data["volume"] * prices.iloc[:-1]), prices=prices.iloc[:-1],
        cash_key="cash", min_history=pd.Timedelta("1D"),
    )  # fmt: skip
    cost = lambda: cvx.TransactionCost(a=float(data["cost"]), b=None)  # noqa: E731  one a use: each is fitted
    held = data["book"] * data["prices"][first]
    cash = float(data["capital"]) - held.sum()  # worth the capital, which the aversion is relative to
    exposures = pd.DataFrame(data["root"], columns=names)
    risk = cvx.FactorModelCovariance(
        F=exposures, Sigma_F=pd.DataFrame(np.eye(len(exposures))), d=pd.Series(data["specific"] ** 2, names)
    )
    name, _, tolerance = solver.partition("@")  # a tolerance as OSQP names it
    exact = {"eps_abs": float(tolerance), "eps_rel": float(tolerance), "max_iter": 100_000} if tolerance else {}
    policy = cvx.SinglePeriodOptimization(
        cvx.ReturnsForecast(pd.Series(0.0, names)) - float(data["relative"]) / 2 * risk - cost(),
        [cvx.DollarNeutral()],
        solver=name, ignore_dpp=False, include_cash_return=False, fallback_solver=None, **exact,
    )  # fmt: skip
    simulator = cvx.MarketSimulator(market_data=market, costs=[cost()], round_trades=False)
    start = pd.Series([*held, cash], [*names, "cash"])
    began = time.process_time()
    result = simulator.backtest(policy, start_time=index[first], end_time=index[first + days], h=start)
    seconds = time.process_time() - began
    print(json.dumps({
        "seconds": seconds, "days": len(result.v) - 1, "gained": float(result.v.iloc[-1] - start.sum()),
        "solver": solver, "version": version("cvxportfolio"),
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
