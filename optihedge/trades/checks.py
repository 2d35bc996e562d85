"""Checks before a list may be sent: what they are, and what holds the whole list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache

import numpy as np

from optihedge.display.numbers import number
from optihedge.errors import SpecError
from optihedge.frames import duration, nearest
from optihedge.hedge.answer import Answer
from optihedge.hedge.horizon import parse_horizon
from optihedge.hedge.result import Hedge
from optihedge.hedge.venues import venue_limits
from optihedge.market.book import gross_notional
from optihedge.program.arrays import Array
from optihedge.program.lots.cone_limits import other_limits
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.own.terms import OwnTerms
from optihedge.program.program import RESIDUAL_TOLERANCE, Program, objective, row_violations
from optihedge.program.tolerances import row_tolerances
from optihedge.trades.lots import smallest_trades

_NO_MATTER = 1e-4  # of the book's gross and capital: lots that cost less are not held
_LIMITS = ("max_age", "displayed", "volume", "line_notional", "line_quantity", "price_band", "position_notional",
           "total_notional", "gross_notional")  # fmt: skip
_FLAGS = ("worth", "margin", "contradictions")
_LISTS = ("restricted", "no_short", "reduce_only")
LIMIT, PARK, HOLD = "limit", "park", "hold"
FAILURES = (LIMIT, PARK, HOLD)
"""What becomes of a line beyond its check: as much of it as the check allows, none of it, or none of the whole list."""
LINE_CHECKS = ("max_age", "displayed", "volume", "participation", "line_notional", "line_quantity", "price_band",
               "position_notional", *_LISTS, "borrow_available", "venues")  # fmt: skip
"""Checks of single lines, each of which `on_failure` may say for itself."""


@dataclass(frozen=True)
class Checks:
    """Limits of a trade list; None switches one off. They are the table `checks` of a model file.

    A line beyond its check is limited, parked or holds the list, as `on_failure` says; the rest is then decided again,
    so that bands are met without it.

    A line may be as large as `displayed` times what its side of the market shows (all levels of its order book, else
    the quoted size) or `volume` of its daily volume, whichever is more; where neither is known, nothing limits it.

    max_age           age of a quote at as_of beyond which its contract is not traded
    displayed         times what its side shows;  volume  share of the daily volume
    participation     share of the volume that no line exceeds, whatever is shown: of a day's, or by the time that is
                      traded over: {"4h": 0.1, "horizon": 0.05}
    on_failure        "limit", "park" or "hold", for all checks of lines or by check (LINE_CHECKS); else they limit
    line_notional     base currency, of one line;  line_quantity  contracts;  total_notional  of the whole list
    price_band        a line whose far side lies further from the mark, as a share of it, is not traded
    position_notional  base currency, of what is held of one contract afterwards;  gross_notional  of the whole book
    restricted        contracts that are not traded;  no_short  never short;  reduce_only  only towards nothing
    lots_cost         what whole lots add to the objective, share of it or of doing nothing's, the larger; what is less
                      than 1 bp of the larger of the book's gross and the capital never holds a list
    worth             doing nothing, where it meets every hard limit, must not be better than the list
    margin            no hard limit of a venue (`MarginLimit`, `LiquidationLimit`, `VenueLimit`) ends further beyond
                      than it is: whole lots excuse nothing there
    contradictions    severe contradictions of the market (see `optihedge check`) hold the list
    accept            contradictions that are known and accepted, by kind and subject: "old history of history"
    venues            by venue its own line_notional and total_notional, which hold beside the others

    >>> import optihedge as oh
    >>> oh.Checks(max_age="2h", volume=0.05).volume
    0.05
    """

    max_age: str | None = "1d"
    displayed: float | None = 1.0
    volume: float | None = 0.1
    line_notional: float | None = None
    total_notional: float | None = None
    participation: float | Mapping[str, float] | None = None
    line_quantity: float | None = None
    price_band: float | None = None
    position_notional: float | None = None
    gross_notional: float | None = None
    restricted: tuple[str, ...] = ()
    no_short: tuple[str, ...] = ()
    reduce_only: tuple[str, ...] = ()
    lots_cost: float | None = 0.5
    worth: bool = True
    margin: bool = True
    contradictions: bool = True
    accept: tuple[str, ...] = ()
    venues: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    on_failure: str | Mapping[str, str] = LIMIT

    def __post_init__(self) -> None:
        self._check_participation()
        self._check_failures()
        for name in _LISTS:
            if isinstance(getattr(self, name), str):
                raise SpecError(f"checks: {name} is {getattr(self, name)!r}; give a list of contracts")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in (*_LIMITS[1:], "lots_cost"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and not (number and np.isfinite(value) and value >= 0):
                raise SpecError(f"checks: {name} is {value!r}; give a number >= 0, or leave it out")
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"checks: {name} is {getattr(self, name)!r}; write true or false")
        if isinstance(self.accept, str) or not all(isinstance(one, str) for one in self.accept):
            raise SpecError(f"checks: accept is {self.accept!r}; give a list of texts such as 'parity of T 2026-07-17'")
        if self.max_age is not None:
            duration(self.max_age, "checks: max_age")

    def _check_participation(self) -> None:
        for over, share in self.participations.items():
            if over != "horizon":
                parse_horizon(over, 252, "checks: participation")
            number = isinstance(share, (int, float)) and not isinstance(share, bool)
            if not (number and np.isfinite(share) and share >= 0):
                raise SpecError(f"checks: participation is {share!r}; give a number >= 0, or leave it out")

    def _check_failures(self) -> None:
        given = self.on_failure
        for check, what in (given if isinstance(given, Mapping) else {LINE_CHECKS[0]: given}).items():
            if check not in LINE_CHECKS:
                raise SpecError(f"checks: on_failure of {check!r}{nearest(check, LINE_CHECKS)} is none; the checks of "
                                f"lines are {', '.join(LINE_CHECKS)}")  # fmt: skip
            if what not in FAILURES:
                raise SpecError(f"checks: on_failure is {what!r}; write {', '.join(FAILURES)}")

    @property
    def participations(self) -> Mapping[str, float]:
        """By the time that is traded over, the share of its volume."""
        given = self.participation
        return {} if given is None else given if isinstance(given, Mapping) else {"1d": given}

    def failure(self, check: str) -> str:
        """What becomes of a line beyond this check."""
        given = self.on_failure
        return given.get(check, LIMIT) if isinstance(given, Mapping) else given

    @classmethod
    def of(cls, settings: object) -> Checks:
        """Checks from a hedging model's `checks`: a Checks, a table of its fields, or None for the defaults.

        In a table, false switches a check off. Raises SpecError for an unknown field, with the nearest right name.
        """
        if isinstance(settings, Checks):
            return settings
        if settings is None:
            return cls.usual()
        known = [f.name for f in fields(cls) if f.name != "venues"]
        if not isinstance(settings, Mapping):
            raise SpecError(f"checks: {settings!r} is no Checks; give one, or a table of its fields")
        given = dict(settings)
        for name in given:
            if name not in known:
                raise SpecError(f"checks: there is no {name}{nearest(name, known)}; there are {', '.join(known)}")
        off = {**dict.fromkeys(_FLAGS, False), **dict.fromkeys((*_LISTS, "accept"), ())}
        return cls(**{k: off.get(k) if v is False else v for k, v in given.items()})  # type: ignore[arg-type]

    def tightened(self, other: Mapping[str, object], venues: Mapping[str, Mapping[str, float]]) -> Checks:
        """These checks and those of a table of fields: of each limit the tighter one holds. `venues` are added."""
        named = (*_LIMITS, "lots_cost")
        given = Checks.of({**dict.fromkeys((*named, *_FLAGS), False), **other})
        mine, theirs = self.participations, given.participations
        shares = {over: min(x[over] for x in (mine, theirs) if over in x) for over in {**mine, **theirs}}
        both: dict[str, object] = {name: _tighter(name, getattr(self, name), getattr(given, name)) for name in named}
        both |= {name: tuple(dict.fromkeys((*getattr(self, name), *getattr(given, name)))) for name in _LISTS}
        both |= {name: getattr(self, name) or getattr(given, name) for name in _FLAGS}
        both["participation"] = shares.get("1d") if list(shares) == ["1d"] else shares or None
        what = {check: max(self.failure(check), given.failure(check), key=FAILURES.index) for check in LINE_CHECKS}
        both["on_failure"] = what if len(set(what.values())) > 1 else what[LINE_CHECKS[0]]
        return replace(self, **both, venues={**self.venues, **venues})  # type: ignore[arg-type]

    @property
    def off(self) -> tuple[str, ...]:
        """Which checks are switched off that a list has unless told otherwise."""
        usual = Checks.usual()
        named = {f.name: (getattr(usual, f.name), getattr(self, f.name)) for f in fields(self)}
        return tuple(name for name, (usual, own) in named.items() if usual and (own is None or own is False))

    @staticmethod
    @cache
    def usual() -> Checks:
        """What a list is checked by unless told otherwise."""
        return Checks()

    @staticmethod
    @cache
    def none() -> Checks:
        """Every check off: what is proved and the list's own limits remain."""
        return Checks(max_age=None, displayed=None, volume=None, lots_cost=None, worth=False, margin=False,
                      contradictions=False)  # fmt: skip


def _tighter(name: str, first: float | str | None, second: float | str | None) -> float | str | None:
    given = [value for value in (first, second) if value is not None]
    key = (lambda text: duration(text, name)) if name == "max_age" else None
    return min(given, key=key) if given else None  # type: ignore[type-var]


def list_reasons(hedge: Hedge, checks: Checks, first: Answer) -> list[str]:
    """Why the whole list must be held; empty where it may be sent.

    first   the answer before lines were limited: its limits are what the list is judged by
    """
    boxed = hedge.answer.asked is not first.asked
    judge = hedge.program if hedge.answer.relaxed else first.problem.program
    venues = venue_limits(hedge.model.terms) if checks.margin else frozenset()
    reasons = _further_outside(hedge, judge, venues) + _beyond(hedge, judge, 0.0)
    if boxed and hedge.answer.relaxed:  # what gave way for the lines' sake may not leave the book worse than it is
        asked = hedge.answer.asked.program
        reasons += _further_outside(hedge, asked, venues) + _beyond(hedge, asked, 1.0)
    program, start = hedge.program, np.clip(hedge.program.start, hedge.program.lower, hedge.program.upper)
    idle_feasible = bool((row_violations(program, start)[np.isinf(program.row_penalty)] <= 0).all())
    idle_feasible &= bool((start == program.start).all()) and _within_volatility(hedge, start)
    traded = bool(hedge.trades.to_numpy().any())
    if checks.worth and traded and idle_feasible and not program.cvxpy_terms:
        loss = objective(program, hedge.h) - objective(program, start)
        if loss > 0:
            reasons.append(f"not worth its cost: doing nothing meets every limit and is better by {loss:,.2f} "
                           f"{hedge.market.base_currency}")  # fmt: skip
    reasons += _dear_lots(hedge, checks) if traded else []
    reasons += _margin(hedge, venues)
    size = hedge.market.notional.to_numpy(float)[hedge.problem.positions]
    notional = np.abs(hedge.trades.to_numpy()) * size
    if checks.total_notional is not None and notional.sum() > checks.total_notional:
        reasons.append(
            f"the list's notional is {notional.sum():,.0f}, above total_notional {checks.total_notional:,.0f}"
        )
    reasons += _gross(hedge, checks)
    venues_of = hedge.market.instruments["venue"].to_numpy()[hedge.problem.positions] if checks.venues else notional
    for venue, its in checks.venues.items():
        total, most = float(notional[venues_of == venue].sum()), its.get("total_notional", np.inf)
        if total > most:
            reasons.append(f"the list's notional on {venue} is {total:,.0f}, above its total_notional {most:,.0f}")
    return reasons


def _gross(hedge: Hedge, checks: Checks) -> list[str]:
    """The book's gross notional afterwards, where it is above its cap and the list adds to it."""
    if checks.gross_notional is None:
        return []
    before, after = gross_notional(hedge.market, hedge.before), gross_notional(hedge.market, hedge.after)
    if after <= max(checks.gross_notional, before):
        return []
    return [f"the book's gross would be {after:,.0f}, above gross_notional {checks.gross_notional:,.0f}"]


def _dear_lots(hedge: Hedge, checks: Checks) -> list[str]:
    """Why whole lots are too dear a form of the hedge; empty where they are not."""
    program, price = hedge.program, hedge.certificate.gap
    of = max(abs(hedge.certificate.primal), abs(objective(program, program.start)))
    if checks.lots_cost is None or not price > max(checks.lots_cost * of, _NO_MATTER * hedge.problem.size):
        return []
    return [f"whole lots cost {price:,.2f} {hedge.market.base_currency}, {price / of:.0%} of the objective, more than "
            f"lots_cost {checks.lots_cost:.0%}: trade finer lots or more lines, or widen the bands"]  # fmt: skip


def _margin(hedge: Hedge, venues: frozenset[str]) -> list[str]:
    """Hard limits of these terms, each recomputed from whole lots, that end beyond and further beyond than before."""
    if not venues:
        return []
    limits = hedge.limits
    limits = limits[limits["term"].isin(venues) & (limits["kind"] == "hard")]
    most = np.maximum(limits["upper"], limits["before"])
    over = limits[limits["after"] - most > RESIDUAL_TOLERANCE * np.maximum(most.abs(), 1.0)]
    return [
        f"{name} would be {row.after:,.2f} {hedge.market.base_currency}, above its limit {row.upper:,.2f}, "
        f"{row.before:,.2f} now"
        for name, row in zip(over.index, over.itertuples(), strict=True)
    ]


def _further_outside(hedge: Hedge, program: Program, spared: frozenset[str]) -> list[str]:
    """Hard limits that end further outside their band than before, and than half the finest traded lot explains.

    spared   terms whose limits are checked in another way

    A band as wide as that lot can be met: lots explain less the wider it is, see `Neighbourhood.allowance`.
    """
    before = row_violations(program, hedge.problem.columns.to_columns(hedge.problem.start))
    after, tolerance = row_violations(program, hedge.h), row_tolerances(program, hedge.h)
    if not (after > before + tolerance)[np.isinf(program.row_penalty)].any():
        return []
    around = Neighbourhood(program, Grid.of(hedge.program, smallest_trades(hedge)))
    allowed = around.allowance(np.round(around.grid.lots(hedge.h)))
    worse = (
        around.hard
        & ~np.isin(np.array(hedge.problem.row_terms, dtype=object), list(spared))
        & (after > np.maximum(before, allowed) + tolerance)
    )
    return [
        f"{program.row_names[j]} would end {number(after[j])} {hedge.problem.row_units[j]} beyond its limit, "
        f"{number(before[j])} now"
        for j in np.flatnonzero(worse)
    ]


def _beyond(hedge: Hedge, program: Program, forgiven: float) -> list[str]:
    """The volatility limit and the user's own constraints that the list breaks: lots excuse nothing here.

    forgiven   of what they are broken by before trading, this share
    """
    if not program.cvxpy_terms and program.volatility_limit is None:
        return []
    own = OwnTerms(program) if program.cvxpy_terms else None
    after = other_limits(program, hedge.h, own)
    before = other_limits(program, hedge.problem.columns.to_columns(hedge.problem.start), own)["violation"]
    over = after[after["violation"] > forgiven * before + RESIDUAL_TOLERANCE * after["scale"]]
    return [
        f"{name} would end {number(row.violation)} {row.unit} beyond its limit, {number(before[name])} now"
        for name, row in zip(over.index, over.itertuples(), strict=True)
    ]


def _within_volatility(hedge: Hedge, h: Array) -> bool:
    limit = hedge.program.volatility_limit
    return limit is None or limit.volatility(h) <= limit.limit
