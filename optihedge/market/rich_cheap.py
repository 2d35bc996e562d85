"""Rich and cheap: each option's quote against the smile through the other strikes of its expiry."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.chain_arbitrage import chain_table
from optihedge.market.pricing import black, implied_vol
from optihedge.market.snapshot import Market
from optihedge.market.surface import Slice
from optihedge.market.surface_fit import checked_quotes, fit_checked

COLUMNS = ("underlying", "expiry", "strike", "right", "bid_vol", "ask_vol", "vol", "half_spreads", "vega_money")
LEAST = 6  # strikes of an expiry below which a smile says nothing
_FOLDS = 3


def rich_cheap(market: Market, expiries: pd.DataFrame | None = None) -> pd.DataFrame:
    """European options with two sides against the arbitrage-free smile through the quotes of their expiry's other
    strikes: of every three strikes one is left out in turn, and judged by its neighbours.

    expiries   rows of underlying and expiry to look at, default all; an expiry of fewer than six strikes with two
               sides, or whose quotes contradict each other beyond any smile, has no rows, nor have its end strikes

    Returns, by instrument: underlying, expiry, strike, right; bid_vol, ask_vol and vol of that smile (decimals);
    half_spreads, the mid's price less the smile's over half the spread: above zero dear, below zero cheap, beyond one
    the smile is outside the quote; vega_money, the mid's vol less the smile's times the vega of one contract, base
    currency.

    >>> import tempfile
    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example(tempfile.mkdtemp()))
    >>> bool((oh.options.rich_cheap(market)["half_spreads"].abs() < 1.0).all())
    True
    """
    frames = [_against(market, rows) for rows, _ in smiles(market, expiries)]
    table = pd.concat(frames) if frames else pd.DataFrame(columns=list(COLUMNS))
    return table.rename_axis("instrument")


def smiles(market: Market, expiries: pd.DataFrame | None = None) -> list[tuple[pd.DataFrame, Slice]]:
    """The quotes of each expiry and the smile through them all; a row an option: what `chain_table` says, years, and
    `smile`, the vol of the smile through the other strikes, NaN at the ends."""
    known: dict[tuple[str, pd.Timestamp], tuple[pd.DataFrame, Slice] | None] = market.__dict__.setdefault("_smiles", {})
    chain = _two_sided(market)
    asked = chain[["underlying", "expiry"]].drop_duplicates() if expiries is None else expiries
    found = []
    groups = dict(list(chain.groupby(["underlying", "expiry"], sort=True)))
    for key in sorted({(str(row.underlying), row.expiry) for row in asked.itertuples()}):
        if key not in known:
            known[key] = _fitted(groups.get(key))
        if (one := known[key]) is not None:
            found.append(one)
    return found


def _two_sided(market: Market) -> pd.DataFrame:
    chain = chain_table(market)
    chain["years"] = market.contracts.years[market.contracts.option]
    sides = (chain["bid"] > 0) & (chain["bid"] < chain["ask"]) & (chain["years"] > 0) & ~chain["american"]
    return chain[sides & np.isfinite(chain["forward"])]


def _fitted(rows: pd.DataFrame | None) -> tuple[pd.DataFrame, Slice] | None:
    """The smile through all quotes, and at each strike but the ends that through the strikes beside it."""
    if rows is None or rows["strike"].nunique() < LEAST:
        return None
    rank = rows["strike"].rank(method="dense").to_numpy().astype(int) - 1
    x = np.log(rows["strike"] / rows["forward"]).to_numpy()
    smile = np.full(len(rows), np.nan)
    try:
        quotes = checked_quotes(rows)
        fitted = fit_checked(quotes)
        (whole,) = fitted.slices
        for fold in range(_FOLDS):
            out = rank % _FOLDS == fold
            (others,) = fit_checked(quotes[~out], near=fitted).slices
            smile[out] = others.vol(x[out])
    except DataError:
        return None
    smile[(rank == 0) | (rank == rank.max())] = np.nan
    return rows.assign(smile=smile), whole


def _against(market: Market, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of `rich_cheap` for the quotes of one expiry."""
    rows = rows[rows["smile"].notna()]
    given = [rows[name].to_numpy() for name in ("forward", "strike", "years", "right", "discount")]
    vols = {side: implied_vol(rows[side].to_numpy(), *given) for side in ("bid", "ask")}
    middle = ((rows["bid"] + rows["ask"]) / 2).to_numpy()
    forward, strike, years, right, discount = given
    smile = rows["smile"].to_numpy()
    fair = black(forward, strike, years, smile, np.where(right == "C", 1.0, -1.0), discount)
    vega = market.exposures.loc[rows.index, "vega"].to_numpy()
    table = rows[["underlying", "expiry", "strike", "right"]].assign(
        bid_vol=vols["bid"], ask_vol=vols["ask"], vol=smile,
        half_spreads=(middle - fair) / ((rows["ask"] - rows["bid"]) / 2),
        vega_money=100 * (implied_vol(middle, *given) - smile) * vega,
    )  # fmt: skip
    return table.sort_values(["strike", "right"], kind="stable")
