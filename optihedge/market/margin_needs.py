"""What contracts need under rules of margin, as arrays: losses by scenario, own needs, credits, pairs, collateral."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.instruments import types_of
from optihedge.market.margin import MarginRules
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market

Array = np.ndarray
_MONTH, _DAY = 30 / 365, 1 / 365
_COLLATERAL = ("cash", "spot")


@dataclass(frozen=True, eq=False)
class Credit:
    """A spread between two underlyings. first, second  codes;  losses  S x 2, what one spread's units of each lose when
    long, base currency;  share  of what both scan alone that a spread does not need, see `MarginRules.credits`."""

    first: int
    second: int
    losses: Array
    share: float

    @classmethod
    def of(cls, first: int, second: int, losses: Array, share: float) -> Credit:
        smaller, larger = np.sort(np.abs(losses).max(axis=0, initial=0.0))
        both = smaller + larger
        return cls(first, second, losses, min(share, 2 * smaller / both if both > 0 else 0.0))

    @property
    def prices(self) -> Array:
        """What one spread needs, the first long and the first short."""
        up, down = self.losses.max(axis=0, initial=0.0), (-self.losses).max(axis=0, initial=0.0)
        return (1 - self.share) * np.array([up[0] + down[1], down[0] + up[1]])


@dataclass(frozen=True, eq=False)
class Pairable:
    """Contracts that pairs are looked for, by place among the N.

    options   their places;  right, strike, years, units  of each: strikes in base currency, units of the underlying
    naked     what one short contract needs alone beside its value;  value  base currency
    covered   what one needs that the underlying covers: the underlying counts at the strike where that is the worse
    covers    places of what is the underlying itself, with `cover_units` a contract, whose own margin is `cover_need`
    """

    options: Array
    right: Array
    strike: Array
    years: Array
    units: Array
    naked: Array
    value: Array
    covered: Array
    covers: Array
    cover_units: Array
    cover_need: Array


@dataclass(frozen=True, eq=False)
class Needs:
    """What N contracts need under rules, base currency per contract. S scenarios.

    code          of the underlying, N integers
    losses        S x N, of one long contract, weighted; gains are negative; 0 of what is collateral
    both          beside the scan, long or short;  long, short  what is long, what is short
    strike        code of the strike it is netted at, -1 for none;  at_strike  per contract net short there
    steps         rows of contract, notional of one, notional from which, share beyond it: see `MarginRules.tiers`
    credits       between underlyings;  pairs  what pairs are looked for, or None
    counted       share of its value that counts as collateral; NaN of what is none
    """

    code: Array
    losses: Array
    both: Array
    long: Array
    short: Array
    strike: Array
    at_strike: Array
    steps: Array
    credits: tuple[Credit, ...]
    pairs: Pairable | None
    counted: Array

    @classmethod
    def of(cls, market: Market, rules: MarginRules, names: pd.Index) -> Needs:
        """Raises DataError for a contract that arrays leave out."""
        table, at = market.instruments.loc[names], market.names.get_indexer(names)
        notional, kinds = np.abs(market.notional.to_numpy(float)[at]), table["type"]
        counted = np.where(kinds.isin(_COLLATERAL), 1 - table["underlying"].map(dict(rules.haircut)).astype(float),
                           np.nan)  # fmt: skip
        margined = np.isnan(counted)
        of_type = lambda given: kinds.map(dict(given)).astype(float).fillna(0.0).to_numpy()  # noqa: E731
        rate = pd.Series(dict(rules.rate), dtype=float).reindex(names).fillna(0.0).to_numpy()
        both = np.where(margined, of_type(rules.share) * notional + rate, 0.0)
        long = of_type(rules.long) * np.maximum(market.value.to_numpy(float)[at], 0.0)
        short, pairs = _short(market, rules, names), None
        if rules.pairs:
            pairs = _pairable(market, rules, names, short, both)
            paired = np.isin(np.arange(len(names)), pairs.options)
            long, short = np.where(paired, 0.0, long), np.where(paired, 0.0, short)
            both = np.where(np.isin(np.arange(len(names)), pairs.covers), 0.0, both)
        code, labels = pd.factorize(table["underlying"])
        alike = pd.MultiIndex.from_frame(table[["underlying", "expiry", "strike"]])
        option = market.contracts.take(at).option
        return cls(
            code=code, losses=np.where(margined, scanned_losses(market, rules, names), 0.0), both=both, long=long,
            short=short, strike=np.where(option, pd.factorize(alike)[0], -1), at_strike=rules.short_strike * notional,
            steps=_steps(rules, kinds, np.where(margined, notional, 0.0)),
            credits=_credits(market, rules, names, list(labels)), pairs=pairs, counted=counted,
        )  # fmt: skip


def _short(market: Market, rules: MarginRules, names: pd.Index) -> Array:
    """What one short option needs alone beside its value (N)."""
    at, kinds = market.names.get_indexer(names), market.instruments.loc[names, "type"]
    c, notional = market.contracts.take(at), np.abs(market.notional.to_numpy(float)[at])
    share, least = (
        kinds.map({kind: pair[i] for kind, pair in rules.short.items()}).astype(float).fillna(0.0).to_numpy()
        for i in (0, 1)
    )
    strike = np.where(c.option, c.strike / c.spot, 1.0)
    away = np.where(c.option, np.maximum(c.right * (strike - 1), 0.0), 0.0)
    least = least * np.where(rules.least_of_strike & (c.right < 0), strike, 1.0)
    return notional * np.maximum(share - away, least) * (share > 0)


def _pairable(market: Market, rules: MarginRules, names: pd.Index, short: Array, both: Array) -> Pairable:
    at, table = market.names.get_indexer(names), market.instruments.loc[names]
    c, kinds, underlying = market.contracts.take(at), table["type"].to_numpy(), table["underlying"].to_numpy()
    options = np.flatnonzero(c.option & ~c.inverse & np.isin(kinds, list(rules.short)))
    unmargined = ~c.option & ~types_of(table)["margined"] & np.isin(kinds, list(rules.share))
    covers = np.flatnonzero(unmargined & np.isin(underlying, underlying[options]))  # what covers none is margined alone
    right, strike = c.right[options], (c.strike * c.fx)[options]
    inside = np.maximum(right * ((c.spot * c.fx)[options] - strike), 0.0) * c.multiplier[options]
    share = max((rules.share[kind] for kind in kinds[covers]), default=0.0)
    return Pairable(
        options=options, right=right, strike=strike, years=c.years[options], units=c.multiplier[options],
        naked=short[options], value=market.value.to_numpy(float)[at][options], covered=(1 - right * share) * inside,
        covers=covers, cover_units=c.multiplier[covers], cover_need=both[covers],
    )  # fmt: skip


def _steps(rules: MarginRules, kinds: pd.Series, notional: Array) -> Array:
    rows = [
        (i, notional[i], beyond, share - before)
        for kind, steps in rules.tiers.items()
        for i in np.flatnonzero((kinds == kind).to_numpy() & (notional > 0))
        for (beyond, share), before in zip(steps, (0.0, *(step[1] for step in steps)), strict=False)
        if share > before
    ]
    return np.array(rows, dtype=float).reshape(-1, 4)


def _credits(market: Market, rules: MarginRules, names: pd.Index, labels: list[str]) -> tuple[Credit, ...]:
    """Of those whose two underlyings are both among the names."""
    c, table = market.contracts.take(market.names.get_indexer(names)), market.instruments.loc[names, "underlying"]
    found, scan = [], rules.scenarios
    for first, units, second, others, share in rules.credits:
        if first not in labels or second not in labels:
            continue
        legs = []
        for label, count in ((first, units), (second, others)):
            i = int(np.argmax((table == label).to_numpy()))
            move = scan["spot"].to_numpy() * scan["weight"].to_numpy() * rules.ranges.get(label, 1.0)
            legs.append(-count * float(c.spot[i] * c.fx[i]) * move)
        found.append(Credit.of(labels.index(first), labels.index(second), np.stack(legs, axis=1), share))
    return tuple(found)


def scanned_losses(market: Market, rules: MarginRules, names: pd.Index) -> Array:
    """Weighted loss of one long contract in every scenario (S x N), base currency; gains are negative."""
    if rules.arrays:
        moved = types_of(market.instruments.loc[names])
        bare = names[(moved["margined"] | moved["option"]) & ~names.isin(list(rules.arrays) + list(rules.rate))]
        if len(bare):
            raise DataError(f"margin rules: no array of {bare[0]}; add its losses, or its rate")
        none = (0.0,) * len(next(iter(rules.arrays.values())))
        return np.array([rules.arrays.get(name, none) for name in names], dtype=float).reshape(len(names), -1).T
    table = rules.scenarios
    if table.empty:
        return np.zeros((0, len(names)))
    return -_pnl(market, rules, names, np.zeros(1)) * table["weight"].to_numpy()[:, None]


def moved_losses(market: Market, rules: MarginRules, names: pd.Index, moves: Array) -> tuple[Array, Array]:
    """P&L of one contract at each move of all prices (M x N), and the scan made anew there (M x S x N)."""
    at = scenario_pnl(market, pd.DataFrame({"spot": moves}), names).to_numpy(dtype=float)
    table = rules.scenarios
    if rules.arrays or table.empty:
        still = scanned_losses(market, rules, names)
        return at, np.broadcast_to(still, (len(moves), *still.shape))
    beyond = _pnl(market, rules, names, moves).reshape(len(moves), len(table), len(names))
    return at, (at[:, None] - beyond) * table["weight"].to_numpy()[None, :, None]


def _pnl(market: Market, rules: MarginRules, names: pd.Index, moves: Array) -> Array:
    """P&L of one contract after each move and each scenario upon it (M S x N), returns by underlying's range."""
    ranges = market.instruments.loc[names, "underlying"].map(dict(rules.ranges)).astype(float).fillna(1.0).to_numpy()
    pnl = np.zeros((len(moves) * len(rules.scenarios), len(names)))
    for scale in np.unique(ranges):
        mine = ranges == scale
        spots = ((1 + moves)[:, None] * (1 + scale * rules.scenarios["spot"].to_numpy()) - 1).ravel()
        pnl[:, mine] = _pnl_of(market, rules, names[mine], spots)
    return pnl


def _pnl_of(market: Market, rules: MarginRules, names: pd.Index, spots: Array) -> Array:
    """P&L of one contract under these returns, each with the vol of the rules' scenarios in turn (rows x N)."""
    vol = np.resize(rules.scenarios["term"].to_numpy(), len(spots))
    if rules.powers is None:
        return scenario_pnl(market, pd.DataFrame({"spot": spots, "term": vol}), names).to_numpy(dtype=float)
    c = market.contracts.take(market.names.get_indexer(names))
    life, now = np.maximum(np.nan_to_num(c.years, nan=_MONTH), _DAY), np.where(c.option, c.vol, 0.0)
    power = np.where(life < _MONTH, *rules.powers)
    then = np.maximum(
        now * (1 + vol[:, None] * (_MONTH / life) ** power), np.where(vol > 0, rules.least_vol, 0.0)[:, None]
    )
    change = np.where(c.option, then - now, 0.0)
    return scenario_pnl(market, pd.DataFrame({"spot": spots}), names, vols=change).to_numpy(dtype=float)
