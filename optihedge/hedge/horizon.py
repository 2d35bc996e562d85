"""Horizon: the expected time until the next rebalance, in periods of the drivers, days and years."""

from __future__ import annotations

import re
from dataclasses import dataclass

from optihedge.errors import SpecError

_DAYS = {"min": 1 / 1440, "h": 1 / 24, "d": 1.0}


@dataclass(frozen=True)
class Horizon:
    """periods   of the drivers' moves: linear variance scales with it
    days      of the drivers' calendar: business days where they count 252 a year, else calendar days
    years     for carry: periods / periods_per_year
    """

    periods: float
    days: float
    years: float


def parse_horizon(text: str, periods_per_year: float) -> Horizon:
    """'1d', '8h', '5d' or '30min' for drivers of so many periods a year. Raises SpecError.

    A day is periods_per_year / 252 periods where that is a whole number (business days), else / 365.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(min|h|d)", text.strip()) if isinstance(text, str) else None
    if match is None or float(match[1]) <= 0:
        raise SpecError(f"horizon is {text!r}; write a time until the next rebalance such as '1d', '8h' or '5d'")
    days = float(match[1]) * _DAYS[match[2]]
    year = 252 if periods_per_year % 252 == 0 else 365
    periods = days * periods_per_year / year
    return Horizon(periods=periods, days=days, years=periods / periods_per_year)
