"""Policies from TOML tables: `type`, its numbers, and for a composition `of = [...]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any as Anything

from optihedge.errors import SpecError
from optihedge.frames import nearest
from optihedge.step.policies.bands import CostBenefit, WhalleyWilmott
from optihedge.step.policies.base import Policy
from optihedge.step.policies.compose import All, Any, Not
from optihedge.step.policies.drift import Drift
from optihedge.step.policies.spread import ZScore
from optihedge.step.policies.triggers import (
    Always,
    Band,
    Clock,
    MarginTrigger,
    OnFill,
    RegimeChange,
    RiskTrigger,
    RollDue,
)

POLICIES = {
    kind.__name__: kind
    for kind in (
        Always, Clock, Band, WhalleyWilmott, CostBenefit, RiskTrigger, RegimeChange, OnFill, RollDue, MarginTrigger,
        ZScore, Drift, Any, All, Not,
    )
}  # fmt: skip


def policy_of(table: Mapping[str, Anything], where: str = "policy") -> Policy:
    """The policy that a table describes. Raises SpecError that names every mistake at once.

    >>> policy_of({"type": "Any", "of": [{"type": "Clock", "every": "2d"}, {"type": "RollDue"}]})
    Any(of=(Clock(every='2d'), RollDue(days=5.0)))
    """
    mistakes: list[str] = []
    found = _read(table, where, mistakes)
    if mistakes or found is None:
        raise SpecError("\n".join(mistakes))
    return found


def _read(table: Anything, where: str, mistakes: list[str]) -> Policy | None:
    if not isinstance(table, Mapping) or "type" not in table:
        mistakes.append(f'{where}: {table!r} is no policy; write a table such as {{type = "Clock", every = "1d"}}')
        return None
    name = table["type"]
    if not isinstance(name, str) or name not in POLICIES:
        mistakes.append(f"{where}: there is no {name}{nearest(str(name), POLICIES)}; there are {', '.join(POLICIES)}")
        return None
    kind, given = POLICIES[name], {key: value for key, value in table.items() if key != "type"}
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    unknown = [key for key in given if key not in known]
    mistakes += [f"{where}: {name} has no {key}{nearest(key, known)}" for key in unknown]
    needed = [key for key, field in known.items() if field.default is MISSING and key not in given]
    mistakes += [f"{where}: {name} needs {key}" for key in needed]
    if "of" in given and "of" in known:
        inner = given["of"] if isinstance(given["of"], (list, tuple)) else [given["of"]]
        read = [_read(one, f"{where}.of[{i}]", mistakes) for i, one in enumerate(inner)]
        given["of"] = tuple(one for one in read if one is not None)
        if None in read:
            return None
    if unknown or needed:
        return None
    try:
        return kind(**given)  # type: ignore[no-any-return]
    except SpecError as error:
        mistakes.append(f"{where}: {error}")
        return None
