"""Say why a hedge is what it is: what each binding limit costs, and where its risk and cost come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optihedge.display.numbers import number
from optihedge.hedge.result import Hedge
from optihedge.hedge.variance import VarianceForm, variance_by_contract
from optihedge.program.duality import bound_prices
from optihedge.program.program import objective

Array = np.ndarray
_DUST = 1e-9  # of a limit: a smaller miss is rounding
_BINDING = 1e-6  # of the largest price x size: cheaper limits are not worth a sentence
_NAMED = 3  # largest parts that a sentence names
_BOUNDS = 5  # contracts at their limits that get a sentence


@dataclass(frozen=True, eq=False)
class Shares:
    """Parts of a hedge's risk and cost. The rows of each frame sum to the whole (Euler's theorem).

    contract, underlying  volatility over the horizon and cost, base currency; each is the part that would go if the
                          position shrank by a little, relative to its size; negative parts hedge the others
    factor                volatility over the horizon by factor (named by what loads on it most), drivers' specific,
                          contracts' own, gamma
    term                  the objective by term, base currency; `risk` is the part of every risk term
    """

    contract: pd.DataFrame
    underlying: pd.DataFrame
    factor: pd.DataFrame
    term: pd.DataFrame


def variance_by_factor(form: VarianceForm, quantities: Array) -> pd.Series:
    """Variance of each factor (in the risk's order) or source, and of what is no factor; they sum to the variance."""
    if form.sources is not None:
        return pd.Series(form.parts(quantities), dtype=float).rename("variance")
    squares = (form.factors @ quantities) ** 2
    parts = form.parts(quantities)
    names = [f"factor {j + 1}" for j in range(len(squares))]
    rest = {name: parts[name] for name in ("specific", "own risk", "gamma")}
    return pd.concat([pd.Series(squares, index=names, dtype=float), pd.Series(rest)]).rename("variance")


def _as_volatility(variance: Array | pd.Series) -> Array | pd.Series:
    """Parts of a variance as parts of its square root."""
    total = float(np.sum(variance))
    return variance / np.sqrt(total) if total > 0 else variance * 0.0


def shares(hedge: Hedge) -> Shares:
    """Risk and cost of the hedged book by contract, underlying, factor and term.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> found = oh.shares(oh.load_model("beta_hedge").hedge(market, book))
    >>> list(found.contract.columns)
    ['volatility', 'cost']
    """
    problem, quantities = hedge.problem, hedge.after.to_numpy()
    form = problem.variance
    costs = hedge.told_costs.sum(axis=1)
    if form is None:
        volatility, by_factor = np.zeros(len(quantities)), pd.Series(dtype=float)
    else:
        volatility = _as_volatility(variance_by_contract(form, quantities))
        named = variance_by_factor(form, quantities).rename(index=factor_names(hedge))
        by_factor = pd.Series(_as_volatility(named), named.index)
    contract = pd.DataFrame({"volatility": volatility, "cost": costs}, index=problem.names)
    labels = hedge.market.instruments["underlying"].to_numpy()[problem.positions]
    underlying = contract.groupby(pd.Index(labels, name="underlying"), sort=True).sum()
    terms = hedge.charges.drop("total")
    terms["risk"] = objective(hedge.program, hedge.h) - hedge.charges["total"]
    return Shares(
        contract, underlying, by_factor.rename("volatility").rename_axis("factor").to_frame(),
        terms.rename("objective").rename_axis("term").to_frame(),
    )  # fmt: skip


def factor_names(hedge: Hedge) -> dict[str, str]:
    """Each factor of the risk (`factor 1`, ...) by what rises with it against what falls: sectors where the
    instruments' column `sector` says those of most drivers, else the drivers with the largest loadings."""
    root, drivers = getattr(hedge.risk_model, "root", None), getattr(hedge.risk_model, "drivers", None)
    if root is None or drivers is None:
        return {}
    every = pd.DataFrame(np.asarray(root, dtype=float), columns=drivers)
    table = hedge.market.instruments
    sector = table["sector"].reindex(drivers).fillna("").astype(str) if "sector" in table else pd.Series("", drivers)
    kept = (sector != "").to_numpy()
    grouped = every.loc[:, kept].T.groupby(sector[kept].to_numpy()).mean().T
    told = (every.loc[:, kept] ** 2).sum(axis=1) > 0.5 * (every**2).sum(axis=1)
    if kept.mean() <= 0.5 or grouped.shape[1] < 2:
        told[:] = False
    found: dict[str, str] = {}
    for j, of_sectors in enumerate(told):
        rows = grouped if of_sectors else every
        name = _two_sides(rows.iloc[j].to_numpy(), rows.columns)
        again = sum(known == name or known.startswith(f"{name} (") for known in found.values())
        found[f"factor {j + 1}"] = f"{name} ({again + 1})" if again else name
    return found


def _two_sides(row: Array, names: pd.Index) -> str:
    """What rises against what falls, of the largest; where nothing falls, they are together."""
    order = np.argsort(-np.abs(row), kind="stable")[:_NAMED]
    up, down = ([str(names[i]) for i in order if sign * row[i] > 0] for sign in (1, -1))
    if len(row) > _NAMED and bool(up) != bool(down) and (np.all(row >= 0) or np.all(row <= 0)):
        return ", ".join(up or down) + (" together" if len(up or down) > 1 else "")
    return " against ".join(", ".join(side) for side in (up, down) if side) or "nothing"


def limit_sentences(limits: pd.DataFrame, currency: str) -> list[str]:
    """What relaxing each binding limit by one unit would save, dearest first. Columns as in `Hedge.limits`."""
    price = limits["shadow_price"].fillna(0.0)
    weight = price.abs() * limits["after"].abs().clip(lower=1.0)
    binding = limits[weight > _BINDING * weight.max()] if len(limits) else limits
    return [
        _limit_sentence(row, float(price[row.Index]), currency)
        for row in binding.loc[weight[binding.index].sort_values(ascending=False).index].itertuples()
    ]


def _limit_sentence(row: Any, price: float, currency: str) -> str:
    unit = f" ({row.unit})" if row.unit else ""
    worth = f"saves {abs(price):,.4g} {currency}"
    missed = f"; it is missed by {number(row.violation, 4)}"
    if row.lower == row.upper:
        way = "down" if price > 0 else "up"
        text = f"{row.Index} is held at {number(row.after)}: its target one unit{unit} further {way} {worth}"
        return text + missed if row.violation > _DUST * max(abs(row.after), abs(row.upper)) else text
    side, limit = ("upper", row.upper) if price < 0 else ("lower", row.lower)
    text = f"{row.Index} is at its {side} limit {number(limit)}: one unit{unit} wider {worth}"
    if row.violation > _DUST * abs(limit):
        return text + missed
    return text + (f", a tenth wider at most {abs(price * limit) / 10:,.4g}" if limit else "")


def bound_sentences(hedge: Hedge) -> list[str]:
    """What one contract more would save where a position or trade limit binds, dearest limit first."""
    p, problem, currency = hedge.program, hedge.problem, hedge.market.base_currency
    price = bound_prices(p, hedge.h, hedge.multipliers, hedge.limit_multiplier, hedge.answer.pull)
    price = np.where((price < 0) & problem.default_upper | (price > 0) & problem.default_lower, 0.0, price)
    price[problem.columns.traded :] = 0.0  # auxiliaries are nobody's limit
    weight = np.abs(price) * (p.upper - p.lower)
    dear = [i for i in np.argsort(-weight, kind="stable") if weight[i] > _BINDING * hedge.certificate.scale]
    words = {True: ("largest", "more"), False: ("smallest", "less")}
    return [
        f"{p.columns[i]} is at its {words[price[i] < 0][0]} quantity {number(hedge.h[i])}: each contract "
        f"{words[price[i] < 0][1]} saves {abs(price[i]):,.4g} {currency}"
        for i in dear[:_BOUNDS]
    ]


def share_sentences(parts: Shares, currency: str) -> list[str]:
    """The largest parts of risk and of cost, by underlying and by factor."""
    sentences = []
    for title, part in (("underlying", parts.underlying["volatility"]), ("factor", parts.factor["volatility"])):
        total = float(part.sum())
        if total > 0:
            text = f"of a volatility of {number(total)} {currency} over the horizon, by {title}"
            sentences.append(f"{text}: {_largest(part)}")
    cost = parts.contract["cost"]
    if cost.abs().sum() > 0:
        sentences.append(f"of a cost of {number(float(cost.sum()))} {currency}, by contract: {_largest(cost)}")
    return sentences


def _largest(part: pd.Series) -> str:
    total = float(part.sum()) or 1.0
    named = part.loc[part.abs().sort_values(ascending=False, kind="stable").index[:_NAMED]]
    return ", ".join(f"{name} {value / total:+.0%}" for name, value in named.items() if value != 0)


def explain(hedge: Hedge) -> list[str]:
    """Sentences: what relaxing each binding limit would save, then where the remaining risk and the cost come from.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> sentences = oh.explain(oh.load_model("beta_hedge").hedge(market, book))
    >>> sentences[0].startswith("beta:SPX is at its lower limit")
    True
    """
    currency = hedge.market.base_currency
    limits = [*limit_sentences(hedge.limits, currency), *bound_sentences(hedge)]
    return [*limits, *share_sentences(shares(hedge), currency)]
