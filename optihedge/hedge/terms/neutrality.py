"""Neutrality: exposures held within a band of their target, for the whole book or group by group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.frames import nearest, some
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number

ERROR_SUFFIX = "_error"  # exposure beta:SPX has its standard errors in beta:SPX_error


def error_columns(exposures: Iterable[str]) -> set[str]:
    """Which exposures are the standard errors of another one, and none of their own."""
    named = set(exposures)
    return {name + ERROR_SUFFIX for name in named} & named


def _is_beta(exposure: str) -> bool:
    """Whether an exposure is a beta to one market driver: beta:<driver>."""
    kind, colon, _ = exposure.partition(":")
    return bool(colon) and kind == "beta"


@dataclass(frozen=True)
class Neutral(Term):
    """Keep an exposure within `band` of `target` after trading: |e'h - target| <= band, desk unit of the exposure.

    exposure      a column of the market's exposures; 'beta' stands for every market driver's beta:<driver>
    band          one number, or (below, above) the target
    by            one row per group of this instrument column ('underlying', 'expiry', 'sector', ...), else one for all
    uncertainty   kappa >= 0: |e'h - target| + kappa x sum of error x |h| <= band, where the errors are the standard
                  errors of the exposure per contract (column `<exposure>_error`): the band holds for every exposure
                  within kappa errors of its estimate, all at their worst at once
    band_share    adds this share of max(the book's gross notional, the capital) to the band
    optional      where the market has no such exposure or column the term is left out, and said to be, not an error
    only_hedged   a group that no tradable contract moves is reported as it stands, not refused; the others are as hard;
                  one that nothing is exposed to, such as money in the base currency, is no group

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> model = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta", band=1_000.0),))
    >>> bool(abs(model.hedge(market, book).exposures.loc["delta", "after"]) <= 1_000.01)
    True
    """

    exposure: str
    target: float = 0.0
    band: float | tuple[float, float] = 0.0
    by: str | None = None
    uncertainty: float = 0.0
    band_share: float = 0.0
    optional: bool = False
    only_hedged: bool = False

    reads_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "target", self.target)
        if isinstance(self.band, (tuple, list)) and len(self.band) != 2:
            raise SpecError(f"{self.label}: band is {self.band}; give one number, or (below, above)")
        for part in self._bands:
            check_number(self.label, "band", part, 0.0)
        check_number(self.label, "uncertainty", self.uncertainty, 0.0)
        check_number(self.label, "band_share", self.band_share, 0.0)

    @property
    def label(self) -> str:
        """The exposure, and what it is grouped by, unless named."""
        return self.name or (self.exposure if self.by is None else f"{self.exposure} by {self.by}")

    @property
    def of_beta(self) -> bool:
        """Whether it speaks of betas."""
        return self.exposure == "beta" or _is_beta(self.exposure)

    @property
    def _bands(self) -> tuple[float, float]:
        below, above = self.band if isinstance(self.band, (tuple, list)) else (self.band, self.band)
        return below, above

    def limits(self, size: float) -> tuple[float, float]:
        """Lower and upper limit of the exposure for a book of this size, max(gross notional, capital)."""
        below, above = self._bands
        extra = self.band_share * size
        return self.target - below - extra, self.target + above + extra

    def contribute(self, p: ProgramBuilder) -> None:
        columns = p.market.exposure_columns
        if self.optional:
            absent = [self.by] if self.by is not None and self.by not in p.market.instruments else []
            if self.exposure not in columns and not (self.exposure == "beta" and any(map(_is_beta, columns))):
                absent.append(self.exposure)
            if absent:
                near = nearest(absent[0], p.market.instruments.columns) if absent[0] == self.by else ""
                p.notes.append(f"{self.label}: left out, the market has no {absent[0]}{near}")
                return
        betas = [c for c in columns if _is_beta(c) and c not in error_columns(columns)]
        each = betas if self.exposure == "beta" and "beta" not in columns and betas else [self.exposure]
        for exposure in each:
            own = f"{self.name}:{exposure.partition(':')[2]}" if self.name and len(each) > 1 else self.name
            self._keep(p, exposure, own or exposure)

    def _keep(self, p: ProgramBuilder, exposure: str, prefix: str) -> None:
        labels, matrix = p.grouped(p.total(exposure), self.by)
        names = [prefix if self.by is None else f"{prefix}[{label}]" for label in labels]
        lower, upper = self.limits(p.size)
        unit = p.unit(exposure)
        moved = np.asarray(abs(matrix) @ p.tradable > 0) if self.only_hedged else np.ones(len(names), dtype=bool)
        if not moved.all():
            exposed = np.asarray(abs(matrix).sum(axis=1) > 0)  # money in the base currency is exposed to nothing
            idle = np.flatnonzero(~moved & (exposed | (lower > 0) | (upper < 0)))
            alone = [names[i] for i in idle]
            if alone:
                p.notes.append(f"{some(alone)}: no tradable contract moves it, left as it stands")
            p.rows(alone, matrix[idle], lower, upper, soft=0.0, tier=self.priority, unit=unit, target=self.target)
            names, matrix = [names[i] for i in np.flatnonzero(moved)], matrix[np.flatnonzero(moved)]
        if self.uncertainty == 0:
            p.rows(names, matrix, lower, upper, soft=self.soft, tier=self.priority, unit=unit, target=self.target)
            return
        _, errors = p.grouped(self.uncertainty * np.abs(p.total(exposure + ERROR_SUFFIX)), self.by)
        errors = errors[np.flatnonzero(moved)] if self.only_hedged else errors
        beyond = None
        if self.soft is not None:  # one excess for both ends: the worst case misses the band once
            most = (abs(matrix) + errors) @ p.largest() + max(abs(lower), abs(upper))
            handles = p.auxiliary(f"{prefix} excess", 0.0, most, self.soft, len(names))
            beyond = (handles, -sp.eye_array(len(names)))
        for sign, limit, end in ((1.0, upper, "upper"), (-1.0, -lower, "lower")):
            p.rows([f"{name} {end}" for name in names], sign * sp.csr_array(matrix), hi=limit, on_holdings=errors,
                   auxiliaries=beyond, tier=self.priority, unit=unit, target=sign * self.target)  # fmt: skip
