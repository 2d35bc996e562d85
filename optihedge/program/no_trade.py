"""The no-trade region that linear costs imply: the quantities from which no trade of any contract pays for itself.

At quantities h the marginal risk of contract i is (F'(F h + f) + S'(S h + s) + d h + g)_i, base currency a contract. To
buy pays where it is below -buy_i, to sell where it is above sell_i; between the two for every contract, a polytope in
h, doing nothing is optimal. A trade from outside ends on its edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.program.aversion import at_answer
from optihedge.program.program import Program, risk_gradient

Array = np.ndarray
_ON_EDGE = 1e-9  # of the costs and the marginal risk


@dataclass(frozen=True, eq=False)
class NoTradeRegion:
    """-buy <= marginal(h) <= sell for all n columns of a Program; rows, boxes and holding costs are left out.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-9.0, -9.0], upper=[9.0, 9.0], buy=[1.0, 2.0],
    ...                      sell=[1.0, 2.0], row_names=("sum",), rows=[[1.0, 1.0]], row_lower=[3.0])
    >>> region = oh.policy.NoTradeRegion(program)
    >>> region.contains(program.start)
    True
    """

    program: Program

    def marginal(self, h: Array) -> Array:
        """What one more contract adds to the risk term and the linear objective at quantities h (n), base currency."""
        return risk_gradient(self.program, h) + self.program.linear

    def contains(self, h: Array) -> bool:
        """Whether no trade pays from quantities h (n)."""
        marginal = self.marginal(h)
        slack = _ON_EDGE * (np.abs(marginal) + np.abs(self.program.buy) + np.abs(self.program.sell))
        return bool(((marginal >= -self.program.buy - slack) & (marginal <= self.program.sell + slack)).all())

    def edges(self, h: Array) -> pd.DataFrame:
        """Per column: marginal risk, buy and sell cost, and the quantities (lower, upper) it could have untraded.

        The last two hold all other columns at h; infinite for a contract without risk. Under a price of volatility
        they are those of the equivalent aversion at h; where no volatility is left, h itself of what costs less to
        trade back than to hold.
        """
        p = at_answer(self.program, h)
        marginal = self.marginal(h)
        with np.errstate(divide="ignore", invalid="ignore"):
            lower = np.where(p.curvature > 0, h + (-p.buy - marginal) / p.curvature, -np.inf)
            upper = np.where(p.curvature > 0, h + (p.sell - marginal) / p.curvature, np.inf)
        v = self.program.volatility_price
        if v is not None and not v.volatility(h) > 0:
            held = v.price * v.each
            lower, upper = np.where(held > p.buy, h, lower), np.where(held > p.sell, h, upper)
        columns = {"marginal": marginal, "buy": p.buy, "sell": p.sell, "lower": lower, "upper": upper}
        return pd.DataFrame(columns, index=pd.Index(p.columns, name="contract"))
