"""Where the options benchmarks look: recorded markets by day, the shipped model on them, what else was tried."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import option_books as ob  # noqa: E402
from recorded_coins import coin_market, coin_times  # noqa: E402
from recorded_markets import spx_days, spx_market  # noqa: E402

import optihedge as oh  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
FACTORS = (0.15, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 4.0)  # of the shipped price of volatility: the frontier
MODEL = oh.load_model("optimal_hedge")


@dataclass(frozen=True)
class Venue:
    """What a benchmark needs of a venue: markets by day, the linear hedge of an underlying, what is liquid."""

    underlying: str
    linear: object  # market -> name
    deltas: tuple[float, float] = (0.05, 0.60)
    lives: tuple[float, float] = (7.0, 120.0)


def nearest_future(coin: str):
    """The listed future of the coin with the longest life below 200 days and above a week."""

    def name(market: oh.Market) -> str:
        table = market.instruments
        life = (table["expiry"] - market.as_of).dt.total_seconds() / 86400
        mine = (table["type"] == "inverse_future") & (table["underlying"] == coin) & (life > 20) & (life < 200)
        return str(life[mine].idxmax())

    return name


SPX = Venue("SPX", lambda market: "SPX")
DERIBIT = Venue("BTC", lambda market: "BTC-PERPETUAL")
COINS = {coin: Venue(coin, nearest_future(coin)) for coin in ("BTC", "ETH")}


@dataclass(frozen=True)
class CostByLife(oh.Term):
    """Half spread and fee x days / min(days, life): what expires sooner serves a shorter time."""

    days: float = 10.0

    def contribute(self, p) -> None:
        life = np.nan_to_num(365 * p.market.contracts.years[p.positions], nan=np.inf)
        scale = self.days / np.clip(life, 1.0, self.days)
        fee = np.where(p.tradable, p.market.fees.to_numpy(dtype=float)[p.positions], 0.0)
        buy, sell = p.half_spread()
        p.cost(buy=scale * (buy + fee), sell=scale * (sell + fee))


LIVED = tuple(t for t in MODEL.objective if not isinstance(t, (oh.SpreadCost, oh.FeeCost)))
TRIES = {
    "by life": replace(MODEL, objective=(*LIVED, CostByLife())),
    "fat tails": replace(MODEL, risk=oh.SmileRisk(tails=4.0)),
    "level of the chain": replace(MODEL, risk=oh.SmileRisk(weight=1e6)),  # whatever the spot did before
    "fast level": replace(MODEL, risk=oh.SmileRisk(prices=oh.EwmaRisk(halflife=8))),
}


@lru_cache(maxsize=64)
def fitted(market: oh.Market, tried: str = "") -> oh.HedgeModel:
    """The shipped model (or one of TRIES) with its own risk learnt once for all books of this market."""
    model = TRIES[tried] if tried else MODEL
    return replace(model, risk=model.risk.fit(market, day_of(market)).risk_)


def day_of(market: oh.Market) -> float:
    """A day in the market's periods."""
    return market.periods_per_year / (252 if market.periods_per_year < 300 else 365)


def frontier(model: oh.HedgeModel, market: oh.Market, book: pd.Series, hedges: list[str], factors=FACTORS) -> dict:
    """Trades (array over hedges) and forecast deviation by multiple of the shipped price."""
    asked = replace(model, universe=hedges)
    found = {}
    for factor, hedge in zip(factors, asked.frontier(market, book, list(factors)), strict=True):
        trades = hedge.trades.reindex(hedges).fillna(0.0).to_numpy()
        found[f"x{factor:g}"] = (trades, float(np.sqrt(hedge.risk.loc["variance", "after"])))
    return found


def forecast(risk: oh.ContractRisk, held: pd.Series) -> float:
    """Standard deviation that the risk says of what is held."""
    q = held.groupby(level=0).sum().reindex(risk.names).fillna(0.0).to_numpy()
    return float(
        np.sqrt(((risk.root @ q) ** 2).sum() + ((risk.specifics @ q) ** 2).sum() + ((risk.own * q) ** 2).sum())
    )


def liquid_at(market: oh.Market, names: pd.Index, venue: Venue) -> pd.Index:
    """Names of the venue's liquid options."""
    return ob.liquid(market, names, venue.underlying, *venue.deltas, venue.lives)


def spx_pairs(every: int, first: int | None = None):
    """Consecutive closes as markets."""
    folder = DATA / "spx_options_2019"
    markets: dict = {}
    for day, after in list(pairwise(spx_days(folder)))[:first:every]:
        for one in (day, after):
            markets.setdefault(one, spx_market(folder, one, max_days=125))
        yield markets.pop(day), markets[after]


def coin_pairs(every: int, coins=("BTC", "ETH"), between=(pd.Timestamp.min, pd.Timestamp.max)):
    """Consecutive days of the two coins, at most 30 hours apart, that start between these instants (UTC)."""
    folder = DATA / "deribit_btc_eth_2026"
    first, last = (pd.Timestamp(at).tz_localize("UTC") for at in between)
    for time_, after in list(pairwise(coin_times(folder)))[::every]:
        if after - time_ < pd.Timedelta("30h") and first <= time_ <= last:
            yield coin_market(folder, time_, coins), coin_market(folder, after, coins)
