"""Bands that costs decide: Whalley and Wilmott's for a delta hedge, and the no-trade region of the model itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optihedge.hedge.bands import whalley_wilmott_band
from optihedge.program.no_trade import NoTradeRegion
from optihedge.program.program import row_violations
from optihedge.step.policies.base import Decision, Memory, View, number, told

_BROKEN = 1e-9  # of a limit's scale


@dataclass(frozen=True)
class WhalleyWilmott:
    """Act where the delta of an underlying is outside (3/2 k S gamma^2 / aversion)^(1/3) units about zero.

    aversion   1 / base currency;  k   one-way cost of the cheapest contract without an option, fraction of notional
    Whalley and Wilmott, Mathematical Finance 1997. gamma is the whole book's, by underlying.

    >>> import optihedge as oh
    >>> oh.policy.WhalleyWilmott(aversion=1e-5).aversion
    1e-05
    """

    aversion: float

    def __post_init__(self) -> None:
        number(self, "aversion", self.aversion, above=True)

    def decide(self, view: View, memory: Memory) -> Decision:
        """Which underlyings are outside."""
        width = self.widths(view)
        away = view.exposure("delta", "underlying").reindex(width.index, fill_value=0.0)
        out = away[away.abs() >= width]
        if len(out):
            return Decision(True, f"delta outside its band: {told(out)}")
        return Decision(False, f"delta within its band: {told(away)} of {told(width)}")

    def widths(self, view: View) -> pd.Series:
        """Half-width of the cash delta by underlying, base currency."""
        market = view.market
        gamma = view.exposure("gamma", "underlying")  # change of cash delta for +1 %
        cost = market.trade_cost.min(axis=1) + market.fees
        plain = ~market.contracts.option & (market.notional.to_numpy() > 0) & cost.notna().to_numpy()
        share = (cost / market.notional).where(plain)
        one_way = share.groupby(market.instruments["underlying"].to_numpy()).min().reindex(gamma.index)
        gamma = gamma[one_way.notna()]
        # In money: width S = (3/2 k (gamma S^2)^2 / (aversion ... )): with unit spot, gamma in cash per unit return
        units = whalley_wilmott_band(1.0, 100 * gamma.to_numpy(), one_way.dropna().to_numpy(), self.aversion)
        return pd.Series(np.asarray(units), gamma.index)


@dataclass(frozen=True)
class CostBenefit:
    """Act where a trade pays for itself under the model, or a hard limit is broken: outside its no-trade region.

    times   trading costs count so often: above 1 the policy waits longer than the model would

    >>> import optihedge as oh
    >>> oh.policy.CostBenefit(times=1.5).times
    1.5
    """

    times: float = 1.0

    def __post_init__(self) -> None:
        number(self, "times", self.times, above=True)

    def decide(self, view: View, memory: Memory) -> Decision:
        """Worth it, broken, or neither."""
        program = view.problem.program
        start = np.clip(program.start, program.lower, program.upper)
        over = row_violations(program, program.start)
        scale = np.maximum(np.abs(program.rows) @ np.abs(program.start), 1.0)
        broken = [n for n, v, s in zip(program.row_names, over, scale, strict=True) if v > _BROKEN * s]
        if broken or (np.abs(start - program.start) > 0).any():
            return Decision(True, f"limit broken: {', '.join(broken[:3]) or 'a position limit'}")
        dearer = replace(program, buy=self.times * program.buy, sell=self.times * program.sell)
        if not NoTradeRegion(dearer).contains(program.start):
            return Decision(True, "a trade pays for itself")
        return Decision(False, "no trade pays for itself")
