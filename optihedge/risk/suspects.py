"""Moves of a history that may be errors: nothing is mended and nothing refused, for a real move may look like one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.snapshot import Market
from optihedge.risk.finding import WARNING, Finding
from optihedge.risk.problems import BREAKS, Thresholds, find_problems

_REMEDY = "mend it if it is an error: the risk is wrong with it"


def suspects(market: Market) -> pd.DataFrame:
    """What looks wrong in the history and would change its risk: driver, date, until, problem, detail."""
    known = market.__dict__.get("_suspects")
    if known is None:
        known = pd.DataFrame(columns=["driver", "date", "until", "problem", "detail"])
        if len(market.history):
            found = find_problems(market, thresholds=Thresholds(look_alike=np.inf))
            known = found[found["problem"].isin((*BREAKS, "spike"))].reset_index(drop=True)
        market.__dict__["_suspects"] = known
    return known


def suspect_findings(market: Market) -> tuple[Finding, ...]:
    """The same as findings, a line each."""
    found = []
    for driver, date, until, problem, detail in suspects(market).itertuples(index=False):
        days = f"{date:%Y-%m-%d}" if date == until else f"{date:%Y-%m-%d} to {until:%Y-%m-%d}"
        found.append(Finding(WARNING, problem, str(driver), f"{days}: {detail}", _REMEDY, (str(driver),)))
    return tuple(found)
