"""What quantities need and stand on under rules of margin: initial margin, collateral, distance to liquidation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.market.margin import MarginRules
from optihedge.market.margin_least import least_pairs, least_scan
from optihedge.market.margin_needs import Needs, moved_losses
from optihedge.market.snapshot import Market

Array = np.ndarray


def margin_of(needs: Needs, held: Array, losses: Array | None = None) -> Array:
    """Initial margin of `held` (N contracts) for each of M sets of losses (M x S x N; by default their own)."""
    given = needs.losses[None] if losses is None else losses
    if needs.credits:
        scan = np.array([least_scan(needs, one).at(held) for one in given])
    else:
        each = [(given[:, :, needs.code == code] @ held[needs.code == code]).max(axis=1, initial=0.0)
                for code in np.unique(needs.code)]  # fmt: skip
        scan = np.array(each).reshape(-1, len(given)).sum(axis=0)
    size = np.abs(held)
    own = needs.both @ size + needs.long @ np.maximum(held, 0.0) + needs.short @ np.maximum(-held, 0.0)
    netted = needs.strike >= 0
    at_strike = np.bincount(needs.strike[netted], (needs.at_strike * held)[netted])
    place, notional, beyond, share = needs.steps.T
    tiers = share @ np.maximum(notional * size[place.astype(int)] - beyond, 0.0)
    paired = least_pairs(needs, held).at(held) if needs.pairs is not None else 0.0
    return scan + own + np.maximum(-at_strike, 0.0).sum() + tiers + paired


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
    return float(margin_of(Needs.of(market, rules, names), quantities.to_numpy(dtype=float))[0])


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
    initial = float(margin_of(needs, held)[0])
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
    needed = margin_of(needs, held, np.where(np.isnan(needs.counted), losses, 0.0))
    kept = np.where(np.isnan(needs.counted), 1.0, needs.counted)
    short = equity + at @ (kept * held) < rules.maintenance * needed
    down, up = moves[short & (moves <= 0)], moves[short & (moves >= 0)]
    return float(down.max(initial=-np.inf)), float(up.min(initial=np.inf))
