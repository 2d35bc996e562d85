"""What a market says of its drivers: contracts' loadings on them, risks none of them speaks for, and their moves."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.market.drivers import kinds_and_markets
from optihedge.market.levels import every_move, moves_of
from optihedge.market.loadings import UNSPOKEN, Loadings, Shares, contract_loadings, convexity_rows
from optihedge.market.per_contract import PerContract
from optihedge.market.skew import skew_loadings
from optihedge.readonly import kept, read_only, read_only_property


class PerDriver(PerContract):
    """Loadings of the N contracts on the D drivers of a market, and the moves of these."""

    @read_only_property
    def _loadings(self) -> tuple[sp.csr_array, dict[str, np.ndarray]]:
        return contract_loadings(self.sensitivities, self.instruments, self.drivers, self.paths, self.shares)

    @read_only_property
    def shares(self) -> Shares:
        """How much of each vol, rate and basis driver's move reaches each contract."""
        return Shares.of(self.instruments, self.drivers, self.as_of)

    @read_only_property
    def loadings(self) -> Loadings:
        """D x N, base currency per contract per unit move of each driver."""
        own, matrix = self.own_loadings, self._loadings[0]
        skew = skew_loadings(
            self.sensitivities, self.contracts, self.instruments, self.drivers, self.paths, self.shares.vol
        )  # fmt: skip
        if own is not None:
            column = self.names.get_indexer(own["instrument"])
            keep = np.ones(len(self.names))
            keep[column] = 0.0
            given = (own["loading"].to_numpy(), (self.drivers.index.get_indexer(own["driver"]), column))
            skew = sp.csr_array(skew @ sp.diags_array(keep))
            matrix = sp.csr_array(matrix @ sp.diags_array(keep) + sp.coo_array(given, shape=matrix.shape))
        if skew.nnz or own is not None:
            matrix = sp.csr_array(matrix + skew)
            matrix.eliminate_zeros()
        return Loadings(matrix, self.drivers.index, skew)

    @read_only_property
    def unmodelled(self) -> pd.DataFrame:
        """Vega, basis and rho per contract that no driver speaks for (attrs["unit"]); rows with any."""
        frame = pd.DataFrame(self.unspoken, index=self.names)
        chosen = frame[(frame != 0).any(axis=1)]
        chosen.attrs["unit"] = dict(UNSPOKEN)
        return chosen

    @cached_property
    def unspoken(self) -> dict[str, np.ndarray]:
        """By vega, basis and rho, N each: what no driver speaks for, desk units; 0 where the desk gave loadings."""
        left = {name: self._loadings[1][name] for name in UNSPOKEN}
        if self.own_loadings is not None:
            given = self.names.isin(self.own_loadings["instrument"])
            left = {name: np.where(given, 0.0, values) for name, values in left.items()}
        return {name: read_only(values) for name, values in left.items()}

    @read_only_property
    def _convexity(self) -> tuple[np.ndarray, sp.csr_array]:
        return convexity_rows(self.sensitivities, self.loadings.matrix, self.drivers, self.paths)

    @property
    def price_rows(self) -> np.ndarray:
        """Positions of `price_drivers` among the drivers, U."""
        return self._convexity[0]

    @property
    def price_drivers(self) -> pd.Index:
        """The U price drivers that some contract stands on."""
        return self.drivers.index[self.price_rows]

    @property
    def convexity(self) -> sp.csr_array:
        """U x N: S^2 gamma by price driver, base currency per squared return."""
        return self._convexity[1]

    @property
    def price_delta(self) -> sp.csr_array:
        """U x N: cash delta by price driver, vols held, base currency."""
        return sp.csr_array(self.loadings.matrix - self.loadings.skew)[self._convexity[0]]

    def moves(
        self, rows: int | None = None, *, drivers: pd.Index | None = None, ragged: bool = True, copy: bool = True
    ) -> pd.DataFrame:
        """The last `rows` moves of the drivers (all, or these), T x D, all by default. Raises DataError if too few.

        Every driver has its own history: a move next to a missing level is NaN, so that a late listing, a gap or a dead
        feed cuts nobody else's; a driver closed at weekends moves from Friday to Monday. ragged=False: the complete
        rows alone, as many as the shortest driver has. copy=False: read-only where one is spared.
        attrs: periods_per_year, kinds (driver -> kind), and markets (the drivers marked market).
        """
        chosen = self.drivers if drivers is None else self.drivers.loc[drivers]
        count = len(self.history) - 1
        if ragged and 0 < count >= (count if rows is None else rows):
            last = slice(0 if rows is None else count - rows, None)
            values = every_move(self.history, self.drivers)[last]
            if drivers is not None:
                values = values.take(self.drivers.index.get_indexer(drivers), axis=1)
            elif copy:
                values = values.copy()
            names = self.history.columns if drivers is None else chosen.index
            moves = pd.DataFrame(values, self.history.index[1:][last], names, copy=False)
        else:
            moves = moves_of(self.history[chosen.index], chosen, rows, ragged=ragged)
        kinds, markets = kept(chosen, "kinds", lambda: kinds_and_markets(chosen))
        moves.attrs = {"periods_per_year": self.periods_per_year, "kinds": kinds, "markets": markets}
        return moves
