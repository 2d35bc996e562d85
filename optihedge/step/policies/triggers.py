"""Triggers: the clock, an exposure outside its band, risk, a regime, fills, rolls, margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.accounts.valuation import valued
from optihedge.errors import SpecError
from optihedge.frames import some
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.margin import VenueTerm
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.venues import venue_terms
from optihedge.market.margin_scan import initial_margin
from optihedge.market.snapshot import Market
from optihedge.step.policies.base import Decision, Memory, View, number, span, told

_EARLY = 1 / 8  # of an interval: recorded times drift


@dataclass(frozen=True)
class Always:
    """Act at every market.

    >>> import optihedge as oh
    >>> oh.policy.Always()
    Always()
    """

    def decide(self, view: View, memory: Memory) -> Decision:
        """Yes."""
        return Decision(True, "always")


@dataclass(frozen=True)
class Clock:
    """Act where `every` ('1d', '8h') has passed since a list last left; an eighth of it early counts as due.

    >>> import optihedge as oh
    >>> oh.policy.Clock("8h").every
    '8h'
    """

    every: str = "1d"

    def __post_init__(self) -> None:
        span(self, "every", self.every)

    def decide(self, view: View, memory: Memory) -> Decision:
        """Due, or how long ago it was."""
        now, last = view.market.as_of, memory.get("clock")
        sent = {"clock": now.isoformat()}
        if last is None:
            return Decision(True, "the clock starts", on_sent=sent)
        passed = now - pd.Timestamp(last)
        due = passed >= span(self, "every", self.every) * (1 - _EARLY)
        return Decision(due, f"{passed} since the last list, every {self.every}", on_sent=sent)


@dataclass(frozen=True)
class Band:
    """Act where an exposure (desk units), in total or by group, is `width` or more away from its target.

    width          half-width; or `below` and `above` for distances of their own; or
    share          of the book's gross notional (or the model's capital, if larger)
    A band narrower than the model's own on the same exposure, or than one lot, is a SpecError: it would never rest.

    >>> import optihedge as oh
    >>> oh.policy.Band("delta", share=0.02).share
    0.02
    """

    exposure: str
    width: float | None = None
    by: str = ""
    target: float = 0.0
    below: float | None = None
    above: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("width", "below", "above", "share")}
        for name, value in given.items():
            if value is not None:
                number(self, name, value, above=True)
        pair = self.below is not None and self.above is not None
        if (self.width is not None) + pair + (self.share is not None) != 1 or (pair != (self.below is not None)):
            raise SpecError(f"Band on {self.exposure}: give one of width, share, or both below and above")

    def decide(self, view: View, memory: Memory) -> Decision:
        """Which groups are outside."""
        below, above = self.edges(view)
        away = view.exposure(self.exposure, self.by) - self.target
        self._refuse_restless(view, below + above)
        out = away[(away <= -below) | (away >= above)]
        if len(out):
            return Decision(True, f"{self.exposure} outside its band: {told(out + self.target)}")
        return Decision(False, f"{self.exposure} within its band: {told(away + self.target)}")

    def edges(self, view: View) -> tuple[float, float]:
        """Distances below and above the target, desk units."""
        if self.below is not None and self.above is not None:
            return self.below, self.above
        width = self.width if self.width is not None else (self.share or 0.0) * view.size
        return width, width

    def _refuse_restless(self, view: View, width: float) -> None:
        if isinstance(view.model, HedgeModel):
            for term in view.model.terms:
                if isinstance(term, Neutral) and term.exposure == self.exposure and (term.by or "") == self.by:
                    lower, upper = term.limits(view.size)
                    if width < upper - lower:
                        raise SpecError(
                            f"Band on {self.exposure} is {width:,.6g} wide, the model's own is {upper - lower:,.6g}: "
                            "the policy would act where the model is content; widen it"
                        )
        lot = view.lot(self.exposure, self.by)
        coarse = lot.reindex(view.exposure(self.exposure, self.by).index).replace(np.inf, np.nan).dropna()
        coarse = coarse[coarse > width]
        if len(coarse):
            raise SpecError(
                f"Band on {self.exposure} is {width:,.6g} wide, one lot moves it by {told(coarse, 1)}: no hedge "
                "stays within; widen it"
            )


@dataclass(frozen=True)
class RiskTrigger:
    """Act where the book's volatility per day (base currency) is above `limit`, or `times` what the last list left.

    >>> import optihedge as oh
    >>> oh.policy.RiskTrigger(times=1.5).times
    1.5
    """

    limit: float | None = None
    times: float | None = None

    def __post_init__(self) -> None:
        if (self.limit is None) == (self.times is None):
            raise SpecError("RiskTrigger: give limit or times, one of them")
        number(self, "limit" if self.times is None else "times", self.limit if self.times is None else self.times)

    def decide(self, view: View, memory: Memory) -> Decision:
        """The volatility against its limit. Raises SpecError for a model without risk."""
        form = view.problem.variance
        if form is None:
            raise SpecError("RiskTrigger: the model has no risk; add one, or take another policy")
        days = np.sqrt(view.problem.days)
        now = form.volatility(view.problem.start) / days
        last = memory.get("volatility")
        limit = self.limit if self.limit is not None else (self.times or 0.0) * last if last is not None else 0.0
        if now <= limit:
            return Decision(False, f"volatility {now:,.6g} a day, limit {limit:,.6g}")
        after = form.volatility(np.asarray(view.hedge.after)) / days  # type: ignore[attr-defined]
        return Decision(True, f"volatility {now:,.6g} a day above {limit:,.6g}", on_sent={"volatility": float(after)})


@dataclass(frozen=True)
class RegimeChange:
    """Act where the state of a Gaussian hidden Markov model of a driver's moves is another than at the last list.

    driver   '' the first one marked market, else the first price;  states   calm to wild;  rows   of history
    sure     probability from which on a state counts as changed

    >>> import optihedge as oh
    >>> oh.policy.RegimeChange(states=2).states
    2
    """

    driver: str = ""
    states: int = 2
    rows: int = 504
    sure: float = 0.8

    def __post_init__(self) -> None:
        number(self, "sure", self.sure, 0.5)

    def decide(self, view: View, memory: Memory) -> Decision:
        """The state now, and then."""
        from optihedge.risk.regime import GaussianHmm

        market = view.market
        drivers = market.drivers
        chosen = self.driver or str(drivers.index[np.argmax((drivers["market"] | False).to_numpy(dtype=bool))])
        moves = market.moves()
        if chosen not in moves.columns:
            raise SpecError(f"RegimeChange: there is no driver {chosen}; name one of {some(moves.columns, 3)}")
        one = moves[[chosen]].dropna().iloc[-self.rows :]
        odds = GaussianHmm(states=self.states).fit(one.set_axis(["move"], axis=1)).probabilities_[-1]
        state, last = int(np.argmax(odds)), memory.get("regime")
        changed = last is None or (state != last and odds[state] >= self.sure)
        why = f"{chosen} in state {state + 1} of {self.states} ({odds[state]:.0%})"
        return Decision(changed, why, on_sent={"regime": state})


@dataclass(frozen=True)
class OnFill:
    """Act where something of the book was traded since the last step: fills, transfers, contracts that ended.

    >>> import optihedge as oh
    >>> oh.policy.OnFill()
    OnFill()
    """

    def decide(self, view: View, memory: Memory) -> Decision:
        """What changed."""
        now = {name: float(q) for name, q in view.state.quantities().items()}
        last = memory.get("held")
        changed = [] if last is None else [n for n in sorted({*now, *last}) if now.get(n, 0.0) != last.get(n, 0.0)]
        why = f"changed: {some(changed, 3)}" if changed else "nothing was traded"
        return Decision(last is None or bool(changed), why, memory={"held": now})


@dataclass(frozen=True)
class RollDue:
    """Act where a contract of the hedge expires within `days` calendar days.

    >>> import optihedge as oh
    >>> oh.policy.RollDue(days=3).days
    3
    """

    days: float = 5.0

    def __post_init__(self) -> None:
        number(self, "days", self.days)

    def decide(self, view: View, memory: Memory) -> Decision:
        """Which are due."""
        held = view.state.quantities("hedge").index
        expiry = view.market.instruments["expiry"].reindex(held)
        due = held[(expiry - view.market.as_of <= pd.Timedelta(days=self.days)).to_numpy()]
        return Decision(bool(len(due)), f"due: {some(due, 3)}" if len(due) else f"nothing due in {self.days:g} days")


@dataclass(frozen=True)
class MarginTrigger:
    """Act where margin needed is above `limit` of the equity of an account.

    The model's own rules say what is needed, each of its venues counted once; where it names none:

    rate   initial margin, share of the notional of contracts paid by variation margin and of short options

    >>> import optihedge as oh
    >>> oh.policy.MarginTrigger(limit=0.6).limit
    0.6
    """

    limit: float = 0.5
    rate: float = 0.1
    account: str = "hedge"

    def __post_init__(self) -> None:
        number(self, "limit", self.limit, above=True)
        number(self, "rate", self.rate, above=True)

    def decide(self, view: View, memory: Memory) -> Decision:
        """Margin over equity."""
        market, held = view.market, view.state.quantities(self.account)
        named = venue_terms(view.model.terms) if isinstance(view.model, HedgeModel) else []
        need = sum(_margin_at(term, market, held) for term in named) if named else self._by_rate(market, held)
        frame = valued(view.state, market)
        equity = float(frame.loc[frame["account"] == self.account, "base"].sum())
        act = need > self.limit * equity
        return Decision(act and need > 0, f"margin {need:,.6g} of equity {equity:,.6g}, limit {self.limit:.0%}")

    def _by_rate(self, market: Market, held: pd.Series) -> float:
        at = market.names.get_indexer(held.index)
        c = market.contracts.take(at)
        bound = c.margined | (c.option & (held.to_numpy() < 0))
        return float(self.rate * (held.abs().to_numpy() * market.notional.to_numpy()[at])[bound].sum())


def _margin_at(term: VenueTerm, market: Market, held: pd.Series) -> float:
    """Initial margin of what is held at the term's venue, base currency."""
    return initial_margin(
        market, held.where(pd.Series(term.here(market, held.index), held.index), 0.0), term.read_rules()
    )
