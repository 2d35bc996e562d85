"""Horizon: the expected time until the next rebalance, in periods of the drivers, days and years."""

from __future__ import annotations

import re
from dataclasses import dataclass

from optihedge.errors import SpecError

_DAYS = {"min": 1 / 1440, "h": 1 / 24, "d": 1.0}
_LONGEST = 36525.0  # days: a century
_CALENDAR = (365.0, 365.25, 366.0)  # days a year
_BUSINESS = (252.0, 260.0, 261.0, 250.0)
_NEAR = 10.0  # of 252 business days a year: what holidays and conventions explain


@dataclass(frozen=True)
class Horizon:
    """The expected time until the next rebalance, in three units.

    periods   of the drivers' moves: linear variance scales with it
    days      of the drivers' calendar: business days where they count those, else calendar days
    years     for carry: periods / periods_per_year
    """

    periods: float
    days: float
    years: float


def parse_horizon(text: str, periods_per_year: float, what: str = "horizon") -> Horizon:
    """'1d', '8h', '5d' or '30min' for drivers of so many periods a year. Raises SpecError.

    A day is a business day where the drivers count those (see `periods_a_day`), else a calendar day.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(min|h|d)", text.strip(), re.ASCII) if isinstance(text, str) else None
    days = float(match[1]) * _DAYS[match[2]] if match is not None else 0.0
    if days <= 0:
        raise SpecError(f"{what} is {text!r}; write a time until the next rebalance such as '1d', '8h' or '5d'")
    if days > _LONGEST:
        raise SpecError(f"{what} is {text!r}, more than a century; write a time until the next rebalance")
    periods = days * periods_a_day(periods_per_year)
    return Horizon(periods=periods, days=days, years=periods / periods_per_year)


def periods_a_day(periods_per_year: float) -> float:
    """Periods of one day: business days where the year holds a whole or half multiple, at least 1, of some 252 of them.

    Multiples of a calendar year's days come first (8760 hours are no business days), and the usual counts of business
    days (252, 260, 261, 250) before others near them: 250, 252, 260 are 1 a day, 1638 is 6.5, 1095 is 3, 52 is 52/365.
    """
    for year in _CALENDAR:
        if (periods_per_year / year).is_integer():
            return periods_per_year / year
    for year in _BUSINESS:
        if periods_per_year >= year and (2 * periods_per_year / year).is_integer():
            return periods_per_year / year
    multiple = round(2 * periods_per_year / 252) / 2
    business = multiple >= 1 and abs(periods_per_year / multiple - 252) <= _NEAR
    return multiple if business else periods_per_year / 365
