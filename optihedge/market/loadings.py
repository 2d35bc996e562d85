"""Loadings: base currency per contract for a unit move of each driver, and what no driver speaks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.market.drivers import tenor_years
from optihedge.market.exposures import Sensitivities, tenor_weights
from optihedge.market.pricing import SECONDS_PER_YEAR
from optihedge.market.valuation import Paths, tenor_ladders


@dataclass(frozen=True, eq=False)
class Loadings:
    """matrix: D x N (CSR), base currency per contract per unit move of the driver."""

    matrix: sp.csr_array
    drivers: pd.Index


def contract_loadings(
    s: Sensitivities, instruments: pd.DataFrame, drivers: pd.DataFrame, paths: Paths, as_of: pd.Timestamp
) -> tuple[sp.csr_array, pd.DataFrame]:
    """The loadings, D x N, and the sensitivities left without a driver: N x (vega, basis, rho), desk units.

    Price: the contract's delta on its own driver. Currencies: its value moves with the pairs between its currency and
    base; where the underlying is quoted in another currency, its delta with the pairs between the two. Vol and rate:
    linear between the tenors of the underlying (currency). Basis: the driver of its expiry, or of the perpetual; a
    contract that is its own underlying has none.
    """
    count = len(instruments)
    own = np.flatnonzero(paths.driver >= 0)
    triplets = [(paths.driver[own], own, s.delta[own])]
    carried = sp.diags_array(s.value - s.outright) @ paths.signs + sp.diags_array(s.outright) @ paths.quote_signs
    pairs = sp.coo_array(carried)
    foreign = pairs.col != paths.driver[pairs.row]
    triplets.append((pairs.col[foreign], pairs.row[foreign], pairs.data[foreign]))

    years = (instruments["expiry"] - as_of).dt.total_seconds().to_numpy() / SECONDS_PER_YEAR
    vega, rho = s.vega, s.rho
    covered = {}
    for kind, amount, by in (("vol", vega, "underlying"), ("rate", rho, "currency")):
        spoken = np.zeros(count, dtype=bool)
        for name, positions, tenors in tenor_ladders(drivers, kind):
            rows = np.flatnonzero((instruments[by] == name).to_numpy() & (amount != 0))
            lower, upper, weight = tenor_weights(years[rows], tenors)
            triplets.append((positions[lower], rows, amount[rows] * (1 - weight)))
            triplets.append((positions[upper], rows, amount[rows] * weight))
            spoken[rows] = True
        covered[kind] = spoken
    itself = (instruments["underlying"] == instruments.index).to_numpy()
    basis, covered["basis"] = _basis(np.where(itself, 0.0, s.basis), instruments, drivers, years)
    covered["basis"] |= itself
    triplets += basis
    row, column, value = (np.concatenate(parts) for parts in zip(*triplets, strict=True))
    keep = value != 0
    matrix = sp.coo_array((value[keep], (row[keep], column[keep])), shape=(len(drivers), count)).tocsr()
    unmodelled = pd.DataFrame(
        {
            "vega": np.where(covered["vol"], 0.0, vega * 0.01),
            "basis": np.where(covered["basis"], 0.0, s.basis * 1e-4),
            "rho": np.where(covered["rate"], 0.0, rho * 1e-4),
        },
        index=instruments.index,
    )
    unmodelled.attrs["unit"] = {
        "vega": "base currency per vol point",
        "basis": "base currency per basis point of ln(F/S)",
        "rho": "base currency per basis point",
    }
    return matrix, unmodelled


def _basis(
    amount: np.ndarray, instruments: pd.DataFrame, drivers: pd.DataFrame, years: np.ndarray
) -> tuple[list[tuple[np.ndarray, np.ndarray, np.ndarray]], np.ndarray]:
    """Triplets of the basis drivers, and which contracts they speak for."""
    spoken = np.zeros(len(instruments), dtype=bool)
    triplets = []
    day = instruments["expiry"].dt.normalize()
    undated = instruments["expiry"].isna().to_numpy()
    for name, rows in drivers[drivers["kind"] == "basis"].groupby("underlying", sort=False):
        mine = (instruments["underlying"] == name).to_numpy() & (amount != 0)
        floating, tenors = [], []
        for label, tenor in rows["tenor"].items():
            position = drivers.index.get_loc(label)
            when = tenor_years(tenor) if tenor not in ("", "perpetual") else None
            if isinstance(when, float):
                floating.append(position)
                tenors.append(when)
                continue
            if tenor == "":
                chosen = mine
            elif when is None:
                chosen = mine & undated
            else:
                chosen = mine & (day == when).to_numpy()
            at = np.flatnonzero(chosen & ~spoken)
            triplets.append((np.full(at.size, position), at, amount[at]))
            spoken[at] = True
        if floating:
            order = np.argsort(tenors, kind="stable")
            at = np.flatnonzero(mine & ~undated & ~spoken)
            lower, upper, weight = tenor_weights(years[at], np.asarray(tenors)[order])
            positions = np.asarray(floating)[order]
            triplets.append((positions[lower], at, amount[at] * (1 - weight)))
            triplets.append((positions[upper], at, amount[at] * weight))
            spoken[at] = True
    return triplets, spoken


def convexity_rows(
    s: Sensitivities, matrix: sp.csr_array, drivers: pd.DataFrame, paths: Paths
) -> tuple[np.ndarray, sp.csr_array]:
    """Positions of the price drivers that a contract stands on, U, and S_u^2 gamma, U x N, base currency.

    A value whose currency lies behind a pair quoted the other way round goes as 1/S of that pair: gamma 2 V.
    """
    price = (drivers["kind"] == "price").to_numpy() & (np.diff(matrix.indptr) > 0)
    rows = np.union1d(paths.driver[paths.driver >= 0], np.flatnonzero(price))
    own = np.flatnonzero((paths.driver >= 0) & (s.gamma != 0))
    pairs = sp.coo_array(paths.signs)
    bent = (pairs.data < 0) & (pairs.col != paths.driver[pairs.row])
    row = np.concatenate([paths.driver[own], pairs.col[bent]])
    column = np.concatenate([own, pairs.row[bent]])
    value = np.concatenate([s.gamma[own], 2 * s.value[pairs.row[bent]]])
    full = sp.coo_array((value, (row, column)), shape=(len(drivers), len(s.value))).tocsr()
    full.eliminate_zeros()
    return rows, full[rows]
