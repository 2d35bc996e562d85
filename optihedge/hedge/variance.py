"""Variance of a book's P&L over the horizon as sums of squares over contracts: drivers, own risk, gamma."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError, SpecError
from optihedge.market.snapshot import Market
from optihedge.program.arrays import compressed, times
from optihedge.readonly import kept, numbers
from optihedge.risk.contract_risk import GAMMA, ContractRisk
from optihedge.risk.root import Risk

Array = np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class VarianceForm:
    """Variance over the horizon of quantities q (N contracts), base currency squared:

    |factors q|^2 + |specifics q|^2 + sum own q^2        first order
    + |gamma q|^2 + |gamma_specifics q|^2                the gamma of normal moves, 1/2 v'(C o C)v; or by revaluation

    sources  what the rows of factors and specifics speak of, where they come from a ContractRisk
    """

    factors: Array  # k x N
    specifics: sp.csr_array  # s x N
    own: Array  # N, base currency squared per contract squared
    gamma: Array  # g x N
    gamma_specifics: sp.csr_array  # u x N
    sources: tuple[tuple[str, ...], tuple[str, ...]] | None = None  # k and s labels

    def parts(self, quantities: Array) -> dict[str, float]:
        """Variance by source; they sum to the whole.

        Of a Risk: shared factors, drivers' specific, contracts' own, gamma. Of a ContractRisk: its sources, the
        contracts' own noise, gamma.
        """
        square = lambda rows: float(np.sum((rows @ quantities) ** 2))  # noqa: E731
        if self.sources is not None:
            squares = np.concatenate([(self.factors @ quantities) ** 2, (self.specifics @ quantities) ** 2])
            by_source: dict[str, float] = {}
            for source, part in zip((*self.sources[0], *self.sources[1]), squares, strict=True):
                by_source[source] = by_source.get(source, 0.0) + float(part)
            rest = square(self.gamma) + square(self.gamma_specifics)
            return {**by_source, "gamma": rest, "noise": float(self.own @ quantities**2)}
        return {
            "factors": square(self.factors),
            "specific": square(self.specifics),
            "own risk": float(self.own @ quantities**2),
            "gamma": square(self.gamma) + square(self.gamma_specifics),
        }

    def first_order(self) -> VarianceForm:
        """The same without gamma."""
        return replace(self, gamma=self.gamma[:0], gamma_specifics=self.gamma_specifics[:0])

    def alone(self) -> Array:
        """Standard deviation over the horizon of one of each contract by itself (N), base currency; without gamma."""
        sparse = self.specifics.multiply(self.specifics).sum(axis=0)
        return np.sqrt((self.factors**2).sum(axis=0) + np.asarray(sparse).ravel() + self.own)

    @cached_property
    def single(self) -> Array:
        """Variance over the horizon of one of each contract by itself (N), without gamma."""
        alone = (self.factors**2).sum(axis=0) + self.own
        return alone + np.asarray(self.specifics.power(2).sum(axis=0)).ravel()

    def volatility(self, quantities: Array) -> float:
        """Standard deviation of P&L over the horizon, base currency."""
        return float(np.sqrt(sum(self.parts(quantities).values())))


def variance_of(market: Market, positions: Array, risk: Risk | ContractRisk, periods: float) -> VarianceForm:
    """`variance_form`, and at the next call for the same contracts of the same market and risk the same object."""
    known = market.__dict__.get("_form")
    asked = (positions.tobytes(), periods)
    if known is None or known[0] is not risk or known[1] != asked:
        market.__dict__["_form"] = known = risk, asked, variance_form(market, positions, risk, periods)
    return known[2]


def variance_form(market: Market, positions: Array, risk: Risk | ContractRisk, periods: float) -> VarianceForm:
    """The form over the contracts at `positions` of market.names. Linear variance scales with H, gamma's with H^2.

    Raises DataError where the risk does not know a driver that one of these contracts loads on, or a contract.
    """
    if isinstance(risk, ContractRisk):
        return _contract_form(market.names[positions], risk, periods)
    loadings = _columns(market.loadings.matrix, positions)
    active = np.flatnonzero(np.diff(loadings.indptr))
    every = kept(market.drivers, "in a risk", lambda: risk.drivers.get_indexer(market.drivers.index), risk.drivers)
    known = every[active]
    if (known < 0).any():
        driver = market.loadings.drivers[active][known < 0][0]
        column = int(loadings[[active[known < 0][0]]].indices[0])
        raise DataError(
            f"{market.names[positions[column]]} moves with driver {driver}, which the risk does not know; "
            "add its history, or its row to the given risk"
        )
    loadings = _rows(loadings, active)
    as_it_is = len(known) == len(risk.specific) and bool((known == np.arange(len(known))).all())
    root, specific = (risk.root, risk.specific) if as_it_is else (risk.root[:, known], risk.specific[known])
    own = np.nan_to_num(numbers(market.instruments, "own_risk")[positions])
    gamma, gamma_specifics = _gamma_rows(market, positions, risk, periods)
    scale = np.sqrt(periods)
    some = np.flatnonzero(specific > 0)
    return VarianceForm(
        factors=_over_contracts(root, times(scale, loadings)),
        specifics=_scaled(_rows(loadings, some), scale * specific[some]),
        own=periods * own**2,
        gamma=gamma,
        gamma_specifics=gamma_specifics,
    )


def _over_contracts(rows: Array, loadings: sp.csr_array) -> Array:
    """Rows over U drivers as rows over N contracts, rows @ loadings (U x N)."""
    each = np.diff(loadings.indptr)
    if len(loadings.indices) == len(each) == loadings.shape[1] and (each == 1).all():
        order = np.arange(len(each))
        if (loadings.indices == order).all():  # every contract has a driver of its own
            return rows * loadings.data
    if (np.bincount(loadings.indices, minlength=loadings.shape[1]) > 1).any():
        return np.asarray((loadings.T @ rows.T).T)
    over = np.zeros((len(rows), loadings.shape[1]))  # no contract moves with two
    over[:, loadings.indices] = np.repeat(rows, each, axis=1) * loadings.data
    return over


def _columns(matrix: sp.csr_array, positions: Array) -> sp.csr_array:
    """The columns at these positions, which are in order."""
    return matrix if len(positions) == matrix.shape[1] else sp.csc_array(matrix)[:, positions].tocsr()


def _rows(matrix: sp.csr_array, chosen: Array) -> sp.csr_array:
    """These rows, which are in order."""
    if not len(chosen):
        return _no_rows(matrix.shape[1])
    return matrix if len(chosen) == matrix.shape[0] else matrix[chosen]


def _no_rows(columns: int) -> sp.csr_array:
    return compressed(np.zeros(0), np.zeros(0), np.zeros(1), (0, columns))


def _scaled(matrix: sp.csr_array, factor: Array) -> sp.csr_array:
    """Each row times its factor."""
    data = matrix.data * np.repeat(factor, np.diff(matrix.indptr))
    return compressed(data, matrix.indices, matrix.indptr, matrix.shape)


def _contract_form(names: pd.Index, risk: ContractRisk, periods: float) -> VarianceForm:
    """A ContractRisk's rows over these contracts. Raises DataError for a contract it does not know."""
    at = risk.names.get_indexer(names)
    if (at < 0).any():
        raise DataError(f"the risk does not know {names[at < 0][0]}; fit it on this market")
    if not np.isclose(periods, risk.periods, rtol=1e-9):
        raise SpecError(
            f"the risk is fitted over {risk.periods:g} periods, the horizon has {periods:g}; fit it on that"
        )
    dense, few = (np.array(kind, dtype=object) == GAMMA for kind in (risk.sources, risk.specific_sources))
    root, specifics = risk.root[:, at], sp.csr_array(risk.specifics[:, at])
    label = lambda kind, gamma: tuple(str(name) for name, g in zip(kind, gamma, strict=True) if not g)  # noqa: E731
    return VarianceForm(
        factors=root[~dense], specifics=specifics[np.flatnonzero(~few)], own=risk.own[at] ** 2,
        gamma=root[dense], gamma_specifics=specifics[np.flatnonzero(few)],
        sources=(label(risk.sources, dense), label(risk.specific_sources, few)),
    )  # fmt: skip


def _gamma_rows(market: Market, positions: Array, risk: Risk, periods: float) -> tuple[Array, sp.csr_array]:
    none = np.zeros((0, len(positions)))
    convexity = _columns(market.convexity, positions) if market.convexity.nnz else market.convexity
    active = np.flatnonzero(np.diff(convexity.indptr))
    if not len(active):
        return none, _no_rows(len(positions))
    drivers = market.price_drivers[active]
    known = risk.drivers.get_indexer(drivers)
    if (known < 0).any():
        raise DataError(f"options on {drivers[known < 0][0]} need its risk for their gamma; add the driver's history")
    convexity = _rows(convexity, active)
    products, own = squared_covariance_root(risk.root[:, known], risk.specific[known])
    scale = periods / np.sqrt(2.0)
    some = np.flatnonzero(own > 0)
    dense = scale * _over_contracts(products, convexity)
    return dense, _scaled(_rows(convexity, some), scale * own[some])


def squared_covariance_root(root: Array, specific: Array) -> tuple[Array, Array]:
    """K (g x U) and e (U) with K'K + diag(e^2) = C o C, the entrywise square of C = root'root + diag(specific^2).

    The k(k+1)/2 products of factors where they are fewer than the U drivers, else a Cholesky root and e = 0.
    """
    k, size = root.shape
    s = specific**2
    if k * (k + 1) // 2 < size:
        first, second = np.triu_indices(k)
        products = root[first] * root[second] * np.where(first == second, 1.0, np.sqrt(2.0))[:, None]
        return products, np.sqrt(s * (2 * (root**2).sum(axis=0) + s))
    squared = (root.T @ root + np.diag(s)) ** 2
    try:
        return np.linalg.cholesky(squared).T, np.zeros(size)
    except np.linalg.LinAlgError:  # collinear drivers: singular, still positive semidefinite
        values, vectors = np.linalg.eigh(squared)
        return (vectors * np.sqrt(np.clip(values, 0, None))).T, np.zeros(size)


def variance_by_contract(form: VarianceForm, quantities: Array) -> Array:
    """q_i (Sigma q)_i, base currency squared over the horizon, for N contracts: they sum to the variance."""
    pull = form.own * quantities
    for rows in (form.factors, form.specifics, form.gamma, form.gamma_specifics):
        pull = pull + rows.T @ (rows @ quantities)
    return quantities * pull
