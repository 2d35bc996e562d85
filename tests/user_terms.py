"""Random terms of a user's own, in CVXPY: norms, 3/2 powers and linear ones, slack and binding, in any unit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd

import optihedge as oh

MODELS = ("optimal_hedge", "market_neutral", "beta_hedge", "delta_neutral", "quantitative", "neutral", "stress_limited")
KINDS = ("l1", "l2", "power", "linear")
SIDES = ("cost", "slack", "binding")


@dataclass(frozen=True)
class Case:
    """One draw: a shipped model, a kind of term and where it stands, the book's gross (USD), what the term counts in.

    unit   USD: users write raw dollars, shares of the book, or anything between
    tight  of a limit: share of what the hedge without it uses; of a cost: what it charges for that, share of the trades
    """

    seed: int
    model: str
    kind: str
    side: str
    gross: float
    unit: float
    tight: float

    def __str__(self) -> str:
        return f"{self.seed} {self.model} {self.kind} {self.side} gross {self.gross:.0e} unit {self.unit:.0e}"


def draw(seed: int) -> Case:
    """The case of that seed."""
    r = np.random.default_rng(seed)
    kind, side, gross = KINDS[int(r.integers(4))], SIDES[int(r.integers(3))], 10 ** r.uniform(3, 9)
    tight = {"binding": r.uniform(0.3, 0.95), "slack": r.uniform(1.05, 10), "cost": 10 ** r.uniform(-6, -2)}[side]
    return Case(seed, MODELS[seed % len(MODELS)], kind, side, gross, gross ** float(r.choice([0.0, 0.5, 1.0])), tight)


def size(kind: str, traded: Any, weights: np.ndarray) -> cp.Expression:
    """What trades (in units) measure: CVXPY or numbers."""
    if kind == "linear":
        return weights @ traded
    if kind == "power":
        return cp.sum(cp.power(cp.abs(traded), 1.5))
    return cp.norm1(traded) if kind == "l1" else cp.norm2(traded)


def asked(case: Case, market: oh.Market, book: pd.Series) -> tuple[oh.HedgeModel, pd.Series]:
    """The shipped model with the case's term, and the book at its gross."""
    model = oh.load_model(case.model)
    book = book * (case.gross / model.problem(market, book).gross)
    before = model.hedge(market, book)
    names = before.problem.names
    notional = market.notional.reindex(names).abs().to_numpy()
    traded = before.trades.reindex(names).to_numpy() * notional / case.unit
    weights = np.sign(traded) * np.random.default_rng(case.seed).random(len(traded))  # of a linear one
    used = float(size(case.kind, cp.Constant(traded), weights).value)

    def function(scale: float) -> Callable[[Any, Any], cp.Expression]:
        unit = notional / case.unit
        return lambda h, p: scale * size(case.kind, cp.multiply(unit, h - p.start), weights)

    if case.side == "cost":
        rate = case.tight * np.abs(traded).sum() * case.unit / used if used > 0 else 1.0
        return replace(model, objective=(*model.objective, oh.CvxpyTerm(function(rate), name="mine"))), book
    most, left = case.tight * used if used > 0 else 1.0, function(1.0)
    mine = oh.CvxpyTerm(lambda h, p: left(h, p) <= most, name="mine")
    return replace(model, constraints=(*model.constraints, mine)), book


def outcome(case: Case, market: oh.Market, book: pd.Series) -> str:
    """In a word what becomes of the case: a status, or the error's name and words."""
    try:
        model, book = asked(case, market, book)
        return str(model.hedge(market, book).certificate.status)
    except oh.OptihedgeError as error:
        return f"{type(error).__name__}: {error}"
