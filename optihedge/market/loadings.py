"""Loadings: base currency per contract for a unit move of each driver, and what no driver speaks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.market.drivers import tenor_years
from optihedge.market.exposures import Sensitivities, tenor_weights
from optihedge.market.instruments import types_of
from optihedge.market.pricing import SECONDS_PER_YEAR
from optihedge.market.valuation import Paths, tenor_ladders
from optihedge.readonly import coded, instants, kept, read_only, texts, told

UNSPOKEN = {
    "vega": "base currency per vol point",
    "basis": "base currency per basis point of ln(F/S)",
    "rho": "base currency per basis point",
}
"""Sensitivities that may be left without a driver, and their units."""


@dataclass(frozen=True, eq=False)
class Loadings:
    """Base currency per contract per unit move of the driver, D x N (CSR).

    matrix   of all;  skew   of it, what vol drivers at the moving forward add to the spot's (see `market.skew`)
    """

    matrix: sp.csr_array
    drivers: pd.Index
    skew: sp.csr_array


def contract_loadings(
    s: Sensitivities, instruments: pd.DataFrame, drivers: pd.DataFrame, paths: Paths, shares: Shares
) -> tuple[sp.csr_array, dict[str, np.ndarray]]:
    """The loadings, D x N, and by vega, basis and rho the sensitivities (N) left without a driver, desk units.

    Price: the contract's delta on its own driver. Currencies: its value moves with the pairs between its currency and
    base; where the underlying is quoted in another currency, its delta with the pairs between the two. Vol, rate and
    basis: by `shares`; a contract that is its own underlying has no basis.
    """
    shape = (len(drivers), len(instruments))
    own = np.flatnonzero(paths.driver >= 0)
    triplets: Triplets = [(paths.driver[own], own, s.delta[own])]
    for signs, amount in ((paths.signs, s.value - s.outright), (paths.quote_signs, s.outright)):
        contract = np.repeat(np.arange(shape[1]), np.diff(signs.indptr))
        foreign = signs.indices != paths.driver[contract]
        pair, contract, sign = signs.indices[foreign], contract[foreign], signs.data[foreign]
        triplets.append((pair, contract, sign * amount[contract]))
    itself = kept(instruments, "itself", lambda: read_only(_itself(instruments)))
    basis = np.where(itself, 0.0, s.basis)
    amounts = ((shares.vol, s.vega), (shares.rate, s.rho), (shares.basis, basis))
    for share, amount in amounts:  # each column times its amount
        row = np.repeat(np.arange(shape[0]), np.diff(share.indptr))
        triplets.append((row, share.indices, share.data * amount[share.indices]))
    matrix = _sparse(triplets, shape)
    matrix.eliminate_zeros()
    left = {
        name: np.where(np.bincount(share.indices, share.data, shape[1]) > 0, 0.0, amount * unit)
        for name, unit, (share, amount) in zip(("vega", "rho", "basis"), (0.01, 1e-4, 1e-4), amounts, strict=True)
    }
    return matrix, left


def _itself(instruments: pd.DataFrame) -> np.ndarray:
    """Contracts that are their own underlying, N booleans."""
    codes, underlyings = coded(instruments, "underlying")
    place = instruments.index.get_indexer(list(underlyings))
    listed = np.flatnonzero(place >= 0)
    found = np.zeros(len(instruments), dtype=bool)
    found[place[listed]] = codes[place[listed]] == listed
    return found


@dataclass(frozen=True, eq=False)
class Shares:
    """How much of each driver's move reaches each contract, D x N, in [0, 1]: vols, rates and bases.

    Vol and rate: linear between the tenors of the underlying (of the currency). Basis: the driver of its expiry's date,
    or of the perpetual; else linear between tenors. A driver of the contract itself goes before one of its venue, and
    that before one of no venue.
    """

    vol: sp.csr_array
    rate: sp.csr_array
    basis: sp.csr_array

    @classmethod
    def of(cls, instruments: pd.DataFrame, drivers: pd.DataFrame, as_of: pd.Timestamp) -> Shares:
        """For the market of this instant."""
        kinds, ends = types_of(instruments), instants(instruments, "expiry")
        left = (ends.view("i8") - as_of.as_unit("ns").value) / (1e9 * SECONDS_PER_YEAR)
        years = np.where(np.isnat(ends), np.nan, left)
        return cls(
            vol=_between_tenors("underlying", instruments, kinds["volatile"], years, drivers, "vol", as_of),
            rate=_between_tenors("currency", instruments, kinds["option"], years, drivers, "rate", as_of),
            basis=_basis_shares(instruments, kinds["margined"] | kinds["option"], years, drivers),
        )


Triplets = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def _between_tenors(
    by: str,
    instruments: pd.DataFrame,
    chosen: np.ndarray,
    years: np.ndarray,
    drivers: pd.DataFrame,
    kind: str,
    as_of: pd.Timestamp,
) -> sp.csr_array:
    ends = instants(instruments, "expiry")
    triplets: Triplets = []
    spoken = np.zeros(len(instruments), dtype=bool)
    for members, speaking in _scopes(instruments, drivers, kind):
        mine = chosen & members & ~spoken
        of = lambda name, mine=mine: told(instruments, by, name) & mine  # noqa: E731
        for name, positions, tenors in tenor_ladders(drivers, speaking, of, ends, as_of):
            rows = np.flatnonzero(of(name))
            triplets += _ladder(rows, years[rows], positions, tenors)
            spoken[rows] = True
    return _sparse(triplets, (len(drivers), len(instruments)))


def _scopes(instruments: pd.DataFrame, drivers: pd.DataFrame, kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Whom drivers of a kind speak for (N booleans) and where they are: those of one contract first, then those of a
    venue, then those of anybody.
    """
    mine = np.flatnonzero(told(drivers, "kind", kind))
    (contract, contracts), (venue, venues) = (coded(drivers, column) for column in ("instrument", "venue"))
    scopes = []
    for one, place in dict.fromkeys(zip(contract[mine].tolist(), venue[mine].tolist(), strict=True)):
        members = _members(instruments, contracts[one], venues[place])
        ours = mine[(contract[mine] == one) & (venue[mine] == place)]
        scopes.append(((not contracts[one], not venues[place]), members, ours))
    return [(members, ours) for _, members, ours in sorted(scopes, key=lambda scope: scope[0])]


def _members(instruments: pd.DataFrame, contract: object, venue: object) -> np.ndarray:
    """Whom a driver of this contract and venue speaks for, N booleans; an empty one is any."""
    members = np.ones(len(instruments), dtype=bool)
    if contract:
        members = np.zeros(len(instruments), dtype=bool)
        members[instruments.index.get_indexer([contract])] = contract in instruments.index
    return members & told(instruments, "venue", venue) if venue else members


def _basis_shares(
    instruments: pd.DataFrame, free: np.ndarray, years: np.ndarray, drivers: pd.DataFrame
) -> sp.csr_array:
    ends = instants(instruments, "expiry")
    day, undated = ends.astype("datetime64[D]"), np.isnat(ends)
    triplets: Triplets = []
    spoken = np.zeros(len(instruments), dtype=bool)
    floating: dict[object, list[tuple[float, int]]] = {}
    columns = [texts(drivers, name).tolist() for name in ("instrument", "venue", "underlying", "tenor")]
    speaking = [(at, *(column[at] for column in columns)) for at in np.flatnonzero(told(drivers, "kind", "basis"))]
    speaking.sort(key=lambda one: (one[1] == "", one[2] == ""))  # a contract's own, then its venue's speak first
    for position, contract, venue, name, tenor in speaking:
        when = tenor_years(tenor) if tenor not in ("", "perpetual") else None
        if isinstance(when, float):
            floating.setdefault(name, []).append((when, position))
            continue
        chosen = free & told(instruments, "underlying", name) & ~spoken
        if tenor and not contract:
            chosen &= undated if when is None else day == when.to_datetime64().astype("datetime64[D]")
        at = np.flatnonzero(chosen & _members(instruments, contract, venue) if contract or venue else chosen)
        triplets.append((np.full(at.size, position), at, np.ones(at.size)))
        spoken[at] = True
    for name, ladder in floating.items():
        tenors, positions = (np.array(part) for part in zip(*sorted(ladder, key=lambda one: one[0]), strict=True))
        at = np.flatnonzero(free & told(instruments, "underlying", name) & ~undated & ~spoken)
        triplets += _ladder(at, years[at], positions, tenors)
    return _sparse(triplets, (len(drivers), len(instruments)))


def _ladder(rows: np.ndarray, years: np.ndarray, positions: np.ndarray, tenors: np.ndarray) -> Triplets:
    lower, upper, weight = tenor_weights(years, tenors)
    return [(positions[lower], rows, 1 - weight), (positions[upper], rows, weight)]


def _sparse(triplets: Triplets, shape: tuple[int, int]) -> sp.csr_array:
    if not triplets:
        return sp.csr_array(shape)
    row, column, value = (np.concatenate(parts) for parts in zip(*triplets, strict=True))
    return sp.coo_array((value, (row, column)), shape=shape).tocsr()


def convexity_rows(
    s: Sensitivities, matrix: sp.csr_array, drivers: pd.DataFrame, paths: Paths
) -> tuple[np.ndarray, sp.csr_array]:
    """Positions of the price drivers that a contract stands on, U, and S_u^2 gamma, U x N, base currency.

    A value whose currency lies behind a pair quoted the other way round goes as 1/S of that pair: gamma 2 V.
    """
    stood = told(drivers, "kind", "price") & (np.diff(matrix.indptr) > 0)
    stood[paths.driver[paths.driver >= 0]] = True
    rows = np.flatnonzero(stood)
    own = np.flatnonzero((paths.driver >= 0) & (s.gamma != 0))
    if not own.size and not paths.signs.nnz:
        return rows, sp.csr_array((len(rows), len(s.value)))
    pairs = sp.coo_array(paths.signs)
    bent = (pairs.data < 0) & (pairs.col != paths.driver[pairs.row])
    row = np.concatenate([paths.driver[own], pairs.col[bent]])
    column = np.concatenate([own, pairs.row[bent]])
    value = np.concatenate([s.gamma[own], 2 * s.value[pairs.row[bent]]])
    full = sp.coo_array((value, (row, column)), shape=(len(drivers), len(s.value))).tocsr()
    full.eliminate_zeros()
    return rows, full[rows]
