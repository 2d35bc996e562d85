"""Where scenarios come from: specs that Python and model files name, for tail terms and stress tables alike.

Each gives the P&L of contracts, base currency per contract, one row per scenario: drawn moves of the smile, moves of
the past, a grid, stresses, or what a desk computed itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import read_raw, some
from optihedge.market.scenarios import STRESSES, replay, scenario_pnl, shock_grid
from optihedge.market.snapshot import Market
from optihedge.risk.smile_risk import SmileRisk
from optihedge.risk.smile_state import chain_underlyings, smile_state

Array = np.ndarray
_USUAL = 0.20  # level of vol in which the recorded days of stress are told
_MANY = 100  # underlyings that are stressed one by one, whatever is held
_WORST = 0.9  # of a price: no stress loses more
_DEVIATIONS = 6.0  # of a day: the move of the correlated stresses
_TOGETHER = 0.9  # correlation to which they go
_SPIKE = 0.001 * 3 * 365  # funding a year: 0.1 % every 8 hours
_DEPTH = 4.0  # half spreads that closing costs where a quarter of the depth is left


@dataclass(frozen=True)
class ScenarioSource:
    """A spec of scenarios. A subclass has fields and `shocks`, or `pnl` itself.

    own   P&L of some contracts in these scenarios that the desk computed (S x some contracts, or the path of such a
          table): it stands in place of ours, for exotics
    """

    _: KW_ONLY
    own: Any = None

    def shocks(self, market: Market, periods: float) -> pd.DataFrame:
        """The scenarios over so many periods, in the words and drivers of `scenario_pnl`."""
        raise NotImplementedError(f"{type(self).__name__} needs a shocks(self, market, periods) method")

    def pnl(self, market: Market, names: pd.Index, periods: float = 1.0) -> pd.DataFrame:
        """P&L of one contract of each of names, S x N, base currency. Raises DataError, SpecError."""
        pnl = scenario_pnl(market, self.shocks(market, periods), names)
        return pnl if self.own is None else _with_own(pnl, _table(self.own, "own"), names)

    def notes(self, market: Market, names: pd.Index) -> list[str]:
        """What these scenarios assume of the contracts of these names, in sentences."""
        return []

    def closing(self, market: Market, names: pd.Index) -> Array | None:
        """What closing one contract costs in each scenario, S x N, base currency >= 0; None where nothing is closed."""
        return None


@dataclass(frozen=True)
class SmileDraws(ScenarioSource):
    """`count` draws of the moves of `SmileRisk`: spot, vol, term and skew of every underlying with a chain.

    tails   None (normal), degrees of freedom of a Student law, or "own": the smile history's

    >>> import optihedge as oh
    >>> oh.risk.SmileDraws(count=100, seed=1).count
    100
    """

    count: int = 200
    seed: int = 0
    tails: float | str | None = None

    def shocks(self, market: Market, periods: float) -> pd.DataFrame:
        return SmileRisk(draws=self.count, seed=self.seed, tails=self.tails).shocks(market, periods)


@dataclass(frozen=True)
class Replay(ScenarioSource):
    """The last `rows` moves of the drivers' own history (None: all), as they were: a period each.

    >>> import optihedge as oh
    >>> oh.risk.Replay(rows=250).rows
    250
    """

    rows: int | None = None

    def shocks(self, market: Market, periods: float) -> pd.DataFrame:
        return replay(market, self.rows)

    def notes(self, market: Market, names: pd.Index) -> list[str]:
        table, on = market.drivers, {*names, *market.instruments.loc[names, "underlying"]}
        filled = [d for d in replay(market, self.rows).attrs["filled"] if {d, table.at[d, "underlying"]} & on]
        said = "own moves are missing in some rows, where its beta to the market drivers says them"
        return [f"Replay: {some(filled)}: {said}"] if filled else []


@dataclass(frozen=True)
class Grid(ScenarioSource):
    """Every combination of the axes' values: axes = {"spot": (-0.1, 0, 0.1), "vol": (-0.05, 0.05)}.

    >>> import optihedge as oh
    >>> oh.risk.Grid({"spot": (-0.05, 0.0, 0.05)}).axes["spot"]
    (-0.05, 0.0, 0.05)
    """

    axes: Mapping[str, tuple[float, ...]] = None  # type: ignore[assignment]  # refused below

    def __post_init__(self) -> None:
        if not self.axes:
            raise SpecError("Grid: axes are missing; give them, as in { spot = [-0.1, 0.1], vol = [0.0, 0.05] }")

    def shocks(self, market: Market, periods: float) -> pd.DataFrame:
        return shock_grid(self.axes)


@dataclass(frozen=True)
class Stresses(ScenarioSource):
    """Days of stress, told in the vol of today: what every desk is asked for, whatever it holds.

    The recorded days of STRESSES for every underlying at once, scaled by its vol over 20 %; each underlying six daily
    deviations down and up with the others at a correlation of 0.9 (without a chain: of its price driver's prior); the
    basis blown out by a daily deviation each way; funding spiking by 0.1 % every 8 hours each way for the horizon; a
    quarter of the depth left, so that closing costs four half spreads; and every venue frozen while all fall or rise,
    its contracts paying nothing.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> bool(oh.risk.Stresses().pnl(market, market.names).shape[1] == len(market.names))
    True
    """

    def shocks(self, market: Market, periods: float) -> pd.DataFrame:
        return _stresses(market, periods).drop(columns=["frozen", "closing"])

    def pnl(self, market: Market, names: pd.Index, periods: float = 1.0) -> pd.DataFrame:
        table = _stresses(market, periods, names)
        pnl, frozen = scenario_pnl(market, table.drop(columns=["frozen", "closing"]), names), table["frozen"].to_numpy()
        pnl = pnl if self.own is None else _with_own(pnl, _table(self.own, "own"), names)
        venue = market.instruments["venue"].reindex(names).to_numpy()
        return pnl.mask((frozen[:, None] == venue[None, :]) & (frozen != "")[:, None], 0.0)

    def closing(self, market: Market, names: pd.Index) -> Array | None:
        half = market.trade_cost.max(axis=1).reindex(names).fillna(0.0).to_numpy()
        return np.outer(_stresses(market, 1.0, names)["closing"].to_numpy(dtype=float), half)


@dataclass(frozen=True)
class Frame(ScenarioSource):
    """P&L that a desk computed itself: a table (.csv or .parquet), a row per scenario, a column per contract.

    file   its path; a first column `scenario` names the rows

    >>> import optihedge as oh
    >>> oh.risk.Frame("pnl.csv").file.name
    'pnl.csv'
    """

    file: str | Path = ""

    def __post_init__(self) -> None:
        if not str(self.file):
            raise SpecError("Frame: file is missing; give the path of a table of P&L, a column per contract")
        object.__setattr__(self, "file", Path(self.file))  # told apart by its bytes

    def pnl(self, market: Market, names: pd.Index, periods: float = 1.0) -> pd.DataFrame:
        return _chosen(_table(self.file, "Frame"), names)


def scenario_table(
    market: Market, source: ScenarioSource, book: Mapping[str, float] | pd.Series,
    trades: Mapping[str, float] | pd.Series | None = None, periods: float = 1.0,
) -> pd.DataFrame:  # fmt: skip
    """P&L of book, hedge and both in every scenario of the source, S x 3, base currency; closing costs are paid.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> told = oh.risk.scenario_table(market, oh.risk.Grid({"spot": (-0.05, 0.05)}), {"AAPL": 100.0})
    >>> (told["book"] / market.price["AAPL"]).round(6).tolist()
    [-5.0, 5.0]
    """
    parts = {"book": pd.Series(book, dtype=float), "hedge": pd.Series({} if trades is None else trades, dtype=float)}
    held = pd.DataFrame(parts).fillna(0.0)
    held["both"] = held["book"] + held["hedge"]
    pnl = source.pnl(market, held.index, periods)
    closing = source.closing(market, held.index)
    gained = pnl @ held
    return gained if closing is None else gained - closing @ held.abs().to_numpy()


# ---- the parts -----------------------------------------------------------------------------------------------------


def _stresses(market: Market, periods: float, contracts: pd.Index | None = None) -> pd.DataFrame:
    """The table of Stresses: words by underlying, `days`, the venue that is frozen ('' for none), half spreads paid.

    contracts   of more than _MANY underlyings those that these stand on, and one more for all others, which move these
                contracts alike
    """
    names = list(market.drivers.loc[market.drivers["kind"] == "price", "underlying"].unique())
    if contracts is not None and len(names) > _MANY:
        names = _stood_on(market, contracts, names)
    chained = {name: smile_state(market, name).level for name in chain_underlyings(market)}
    level = np.array([chained.get(name, _USUAL) for name in names])
    daily, days = level / np.sqrt(market.periods_per_year), 365 * periods / market.periods_per_year
    blank: dict[str, Any] = {"days": days, "frozen": "", "closing": 0.0}
    rows: dict[str, dict[str, Any]] = {}

    def moved(label: str, spot: Array, term: Array | float = 0.0, **other: Any) -> None:
        row = {f"spot:{name}": max(float(move), -_WORST) for name, move in zip(names, spot, strict=True)}
        up = np.broadcast_to(term, len(names))
        row |= {f"term:{name}": float(rise) for name, rise in zip(names, up, strict=True) if name in chained}
        rows[label] = {**blank, **row, **other}

    for day, stress in STRESSES.iterrows():
        moved(str(day), stress["spot"] * level / _USUAL, stress["term"] * level / _USUAL)
    for i, name in enumerate(names):
        for word, sign in (("down", -1.0), ("up", 1.0)):
            share = np.where(np.arange(len(names)) == i, 1.0, _TOGETHER)
            move = sign * _DEVIATIONS * daily * share
            moved(f"{name} {word}, others {_TOGETHER:g} of it", move, level * (0.5 if sign < 0 else -0.1))
    still = np.zeros(len(names))
    for word, sign in (("up", 1.0), ("down", -1.0)):
        moved(f"basis blown {word}", still, **{f"basis:{n}": sign * d for n, d in zip(names, daily, strict=True)})
        moved(f"funding {word}", still, funding=sign * _SPIKE)
    moved("a quarter of the depth", still, closing=_DEPTH)
    venues = [venue for venue in market.instruments["venue"].unique() if venue]
    for venue in venues if len(venues) > 1 else ():
        for word, sign in (("falls", -1.0), ("rises", 1.0)):
            moved(f"{venue} frozen, all {word}", sign * _DEVIATIONS * daily, level * 0.25, frozen=venue)
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.fillna({column: 0.0 for column in table.columns if column != "frozen"})


def _stood_on(market: Market, contracts: pd.Index, names: list[str]) -> list[str]:
    """Of the underlyings those that a contract is on or moves with, and the first of the others, in order."""
    at = market.names.get_indexer(contracts)
    loads = np.unique(market.loadings.matrix.tocsc()[:, at].indices)
    drivers = market.drivers["underlying"].reindex(market.loadings.drivers[loads])
    near = {*drivers, *market.instruments["underlying"].reindex(contracts)}
    other = next((name for name in names if name not in near), None)
    return [name for name in names if name in near or name == other]


def _table(given: Any, what: str) -> pd.DataFrame:
    """A frame of P&L, or the one at a path."""
    if isinstance(given, pd.DataFrame):
        return given
    path = Path(given)
    if not path.is_file():
        raise DataError(f"{what}: there is no file {path}; give a table of P&L, a row per scenario")
    table = read_raw(path)
    return table.set_index("scenario") if "scenario" in table.columns else table


def _chosen(table: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """The table's columns of these contracts as numbers. Raises DataError for a contract without them."""
    missing = names.difference(table.columns, sort=False)
    if len(missing):
        raise DataError(f"scenarios: no P&L for {missing[0]}; add its column")
    values = table[list(names)].apply(pd.to_numeric, errors="coerce")
    if values.isna().to_numpy().any():
        row, column = np.argwhere(values.isna().to_numpy())[0]
        raise DataError(f"scenarios: P&L of {names[column]} in scenario {table.index[row]} is no number; mend it")
    return values


def _with_own(pnl: pd.DataFrame, own: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """Ours with the desk's columns in place. Raises DataError for another number of scenarios."""
    if len(own) != len(pnl):
        raise DataError(f"scenarios: the desk's own P&L has {len(own)} rows for {len(pnl)} scenarios; give one a row")
    given = own.columns.intersection(names)
    return pnl.assign(**dict(_chosen(own, given).set_axis(pnl.index, axis=0)))
