"""What one more contract in the book would cost or save, hedged as the book is; how long it takes to be rid of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import nearest
from optihedge.hedge.costs import expected_impact
from optihedge.hedge.problem import Problem
from optihedge.hedge.spec import HedgeSpec
from optihedge.hedge.terms.objective import Variance
from optihedge.market.costs import trading_costs
from optihedge.market.snapshot import Market
from optihedge.program.program import objective
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.root import Risk

Array = np.ndarray
_STEPS = 48  # of a liquidation, in which positions fall in straight lines


def marginal(
    model: HedgeSpec, market: Market, risk: Risk | ContractRisk | None, problem: Problem, contract: str, size: float
) -> pd.Series:
    """What the book hedged with `size` more of a contract (contracts, negative: sold) is worse than without it.

    charge      of the objective, base currency: what to ask for taking it on; below 0 it saves. With aversions and
                prices as they are for the present book
    each        charge / |size|: a bid is lowered by that of a purchase, an ask raised by that of a sale
    cost        told trading and holding cost of the whole list, base currency;  volatility  of the book, a day

    Raises SpecError for a contract the market does not have or a size that is not a finite number other than 0.
    """
    if contract not in market.names:
        raise SpecError(f"{contract} is no instrument of this market{nearest(contract, market.names)}; name one")
    if not np.isfinite(size) or size == 0:
        raise SpecError(f"size is {size!r}; give contracts, a finite number other than 0")
    same = replace(model, risk=risk, betas=None, objective=tuple(
        replace(term, aversion=term.at(problem.size), relative=None) if isinstance(term, Variance) else term
        for term in model.objective
    ))  # fmt: skip
    before = pd.Series(problem.start, index=problem.names)
    book = before[before != 0]
    now, more = (
        same.hedge(market, held)  # type: ignore[attr-defined]
        for held in (book, book.add(pd.Series({contract: float(size)}), fill_value=0.0))
    )
    charge = objective(more.program, more.h) - objective(now.program, now.h)
    day = [one.risk.loc["volatility", "after"] if len(one.risk) else np.nan for one in (now, more)]
    told = {"charge": charge, "each": charge / abs(size), "cost": more.costs["total"] - now.costs["total"],
            "volatility": day[1] - day[0]}  # fmt: skip
    return pd.Series(told, name=f"{size:+.10g} {contract}")


def liquidity(
    market: Market, problem: Problem, after: Array, share: float | Mapping[str, float], confidence: float
) -> pd.DataFrame:
    """How long quantities `after` (N contracts in play) take to close, and what may be lost till then.

    By contract, and `book`:

    days       |quantity| / (share x daily volume): a straight line to nothing; NaN without a volume
    cost       spread, fees, depth and impact of closing it, base currency
    risk       standard deviation of P&L while closing, base currency: of a day's x (days / 3)^(1/2) for one contract
    lvar       cost + normal quantile x risk, base currency: Almgren and Chriss (2001)

    share      of the daily volume that closing may be, above 0 and at most 1; a number, or instrument type -> number
               (others 0.1)
    confidence of the loss, between 0 and 1

    The book's is of all lines closed at once, each at its own pace; lines without a volume are held all the time the
    longest takes. Raises DataError without a risk, SpecError for a share or confidence out of range.
    """
    if problem.variance is None:
        raise DataError("liquidity needs a risk; give the hedging model one")
    for given in share.values() if isinstance(share, Mapping) else (share,):
        if not 0 < given <= 1:
            raise SpecError(f"liquidity: share is {given!r}; give a share of the daily volume above 0 and at most 1")
    if not 0 < confidence < 1:
        raise SpecError(f"liquidity: confidence is {confidence!r}; give a number between 0 and 1, such as 0.99")
    names = problem.names
    kinds = market.instruments.loc[names, "type"]
    part = kinds.map(share).fillna(0.1).to_numpy(float) if isinstance(share, Mapping) else float(share)
    volume = market.quotes.loc[names, "volume"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        days = np.where(after == 0, 0.0, np.abs(after) / (part * volume))
    days = np.where(np.isinf(days), np.nan, days)
    cost = trading_costs(market, pd.Series(-after, index=names)).sum(axis=1, skipna=False).to_numpy(float)
    cost = cost + expected_impact(market, problem).trading(-after)
    daily, horizon = problem.variance.alone() / np.sqrt(problem.days), np.nanmax(days, initial=0.0)
    risk = np.abs(after) * daily * np.sqrt(days / 3)
    left = 1 - np.divide((np.arange(_STEPS) + 0.5)[:, None] / _STEPS * horizon, np.where(days > 0, days, np.inf))
    held = np.where(np.isnan(days), 1.0, np.maximum(left, 0.0)) * after
    path = np.array([problem.variance.volatility(q) for q in held]) / np.sqrt(problem.days)
    whole = float(np.sqrt((path**2).mean() * horizon))
    table = pd.DataFrame({"days": days, "cost": cost, "risk": risk}, index=names)[after != 0]
    table.loc["book"] = [horizon, float(np.nansum(cost)), whole]
    table["lvar"] = table["cost"] + NormalDist().inv_cdf(confidence) * table["risk"]
    return table.rename_axis("instrument")
