"""SmileRisk: the risk of a book of options and what hedges it, from one chain on, by full revaluation.

Every contract is revalued under the moves of `smile_law`, drawn for all underlyings at once. Its P&L splits, exactly in
the sample, into a part linear in the moves and a rest of second order; the linear part takes the price drivers' own
risk where they have a history, so that stocks and futures stand beside options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.linalg import block_diag, cho_factor, cho_solve

from optihedge.errors import SpecError
from optihedge.frames import some
from optihedge.market.drivers import RETURNS
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market
from optihedge.readonly import coded, texts, told
from optihedge.risk.contract_risk import GAMMA, ContractRisk
from optihedge.risk.estimator import ContractRiskEstimator
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.prior import LEAST, fitted_risk
from optihedge.risk.root import Risk
from optihedge.risk.smile_law import (
    MOST_STICKY,
    SOURCES,
    WORDS,
    SmilePrior,
    basis_rows,
    blended,
    compressed,
    own_variance,
    standard_draws,
    usual_noise,
    word_covariance,
    word_root,
)
from optihedge.risk.smile_state import SmileState, chain_underlyings, smile_state
from optihedge.risk.smile_table import SmileTable

Array = np.ndarray
_TOGETHER = 8  # underlyings whose moves are drawn at once
_ROWS = 28  # of second order per underlying: with four of first order, 32


class SmileRisk(ContractRiskEstimator):
    """Risk of contracts from today's chain and a prior relative to its vol, refined by the history there is.

    prior     a SmilePrior, or a mapping of its fields
    history   the smile's past moves (see `smile_table.SmileTable`); None: the market's smile table, if it has one
    prices    estimator of the price drivers' moves (EwmaRisk); the chain's vol is their prior, worth `weight` moves
    weight    n0: periods of history that the prior counts as
    draws     moves drawn, in pairs of opposite sign;  seed  of the draws
    tails     None (normal), degrees of freedom of a Student law (> 2), or "own": the history's

    It speaks for spot, vol, skew, basis and each option's own noise (an instrument's `own_risk` replaces the last) of
    every underlying with a chain, in place of its vol drivers; for other drivers by history and prior. sigma is about
    the mean: theta and carry are no risk. Learns `risk_` (ContractRisk over the horizon), `states_` (SmileState each).
    Example: HedgeModel(risk=SmileRisk(), objective=(Volatility(), SpreadCost(), FeeCost())).hedge(market, book)

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> model = oh.HedgeModel(risk=oh.SmileRisk(), objective=(oh.Volatility(), oh.SpreadCost(), oh.FeeCost()))
    >>> model.hedge(market, book).certificate.optimal
    True
    """

    def __init__(
        self,
        prior: SmilePrior | dict[str, Any] | None = None,
        history: pd.DataFrame | None = None,
        prices: Any = None,
        weight: float = 20.0,
        draws: int = 200,
        seed: int = 0,
        tails: float | str | None = None,
    ) -> None:
        self.prior = prior
        self.history = history
        self.prices = prices
        self.weight = weight
        self.draws = draws
        self.seed = seed
        self.tails = tails

    def fit(self, market: Market, periods: float = 1.0) -> Self:
        """Learn the risk of every contract of the market over `periods`. Raises DataError, SpecError."""
        prior, past, states, prices, words = self._read(market)
        linear, rest, sparse_rest, lost = self._revalued(market, words, past, periods)
        root, specifics, sources, specific_sources = _linear_rows(market, words, prices, linear, prior.across, periods)
        basis = _basis(market, words, prices, prior.basis, periods)
        own = self._own(market, states, past, prior, periods)
        self.states_ = {state.underlying: state for state in states}
        self.risk_ = ContractRisk(
            names=market.names,
            root=np.vstack([root, rest]),
            sources=(*sources, *[GAMMA] * len(rest)),
            specifics=sp.csr_array(sp.vstack([specifics, basis, sparse_rest])),
            specific_sources=(*specific_sources, *["basis"] * basis.shape[0], *[GAMMA] * sparse_rest.shape[0]),
            own=np.sqrt(own + lost),
            periods=periods,
            periods_per_year=market.periods_per_year,
            driver_volatility=prices.risk.volatility(),
            notes=(*words.notes, *prices.risk.notes, *past.notes()),
        )
        return self

    def shocks(self, market: Market, periods: float = 1.0) -> pd.DataFrame:
        """The moves drawn for this market over `periods`, as scenarios' words: draws x (spot:U, vol:U, ..., days).

        Raises SpecError for more underlyings than the draws can tell apart.
        """
        _, past, _, _, words = self._read(market)
        count = len(words.names)
        if 8 * count >= self.draws:
            raise SpecError(f"SmileRisk: {self.draws} draws for {count} underlyings; give more than {8 * count} draws")
        if not count:
            raise SpecError("SmileRisk: the market has no option with a vol; its moves are not drawn")
        return words.drawn(np.arange(count), self.draws, self.seed, self._tails(past), market, periods)[0]

    def _read(self, market: Market) -> tuple[SmilePrior, SmileTable, list[SmileState], _Prices, _Words]:
        prior = self._checked()
        past = SmileTable.of(self.history if self.history is not None else market.smile, market.as_of)
        states = [smile_state(market, name) for name in chain_underlyings(market)]
        prices = _Prices.of(market, states, self.prices, self.weight)
        return prior, past, states, prices, _Words.of(states, prices, past, prior, self.weight)

    def _tails(self, past: SmileTable) -> float | tuple[float, ...] | None:
        return past.radii() if isinstance(self.tails, str) else self.tails

    def _checked(self) -> SmilePrior:
        if not self.weight > 0 or self.draws < 20 or self.draws % 2:
            raise SpecError(
                f"SmileRisk: weight is {self.weight}, draws {self.draws}; give weight > 0 and an even 20 draws or more"
            )
        known = self.tails == "own" if isinstance(self.tails, str) else self.tails is None or self.tails > 2
        if not known:
            raise SpecError(f"SmileRisk: tails is {self.tails!r}; give degrees of freedom above 2, or 'own'")
        return SmilePrior(**self.prior) if isinstance(self.prior, dict) else self.prior or SmilePrior()

    def _revalued(
        self, market: Market, words: _Words, past: SmileTable, periods: float
    ) -> tuple[Array, Array, sp.csr_array, Array]:
        """Coefficients of the linear part (4U x N), rows of the rest (dense, sparse), variance that was lost (N)."""
        count, size = len(words.names), len(market.names)
        coefficients, lost = np.zeros((4 * count, size)), np.zeros(size)
        tails = self._tails(past)
        blocks = []
        for first in range(0, count, _TOGETHER):
            chosen = np.arange(first, min(first + _TOGETHER, count))
            mine = np.flatnonzero(np.isin(words.of_contract, chosen))
            shocks, moves, covariance = words.drawn(chosen, self.draws, self.seed, tails, market, periods)
            pnl = scenario_pnl(market, shocks, market.names[mine]).to_numpy()
            pnl = pnl - pnl.mean(axis=0)
            slopes = cho_solve(cho_factor(covariance), moves.T @ pnl / len(pnl))
            coefficients[np.ix_(words.place(chosen), mine)] = slopes
            deviation = np.sqrt(np.einsum("sn,sn->n", pnl, pnl) / len(pnl))
            pnl -= moves @ slopes  # in place: these are the largest arrays of a fit
            pnl /= np.sqrt(len(pnl))
            kept, lost[mine] = compressed(pnl, _ROWS * len(chosen), deviation)
            wide = np.zeros((len(kept), size))
            wide[:, mine] = kept
            blocks.append(wide)
        if count <= _TOGETHER:
            return coefficients, np.vstack([np.zeros((0, size)), *blocks]), sp.csr_array((0, size)), lost
        return coefficients, np.zeros((0, size)), sp.csr_array(sp.vstack([sp.csr_array(b) for b in blocks])), lost

    def _own(
        self, market: Market, states: list[SmileState], past: SmileTable, prior: SmilePrior, periods: float
    ) -> Array:
        """N own variances over the periods: the law of noise, scaled by its history, or what the user gave."""
        scale = np.ones(len(market.names))
        for state in states:
            on = told(market.instruments, "underlying", state.underlying)
            usual = prior.noise * usual_noise(market, state.underlying, state.level)
            scale[on] = past.noise_scale(state.underlying, usual, self.weight)
        given = np.nan_to_num(market.instruments["own_risk"].to_numpy(dtype=float))
        return np.where(given > 0, periods * given**2, own_variance(market, prior.noise * scale, periods))


# ---- moves of the words ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Words:
    """The moves of U smiles over one period: WORDS = root @ (e1 .. e4) each, and how their e correlate.

    names        U underlyings;  drivers  U positions of their spot among the price risk's drivers
    roots        U x 4 x 4
    spots        U x U correlation of e1;  across: of e2, off the diagonal
    of_contract  N: position of each contract's underlying, -1 without a chain
    """

    names: tuple[str, ...]
    drivers: Array
    roots: Array
    spots: Array
    across: float
    of_contract: Array
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, states: list[SmileState], prices: _Prices, past: SmileTable, prior: SmilePrior, weight: float
    ) -> _Words:
        names = tuple(state.underlying for state in states)
        drivers = np.array([prices.place[name] for name in names], dtype=int)
        deviation = prices.risk.volatility().to_numpy()[drivers]
        roots = np.zeros((len(names), 4, 4))
        for u, state in enumerate(states):
            law = word_covariance(state, state.level / np.sqrt(prices.risk.periods_per_year), prior)
            moves = past.moves(state.underlying, state.level)[list(WORDS)].to_numpy()
            roots[u] = word_root(blended(law, moves, weight), deviation[u])
        risk = prices.risk
        spots = risk.root[:, drivers].T @ risk.root[:, drivers]
        spots = spots / np.where(deviation > 0, np.outer(deviation, deviation), 1.0)
        np.fill_diagonal(spots, 1.0)
        plain = [state.underlying for state in states if not state.expiries]
        notes = [f"smile of {some(plain)}: too few strikes for a skew, mean vol taken"] if plain else []
        if prior.stickiness > MOST_STICKY:
            notes.append(f"SmileRisk: a stickiness of {prior.stickiness:g} counts as {MOST_STICKY:g}")
        return cls(names, drivers, roots, spots, prior.across, prices.codes(names), tuple(notes))

    def place(self, chosen: Array) -> Array:
        """Positions among 4 U of e1 .. e4 of the chosen underlyings: all e1, then all e2, ..."""
        return np.concatenate([k * len(self.names) + chosen for k in range(4)])

    def drawn(
        self,
        chosen: Array,
        count: int,
        seed: int,
        tails: float | tuple[float, ...] | None,
        market: Market,
        periods: float,
    ) -> tuple[pd.DataFrame, Array, Array]:
        """Shocks of the scenarios, e1 .. e4 of the chosen underlyings (S x 4u), and their covariance."""
        u = len(chosen)
        common = np.where(np.eye(u, dtype=bool), 1.0, self.across)
        spots = self.spots[np.ix_(chosen, chosen)]
        mixing = [_symmetric_root(spots), _symmetric_root(common), np.eye(u), np.eye(u)]
        z = standard_draws(count, u, seed, tails)
        e = np.stack([z[:, :, k] @ root for k, root in enumerate(mixing)], axis=1)  # S x 4 x u
        covariance = block_diag(*(root @ root for root in mixing))
        moves = np.einsum("ukj,sju->sku", self.roots[chosen], e) * np.sqrt(periods)
        shocks = {
            f"{word}:{self.names[one]}": moves[:, k, i] for i, one in enumerate(chosen) for k, word in enumerate(WORDS)
        }
        frame = pd.DataFrame(shocks)
        spot = [f"spot:{self.names[one]}" for one in chosen]
        frame[spot] = np.maximum(frame[spot], -0.95)  # a long horizon's normal tail, no price below zero
        return frame.assign(days=365 * periods / market.periods_per_year), e.reshape(count, 4 * u), covariance


def _symmetric_root(correlation: Array) -> Array:
    """R with R R = the correlation, its least eigenvalues lifted to 1e-9."""
    values, vectors = np.linalg.eigh(correlation)
    return (vectors * np.sqrt(np.maximum(values, 1e-9))) @ vectors.T


# ---- price drivers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Prices:
    """Risk of the drivers that no smile speaks for: prices, pairs, rates, vols without a chain, bases with a history.

    place   underlying -> position of its price driver in the risk
    known   positions of the risk's drivers in the market's
    """

    risk: Risk
    place: dict[str, int]
    known: Array
    underlying: Array

    @classmethod
    def of(cls, market: Market, states: list[SmileState], estimator: Any, weight: float) -> _Prices:
        """The drivers' own risk, with the chain's vol as the prior of its underlying's price, worth `weight` moves."""
        drivers, levels = market.drivers, {state.underlying: state.level for state in states}
        count = market.history.notna().sum().to_numpy() - 1
        basis = told(drivers, "kind", "basis") & (count < LEAST)
        smiles = told(drivers, "kind", "vol") & drivers["underlying"].isin(list(levels)).to_numpy()
        known = np.flatnonzero(~(basis | smiles))
        names = drivers.index[known]
        fitted = fitted_risk(EwmaRisk(halflife=63) if estimator is None else estimator, market, names)
        risk = replace(fitted.reindex(names), notes=fitted.notes)  # others may have helped it
        own = drivers["underlying"].iloc[known].where(drivers["kind"].iloc[known].isin(RETURNS))
        first = own[own.isin(list(levels)) & ~own.duplicated()]
        place = {str(name): int(names.get_loc(driver)) for driver, name in first.items()}
        volatility, scale = risk.volatility().to_numpy(), np.ones(len(names))
        for name, at in place.items():
            n, prior = max(int(count[known[at]]), 0), levels[name] ** 2 / market.periods_per_year
            past = volatility[at] ** 2 if n >= LEAST else _mean_square(market, names[at])
            scale[at] = np.sqrt((weight * prior + n * past) / (weight + n)) / volatility[at]
        scaled = replace(risk.scaled(scale), notes=risk.notes)
        return cls(scaled, place, known, texts(market.instruments, "underlying"))

    def codes(self, names: tuple[str, ...]) -> Array:
        """N: position of each contract's underlying in names, -1 for another."""
        return pd.Index(names, dtype=object).get_indexer(self.underlying)


def _mean_square(market: Market, driver: str) -> float:
    """Of the few moves that a driver has; 0 without any."""
    if len(market.history) < 2:
        return 0.0
    moves = market.moves(drivers=pd.Index([driver])).to_numpy()
    return float(np.nan_to_num(moves**2).sum() / max(np.isfinite(moves).sum(), 1))


# ---- rows over contracts ---------------------------------------------------------------------------------------------


def _linear_rows(
    market: Market, words: _Words, prices: _Prices, slopes: Array, across: float, periods: float
) -> tuple[Array, sp.csr_array, tuple[str, ...], tuple[str, ...]]:
    """Rows of first order: dense and sparse, and what each speaks of. slopes: 4U x N, P&L per unit of e1 .. e4."""
    count, root = len(words.names), np.sqrt(periods)
    loads = sp.lil_array(market.loadings.matrix[prices.known])
    for u in range(count):  # a chain's contracts gain with its spot what their revaluation says
        mine = np.flatnonzero(words.of_contract == u)
        loads[words.drivers[u], mine] = slopes[u, mine] / (words.roots[u, 0, 0] * root)
    loads, risk = sp.csr_array(loads), prices.risk
    dense = [root * np.asarray((loads.T @ risk.root.T).T)]
    sparse = [sp.csr_array(sp.diags_array(root * risk.specific) @ loads)[risk.specific > 0]]
    e2, rest = slopes[count : 2 * count], slopes[2 * count :]
    alone = np.vstack([e2 * np.sqrt(1 - across), rest]) if count > 1 else np.vstack([e2, rest])
    sources, few = [SOURCES[0]] * len(risk.root), count <= _TOGETHER
    if count > 1:
        dense.append(np.sqrt(across) * e2.sum(axis=0)[None, :])
        sources.append(SOURCES[1])
    labels = [SOURCES[1 + k // max(count, 1)] for k in range(len(alone))]
    if few:
        dense.append(alone)
        return np.vstack(dense), sparse[0], (*sources, *labels), (SOURCES[0],) * sparse[0].shape[0]
    sparse.append(sp.csr_array(alone))
    first = (SOURCES[0],) * sparse[0].shape[0]
    return np.vstack(dense), sp.csr_array(sp.vstack(sparse)), tuple(sources), (*first, *labels)


def _basis(market: Market, words: _Words, prices: _Prices, parts: tuple[float, float], periods: float) -> sp.csr_array:
    """Rows of the basis by the prior, for the contracts whose basis no driver with a history speaks for."""
    table = market.instruments
    spoken = np.asarray(market.shares.basis[prices.known].sum(axis=0)).ravel() > 0
    itself = texts(table, "underlying") == table.index.to_numpy(dtype=object)
    basis = np.where(spoken | itself, 0.0, market.sensitivities.basis)
    driver = pd.Index(prices.known).get_indexer(market.paths.driver)
    deviation = np.append(prices.risk.volatility().to_numpy(), 0.0)[driver] * np.sqrt(periods)
    return basis_rows(basis, deviation, coded(table, "underlying")[0], coded(table, "expiry")[0], parts)
