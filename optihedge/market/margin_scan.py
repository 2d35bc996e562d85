"""What quantities need and stand on under rules of margin: initial margin, collateral, distance to liquidation."""

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
class Needs:
    """What N contracts need under rules, base currency per contract. S scenarios.

    losses        S x N, of one long contract, weighted; gains are negative; 0 of what is collateral
    both          beside the scan, long or short;  long, short  what is long, what is short
    strike        code of the strike it is netted at, -1 for none;  at_strike  per contract net short there
    counted       share of its value that counts as collateral; NaN of what is none
    """

    losses: Array
    both: Array
    long: Array
    short: Array
    strike: Array
    at_strike: Array
    counted: Array

    @classmethod
    def of(cls, market: Market, rules: MarginRules, names: pd.Index) -> Needs:
        """Raises DataError for a contract that arrays leave out."""
        table, at = market.instruments.loc[names], market.names.get_indexer(names)
        notional, kinds = np.abs(market.notional.to_numpy(float)[at]), table["type"]
        counted = np.where(kinds.isin(_COLLATERAL), 1 - table["underlying"].map(dict(rules.haircut)).astype(float),
                           np.nan)  # fmt: skip
        margined = np.isnan(counted)
        rate = pd.Series(dict(rules.rate), dtype=float).reindex(names).fillna(0.0).to_numpy()
        of_type = lambda given: kinds.map(dict(given)).astype(float).fillna(0.0).to_numpy()  # noqa: E731
        c = market.contracts.take(at)
        share, least = (of_type({kind: pair[i] for kind, pair in rules.short.items()}) for i in (0, 1))
        strike = np.where(c.option, c.strike / c.spot, 1.0)
        away = np.where(c.option, np.maximum(c.right * (strike - 1), 0.0), 0.0)
        least = least * np.where(rules.least_of_strike & (c.right < 0), strike, 1.0)
        alike = pd.MultiIndex.from_frame(table[["underlying", "expiry", "strike"]])
        return cls(
            losses=np.where(margined, scanned_losses(market, rules, names), 0.0),
            both=np.where(margined, of_type(rules.share) * notional + rate, 0.0),
            long=of_type(rules.long) * np.maximum(market.value.to_numpy(float)[at], 0.0),
            short=notional * np.maximum(share - away, least) * (share > 0),
            strike=np.where(c.option, pd.factorize(alike)[0], -1), at_strike=rules.short_strike * notional,
            counted=counted,
        )  # fmt: skip

    def margin(self, market: Market, names: pd.Index, held: Array, losses: Array | None = None) -> Array:
        """Initial margin of `held` (N contracts) for each of M sets of losses (M x S x N; by default their own)."""
        given = self.losses[None] if losses is None else losses
        codes, _ = pd.factorize(market.instruments.loc[names, "underlying"])
        scan = np.zeros(len(given))
        if given.shape[1]:
            each = [(given[:, :, codes == code] @ held[codes == code]).max(axis=1) for code in np.unique(codes)]
            scan = np.maximum(np.array(each).reshape(-1, len(given)), 0.0).sum(axis=0)
        own = self.both @ np.abs(held) + self.long @ np.maximum(held, 0.0) + self.short @ np.maximum(-held, 0.0)
        netted = self.strike >= 0
        at_strike = np.bincount(self.strike[netted], (self.at_strike * held)[netted])
        return scan + own + np.maximum(-at_strike, 0.0).sum()


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
    return -_pnl(market, rules, names, table["spot"].to_numpy()) * table["weight"].to_numpy()[:, None]


def _pnl(market: Market, rules: MarginRules, names: pd.Index, spots: Array) -> Array:
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


def initial_margin(market: Market, quantities: pd.Series, rules: MarginRules) -> float:
    """Initial margin of quantities (contracts by instrument), base currency.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> from datetime import date
    >>> import pandas as pd
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> needed = oh.terms.initial_margin(market, pd.Series({"AAPL": 100.0}), rules)
    >>> round(float(needed / (100 * market.price["AAPL"])), 4)
    0.5
    """
    names = quantities.index
    return float(Needs.of(market, rules, names).margin(market, names, quantities.to_numpy(dtype=float))[0])


@dataclass(frozen=True)
class Standing:
    """What a book has at a venue, and what it needs there; base currency.

    equity       collateral after its haircut, market value and unrealised gains of the rest
    exposure     the same without haircuts: what is lost if the venue fails
    initial, maintenance   margin;  down, up  the nearest return of all prices at once at which equity no longer covers
                 maintenance: -+inf where none within 90 % does, 0 where it does not now

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> from datetime import date
    >>> import pandas as pd
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> found = oh.terms.standing(market, pd.Series({"AAPL": 100.0}), rules)
    >>> found.initial <= found.equity
    True
    """

    equity: float
    exposure: float
    initial: float
    maintenance: float
    down: float
    up: float


def standing(market: Market, quantities: pd.Series, rules: MarginRules, unrealised: float = 0.0) -> Standing:
    """The standing of quantities (contracts by instrument) that lie at one venue.

    unrealised   gains not yet paid on contracts of variation margin, base currency, which no market knows

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> from datetime import date
    >>> import pandas as pd
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> found = oh.terms.standing(market, pd.Series({"AAPL": 100.0}), rules)
    >>> found.initial <= found.equity
    True
    """
    names, held = quantities.index, quantities.to_numpy(dtype=float)
    needs = Needs.of(market, rules, names)
    worth = market.value[names].to_numpy(dtype=float) * held
    equity = float(np.where(np.isnan(needs.counted), 1.0, needs.counted) @ worth) + unrealised
    initial = float(needs.margin(market, names, held)[0])
    down, up = liquidation_moves(market, quantities, equity, rules)
    return Standing(equity, float(worth.sum()) + unrealised, initial, rules.maintenance * initial, down, up)


def liquidation_moves(
    market: Market, quantities: pd.Series, equity: float, rules: MarginRules, steps: int = 60, farthest: float = 0.9
) -> tuple[float, float]:
    """The nearest return down and up of all underlyings at once at which equity no longer covers maintenance margin.

    equity   base currency, at present prices. The scan is made anew at each move; arrays stay as they are.

    -+inf: not within `farthest`; 0 and 0: already.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> from datetime import date
    >>> import pandas as pd
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> down, up = oh.terms.liquidation_moves(market, pd.Series({"AAPL": 100.0}), 8_000.0, rules)
    >>> down < 0 < up
    True
    """
    names, held = quantities.index, quantities.to_numpy(dtype=float)
    needs, moves = Needs.of(market, rules, names), np.linspace(-farthest, farthest, 2 * steps + 1)
    at, losses = moved_losses(market, rules, names, moves)
    needed = needs.margin(market, names, held, np.where(np.isnan(needs.counted), losses, 0.0))
    kept = np.where(np.isnan(needs.counted), 1.0, needs.counted)
    short = equity + at @ (kept * held) < rules.maintenance * needed
    down, up = moves[short & (moves <= 0)], moves[short & (moves >= 0)]
    return float(down.max(initial=-np.inf)), float(up.min(initial=np.inf))


def moved_losses(market: Market, rules: MarginRules, names: pd.Index, moves: Array) -> tuple[Array, Array]:
    """P&L of one contract at each move of all prices (M x N), and the scan made anew there (M x S x N)."""
    at = scenario_pnl(market, pd.DataFrame({"spot": moves}), names).to_numpy(dtype=float)
    table = rules.scenarios
    if rules.arrays or table.empty:
        still = scanned_losses(market, rules, names)
        return at, np.broadcast_to(still, (len(moves), *still.shape))
    both = ((1 + moves)[:, None] * (1 + table["spot"].to_numpy()) - 1).ravel()
    beyond = _pnl(market, rules, names, both).reshape(len(moves), len(table), len(names))
    return at, (at[:, None] - beyond) * table["weight"].to_numpy()[None, :, None]
