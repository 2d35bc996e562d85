"""Rules of margin as data: scanned scenarios or published risk arrays, shares and rates of contracts, haircuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date as Date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.files import models_folder
from optihedge.frames import nearest, read_settings

_BY_NAME = ("share", "rate", "long", "haircut", "ranges")


@dataclass(frozen=True, kw_only=True)
class MarginRules:
    """Initial margin: worst weighted loss of each underlying, at least 0, plus what single contracts need.

    moves, vols   every pair is a scenario: return of the underlying, change of a 30-day vol, others by the root of time
    extended      further scenarios (return, vol, weight): of their loss only `weight` counts
    ranges        underlying -> its scan range, as a multiple of these returns (1 where it is left out)
    credits       (underlying, units, other underlying, units, credit): so many of the one against so many of the other,
                  on opposite sides, need only 1 - credit of what both scan alone; at most the share at which a spread
                  more never takes margin off where there is nothing to spread, 2 x the smaller leg / both
    powers        two numbers: vols are shares of each option's own vol, times (30 days / its life)^power, the first for
                  lives below 30 days; a vol that rises ends at `least_vol` or above
    arrays        instead of a scan, instrument -> what one long contract loses in each scenario (a SPAN array), base
                  currency
    share         instrument type -> share of notional;  rate  instrument -> base currency per contract; long or short
    long          instrument type -> share of market value of what is long
    tiers         instrument type -> (notional from which, share) in steps: of the part of a contract's notional beyond
                  each, base currency, the share of that step
    short         option type -> (share, least): a short option needs share x underlying less what it is out of the
                  money, at least `least` x underlying; `least_of_strike`: of a put at least `least` x strike
    pairs         of the types in `short` the pairs that need least are looked for (see `margin_pairs`): spreads,
                  covered by the underlying, straddles; what is bought is then paid in full
    short_strike  share of the underlying on what is net short at one strike and expiry, calls and puts together
    haircut       asset -> share of cash and spot in it that does not count as collateral; others are no collateral
    maintenance   of the initial margin, what must remain
    source, date  where the rules are from, and of when

    Margin stands beside equity, in which a short option counts with what it costs to buy back.

    >>> import optihedge as oh
    >>> from datetime import date
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> rules.share["future"]
    0.1
    """

    source: str
    date: Date
    moves: tuple[float, ...] = ()
    vols: tuple[float, ...] = (0.0,)
    extended: tuple[tuple[float, float, float], ...] = ()
    powers: tuple[float, float] | None = None
    least_vol: float = 0.0
    arrays: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    share: Mapping[str, float] = field(default_factory=dict)
    rate: Mapping[str, float] = field(default_factory=dict)
    long: Mapping[str, float] = field(default_factory=dict)
    short: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    least_of_strike: bool = False
    pairs: bool = False
    tiers: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    ranges: Mapping[str, float] = field(default_factory=dict)
    credits: tuple[tuple[str, float, str, float, float], ...] = ()
    short_strike: float = 0.0
    haircut: Mapping[str, float] = field(default_factory=dict)
    maintenance: float = 1.0

    def __post_init__(self) -> None:
        if not self.source:
            raise SpecError("margin rules: source is empty; say where they are from")
        least = [x for name in _BY_NAME for x in getattr(self, name).values()] + [w for *_, w in self.extended]
        least += [x for pair in self.short.values() for x in pair]
        least += [self.maintenance, self.short_strike, self.least_vol]
        numbers = [*self.moves, *self.vols, *(x for row in self.extended for x in row), *(self.powers or ()), *least]
        numbers += [x for row in self.arrays.values() for x in row]
        numbers += [x for steps in self.tiers.values() for step in steps for x in step]
        odd = [x for x in numbers if not np.isfinite(x)] + [move for move in self.moves if move <= -1]
        if odd:
            raise SpecError(f"margin rules: a number is {odd[0]}; every number must be finite, and a move above -1")
        if min(least) < 0:
            raise SpecError(f"margin rules: a number is {min(least):g}; shares, rates, weights, haircuts and "
                            "maintenance must be 0 or more")  # fmt: skip
        if max(self.haircut.values(), default=0.0) > 1:
            raise SpecError("margin rules: a haircut is above 1; give the share that does not count")
        if self.arrays and (self.moves or self.extended or len({len(row) for row in self.arrays.values()}) > 1):
            raise SpecError("margin rules: arrays take the place of moves and extended, and are of one length")
        self._check_tiers()
        self._check_credits()

    def _check_tiers(self) -> None:
        for kind, steps in self.tiers.items():
            beyond, share = ([step[i] for step in steps] for i in (0, 1))
            ordered = np.all(np.diff(beyond) > 0) and np.all(np.diff(share) >= 0)
            if not steps or beyond[0] != 0 or share[0] < 0 or not ordered:
                raise SpecError(f"margin rules: tiers of {kind} are {steps}; give (notional from which, share), the "
                                "first from 0, each from more on and of no smaller share")  # fmt: skip
        if self.pairs and any(self.long.get(kind, 1.0) != 1.0 for kind in self.short):
            raise SpecError("margin rules: with pairs an option that is bought is paid in full; leave it out of long")

    def _check_credits(self) -> None:
        if self.credits and self.arrays:
            raise SpecError("margin rules: credits are of scanned moves; arrays say losses of contracts alone")
        for credit in self.credits:
            first, units, second, others, share = credit if len(credit) == 5 else ("", 0.0, "", 0.0, 0.0)
            if first == second or not (0 < units < np.inf and 0 < others < np.inf and 0 <= share <= 1):
                raise SpecError(f"margin rules: credit {credit} is none; give an underlying, its units above 0, "
                                "another underlying, its units, and a share from 0 to 1")  # fmt: skip

    @property
    def scenarios(self) -> pd.DataFrame:
        """One row per scenario: spot, term (the vol) and weight."""
        grid = [(move, vol, 1.0) for move in self.moves for vol in self.vols]
        return pd.DataFrame([*grid, *self.extended], columns=["spot", "term", "weight"], dtype=float)


def margin_rule_names() -> tuple[str, ...]:
    """Names of the shipped rules of margin.

    >>> import optihedge as oh
    >>> oh.terms.margin_rule_names()
    ('deribit_like', 'reg_t', 'span_like')
    """
    return tuple(sorted(path.stem for path in (models_folder() / "margin").glob("*.toml")))


def _rules_path(source: str | Path) -> Path:
    """The file of a path, or of the shipped rules of a name ("deribit" is deribit_like). Raises SpecError."""
    path, shipped = Path(source), margin_rule_names()
    if path.suffix == ".toml" or path.is_file():
        return path
    name = next((one for one in shipped if one.removesuffix("_like") == str(source).lower()), str(source))
    if name not in shipped:
        raise SpecError(f"there are no margin rules {str(source)!r}{nearest(name, shipped)}; shipped are "
                        f"{', '.join(shipped)}, or give the path of a .toml file")  # fmt: skip
    return models_folder() / "margin" / f"{name}.toml"


def read_margin_rules(path: str | Path) -> MarginRules:
    """Shipped rules by name, or those of a TOML file with the fields of MarginRules. Raises SpecError.

    >>> import optihedge as oh
    >>> with open("margin.toml", "w") as file:
    ...     print('source = "own"', "date = 2026-01-20", "[share]", "equity = 0.5", sep=chr(10), file=file)
    >>> oh.terms.read_margin_rules("margin.toml").share["equity"]
    0.5
    """
    path = _rules_path(path)
    content = read_settings(path)
    known = [f.name for f in fields(MarginRules)]
    for name in content:
        if name not in known:
            raise SpecError(f"{path}: there is no {name}{nearest(name, known)}; there are {', '.join(known)}")
    for name in ("source", "date"):
        if name not in content:
            raise SpecError(f"{path}: {name} is missing; say where the rules are from, and of when")
    for name in ("extended", "credits"):
        content[name] = tuple(tuple(row) for row in content.get(name, ()))
    content["tiers"] = {key: tuple(tuple(step) for step in row) for key, row in content.get("tiers", {}).items()}
    for name in ("short", "arrays"):
        content[name] = {key: tuple(row) for key, row in content.get(name, {}).items()}
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    try:
        return MarginRules(**given)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{path}: {error}; give each key what MarginRules asks for") from None
