"""Hedge: what was decided and why it should be believed; every figure recomputed from the market and the quantities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from optihedge.hedge.baselines import baselines, why_no_trade
from optihedge.hedge.problem import Problem
from optihedge.hedge.rolls import roll_plan
from optihedge.hedge.terms.objective import Variance
from optihedge.market.snapshot import Market
from optihedge.program.certificate import Certificate
from optihedge.program.program import VOLATILITY_UNIT, Program, row_values, row_violations
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.root import Risk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optihedge.hedge.model import HedgeModel

Array = np.ndarray
_MATERIAL = 0.1  # share of variance below which a hedge is noise
_ROWS = 40  # of each table that a report shows
_DUST = 1e-6  # of a lot, of the largest shadow price: what tables leave out


@dataclass(frozen=True, eq=False, kw_only=True)
class Hedge:
    """A hedged book. Frames run over the N contracts in play (held or tradable); money in base currency.

    model, market      what was asked, betas included in the market's exposures
    risk_model         the Risk that was fitted, or None
    problem            the Program and the way from its columns back to contracts
    h, multipliers     quantities by column, multipliers by row; `limit_multiplier` of the volatility limit
    certificate        what is proved
    relaxation         limits that gave way, or None: have (the limit), need (the limit used instead), change
    """

    model: HedgeModel
    market: Market
    risk_model: Risk | ContractRisk | None
    problem: Problem
    h: Array
    multipliers: Array
    limit_multiplier: float
    certificate: Certificate
    relaxation: pd.DataFrame | None = None

    @property
    def program(self) -> Program:
        """What the solver saw."""
        return self.problem.program

    @cached_property
    def before(self) -> pd.Series:
        """Quantities before, contracts."""
        return pd.Series(self.problem.start, index=self.problem.names, name="before")

    @cached_property
    def after(self) -> pd.Series:
        """Quantities after, contracts."""
        return pd.Series(self.problem.quantities(self.h), index=self.problem.names, name="after")

    @cached_property
    def trades(self) -> pd.Series:
        """Contracts to buy (positive) or sell (negative)."""
        return (self.after - self.before).rename("trade")

    def with_quantities(self, h: Array, certificate: Certificate) -> Hedge:
        """The same request answered by other quantities (n columns): whole lots, say. Everything is recomputed."""
        return replace(self, h=np.asarray(h, dtype=float), certificate=certificate)

    @cached_property
    def limits(self) -> pd.DataFrame:
        """Every limit: before, after, target, lower, upper, violation, shadow price (see `shadow_prices`), unit, term.

        One that no tradable contract moves is listed too, as it stands. A limit that gave way is listed as it was
        given, with its violation.
        """
        p, offset = self.program, self.problem.row_offset
        live = pd.DataFrame(
            {
                "before": row_values(p, self.problem.columns(self.problem.start)) + offset,
                "after": row_values(p, self.h) + offset,
                "target": self.problem.row_targets,
                "lower": p.row_lower + offset,
                "upper": p.row_upper + offset,
                "violation": row_violations(p, self.h),
                "shadow_price": -self.multipliers,
                "unit": list(self.problem.row_units),
                "term": list(self.problem.row_terms),
            },
            index=pd.Index(p.row_names, name="limit", dtype=object),
        )
        for name, measure in self.problem.row_measures.items():
            after = measure(self.after.to_numpy())
            missed = max(after - live.loc[name, "upper"], 0.0)
            live.loc[name, ["before", "after", "violation"]] = (measure(self.problem.start), after, missed)
        live = live[p.row_tier >= 0]
        fixed = self.problem.decided
        stuck = fixed.assign(before=fixed["value"], after=fixed["value"], shadow_price=0.0)[list(live.columns)]
        parts = [part for part in (live, self._volatility_row(live.columns), stuck.rename_axis("limit")) if len(part)]
        return self._as_given(pd.concat(parts) if parts else live)

    def _as_given(self, limits: pd.DataFrame) -> pd.DataFrame:
        if self.relaxation is None:
            return limits
        moved = self.relaxation
        above = moved.index[moved["need"] > moved["have"]]
        below = moved.index.difference(above)
        limits.loc[above, "upper"], limits.loc[below, "lower"] = moved["have"][above], moved["have"][below]
        of = limits.loc[moved.index]
        beyond = np.maximum(of["lower"] - of["after"], of["after"] - of["upper"])
        limits.loc[moved.index, "violation"] = np.maximum(beyond, 0.0)
        return limits

    def _volatility_row(self, columns: pd.Index) -> pd.DataFrame:
        limit = self.program.volatility_limit
        if limit is None:
            return pd.DataFrame(columns=columns)
        after = limit.volatility(self.h)
        row = {
            "before": limit.volatility(self.problem.columns(self.problem.start)), "after": after, "target": np.nan,
            "lower": -np.inf, "upper": limit.limit, "violation": max(after - limit.limit, 0.0),
            "shadow_price": -self.limit_multiplier * limit.limit, "unit": VOLATILITY_UNIT,
            "term": limit.name,
        }  # fmt: skip
        return pd.DataFrame([row], index=pd.Index([limit.name], name="limit"))[list(columns)]

    @cached_property
    def exposures(self) -> pd.DataFrame:
        """Exposures before and after, desk units: the book's totals, then each limited exposure with its band."""
        frame = self.market.exposures
        errors = frame.columns.str.endswith("_error")
        matrix = frame.loc[:, ~errors].to_numpy(dtype=float)[self.problem.positions]
        units = frame.attrs.get("unit", {})
        totals = pd.DataFrame(
            {
                "before": self.problem.start @ matrix,
                "after": self.after.to_numpy() @ matrix,
                "target": np.nan,
                "lower": -np.inf,
                "upper": np.inf,
                "unit": [units.get(name, "") for name in frame.columns[~errors]],
            },
            index=pd.Index(frame.columns[~errors], name="exposure", dtype=object),
        )
        limited = self.limits[self.limits["target"].notna()].rename_axis("exposure")
        return pd.concat([totals.drop(index=limited.index, errors="ignore"), limited[totals.columns]])

    @cached_property
    def risk(self) -> pd.DataFrame:
        """Variance over the horizon by source (base currency squared), and volatility per day, before and after."""
        form = self.problem.variance
        if form is None:
            return pd.DataFrame(columns=["before", "after"], index=pd.Index([], name="risk"), dtype=float)
        frame = pd.DataFrame({"before": form.parts(self.problem.start), "after": form.parts(self.after.to_numpy())})
        frame.loc["variance"] = frame.sum()
        frame.loc["volatility"] = np.sqrt(frame.loc["variance"] / self.problem.days)
        frame.attrs["unit"] = "variance: base currency squared over the horizon; volatility: base currency per day"
        return frame.rename_axis("risk")

    @property
    def material(self) -> bool:
        """Whether this hedge or a baseline takes a tenth off the book's variance; True where nothing is known."""
        volatility = self.baselines["volatility"]
        alone = volatility["no trade"]
        return not alone > 0 or bool(volatility.min() ** 2 <= (1 - _MATERIAL) * alone**2)

    @cached_property
    def costs_by_contract(self) -> pd.DataFrame:
        """Cost of each contract under each term, base currency: trading it and holding it over the horizon."""
        before, after = self.problem.start, self.after.to_numpy()
        columns = {label: cost.by_contract(before, after) for label, cost in self.problem.costs.items()}
        return pd.DataFrame(columns, index=self.problem.names)

    @cached_property
    def costs(self) -> pd.Series:
        """Cost by term, base currency, and their total; soft limits' penalties included."""
        costs = self.costs_by_contract.sum()
        for label, cost in self.problem.auxiliary_costs.items():
            if cost.any():
                costs[label] = float(cost @ self.h)
        soft = np.isfinite(self.program.row_penalty)
        if soft.any():
            costs["penalties"] = float(self.program.row_penalty[soft] @ row_violations(self.program, self.h)[soft])
        costs["total"] = costs.sum()
        return costs.astype(float).rename("cost")

    @cached_property
    def rolls(self) -> pd.DataFrame:
        """Traded legs that expire before the risk they hedge, and what to roll them into: see `roll_plan`."""
        return roll_plan(self.market, self.before, self.trades[self.trades.abs() > _DUST])

    @cached_property
    def shadow_prices(self) -> pd.Series:
        """Derivative of the least objective in each limit's binding end: base currency per unit of the limit.

        At an upper limit it is the derivative in the upper end, never positive: one unit more saves its size. At a
        lower limit, in the lower end, never negative: one unit less saves its size. Where both ends are one number,
        in the target: both signs occur. So a band's price with respect to its own width is minus the size of this. A
        limit that does not bind has 0; the volatility limit's is per unit of volatility a day. Where the objective has
        a kink in the limit, a number between the derivatives on its two sides. attrs["unit"]: the unit of each limit.
        """
        prices = self.limits["shadow_price"].rename("shadow price")
        prices.attrs["unit"] = dict(self.limits["unit"])
        return prices

    @cached_property
    def baselines(self) -> pd.DataFrame:
        """Risk and cost of doing nothing, of the nearest single instrument, of a regression beta, and of this hedge."""
        return baselines(self.market, self.problem, self.after.to_numpy())

    def plot(self) -> Figure:
        """Volatility against the baselines', delta by underlying and vega by expiry, before and after."""
        from optihedge.display import plot_hedge

        table = self.market.instruments.loc[self.problem.names]
        panels = {
            "delta by underlying (P&L of +100 %)": ("delta", table["underlying"]),
            "vega by expiry (per vol point)": ("vega", table["expiry"].dt.strftime("%Y-%m-%d")),
        }
        greeks = self.market.exposures.loc[self.problem.names]
        grouped = {
            title: tuple((greeks[name] * held).groupby(group.to_numpy()).sum() for held in (self.before, self.after))
            for title, (name, group) in panels.items()
        }
        return plot_hedge(self.baselines, grouped, self.market.base_currency, self._headline()[0])

    def _headline(self) -> list[str]:
        lines = [f"Hedge {self.model.name}".rstrip() + f" as of {self.market.as_of:%Y-%m-%d %H:%M} UTC, "
                 f"in {self.market.base_currency}, horizon {self.model.horizon}"]  # fmt: skip
        if len(self.risk):
            before, after = self.risk.loc["volatility"]
            less = f" ({after / before - 1:+.1%})" if before > 0 else ""
            penalties = self.costs.get("penalties", 0.0)
            cost = f"cost {self.costs['total'] - penalties:,.6g}"
            cost += f", penalties {penalties:,.6g}" if penalties > 0 else ""
            lines.append(f"volatility per day {before:,.6g} -> {after:,.6g}{less}, {cost}")
            if not self.material:
                lines.append("nothing material to remove: no hedge here takes a tenth off the book's variance")
            for term in self.model.objective:
                if isinstance(term, Variance):
                    aversion = term.at(self.problem.size)
                    if self.problem.start.any() and not (self.trades.abs() > _DUST).any():
                        reason = why_no_trade(self.market, self.problem, self.baselines, aversion)
                        lines += [reason] if reason else []
                    horizon = float(np.sqrt(self.risk.loc["variance", "after"]))
                    lines.append(
                        f"aversion {aversion:.4g}: one unit less volatility over the horizon is worth "
                        f"{aversion * horizon:.3g} here; objective = aversion / 2 x variance + cost + carry"
                    )
        return lines

    def _tables(self) -> dict[str, pd.DataFrame]:
        lots = self.market.instruments["lot"].to_numpy(dtype=float)[self.problem.positions]
        moved = self.trades.abs() > _DUST * lots
        trades = pd.DataFrame({"before": self.before, "trade": self.trades, "after": self.after})[moved]
        size = trades["trade"].abs() * self.market.notional.reindex(trades.index)
        exposures = self.exposures
        told = exposures["target"].notna() | (exposures[["before", "after"]] != 0).any(axis=1)
        tables = {
            "trades": trades.loc[size.sort_values(ascending=False, kind="stable").index],
            "exposures": exposures[told],
            "costs": self.costs.to_frame(),
        }
        price = self.limits["shadow_price"].abs()
        binding = self.limits[(price > _DUST * price.max()) | (self.limits["violation"] > 0)]
        if len(binding):
            tables["binding limits"] = binding[["after", "lower", "upper", "violation", "shadow_price", "unit"]]
        if len(self.rolls):
            tables["to roll"] = self.rolls
        if self.relaxation is not None:
            tables["limits that gave way"] = self.relaxation
        if self.problem.variance is not None:
            tables["baselines"] = self.baselines
        return tables

    def __str__(self) -> str:
        parts = ["\n".join(self._headline())]
        for name, table in self._tables().items():
            text = _finite(table.iloc[:_ROWS]).to_string(float_format="{:,.6g}".format, na_rep="")
            parts.append(f"{name}\n{text}{_more(table)}")
        notes = "\n".join(f"note: {note}" for note in self.problem.notes)
        return "\n\n".join([part for part in (*parts, notes, str(self.certificate)) if part])

    def __repr__(self) -> str:
        return f"<Hedge {self.model.name or self.certificate.status}: {int((self.trades != 0).sum())} trades>"

    def _repr_html_(self) -> str:
        head = "".join(f"<p>{escape(line)}</p>" for line in self._headline())
        tables = ""
        for name, table in self._tables().items():
            body = _finite(table.iloc[:_ROWS]).to_html(float_format="{:,.6g}".format, na_rep="", escape=True)
            tables += f"<h4>{escape(name)}</h4>{body}{_more(table)}"
        notes = "".join(f"<p>note: {escape(note)}</p>" for note in self.problem.notes)
        return f"<div>{head}{tables}{notes}<pre>{escape(str(self.certificate))}</pre></div>"


def _finite(table: pd.DataFrame) -> pd.DataFrame:
    """Without infinities, which a report leaves blank."""
    return table.apply(lambda column: column.where(np.isfinite(column)) if column.dtype.kind == "f" else column)


def _more(table: pd.DataFrame) -> str:
    return f"\n... and {len(table) - _ROWS} more" if len(table) > _ROWS else ""
