"""The shipped models of betas and neutrality on many recorded books, walked forward: variance, beta, cost, turnover.

    OPTIHEDGE_DATA=... python benchmarks/shipped.py [stocks] [stocks2] [coins] [coins3] [books=6] [step=5] [names=120]
                                               [models=a,b] [seed=1: books of coins]

Each model as `load_model` gives it: every `step` days fitted to the last 504 rows (coins: 250) and solved with its
proof, held to the next time; P&L by the day. Books of constant gross; spread and fee paid (assumed, as named in
tests/recorded_markets.py).
  stocks    30 against 30 of `names`, ten ETFs as hedges, 2009-2016 (sp500_returns_2007_2016, total returns)
  stocks2   the same of 2014-2017 (sp500_daily_2012_2017, no dividends in the stocks; volumes as recorded)
  coins     10 perpetuals long, or 5 against 5 ("coins_ls"), BTC and ETH as hedges (no funding: not recorded);
            "coins3" offers SOL too: `neutral` holds delta and two betas, which takes three hedges
Markets that betas are on: VTI, for `beta_hedge` also all ten ("on all hedges"); of coins both. Against regressions of
the same rhythm: least squares of 252 rows (coins 60) on all hedges, and on the market alone.
Columns, each against the regression on all hedges: variance (pooled; 95 % block-bootstrap interval), turnover (every
hedge costs the same share, so that it is the ratio of costs too); |beta| is the mean over books and blocks of 63 days
(coins 21) of the slope of P&L on the first market; its floor is what a book of the same noise without beta would show;
"beta beyond noise" is the root of the mean square of the slopes less that of their standard errors, so that a half is a
half of what can be known, and the interval of its ratio is by blocks too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded import SECTOR_ETFS, clean_stocks, large_cap_returns, perpetual_closes  # noqa: E402
from recorded_markets import EQUITY_FEE, EQUITY_SPREAD, PERP_FEE, PERP_SPREAD  # noqa: E402

import optihedge as oh  # noqa: E402
from optihedge.backtest.hedge_evaluation import block_rows  # noqa: E402
from optihedge.errors import OptihedgeError  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
ETFS = ("VTI", *SECTOR_ETFS)
MODELS = ("beta_hedge on all hedges", "beta_hedge", "market_neutral", "neutral", "quantitative")
VOLUME = 5e7  # assumed of an ETF and where none was recorded, shares a day
Array = np.ndarray


@dataclass(frozen=True)
class Desk:
    """Prices T x n (hedges among them) and their volumes, book weights names x B, rows to fit on, of a regression, of
    a block."""

    prices: pd.DataFrame
    volume: pd.Series
    sector: pd.Series
    hedges: tuple[str, ...]
    markets: tuple[str, ...]
    weights: pd.DataFrame
    rows: int
    window: int
    block: int
    spread: float
    fee: float


@dataclass(frozen=True)
class Walk:
    """Hedges held per gross of the book (K x m x B), times without an answer, processor seconds."""

    path: Array
    failed: int = 0
    seconds: float = 0.0


def drawn(names: pd.Index, long: int, short: int, books: int, seed: int = 0) -> pd.DataFrame:
    """Weights of random books, gross 1."""
    rng, weights = np.random.default_rng(seed), np.zeros((len(names), books))
    for book in range(books):
        chosen = rng.choice(len(names), long + short, replace=False)
        weights[chosen[:long], book], weights[chosen[long:], book] = 1.0, -1.0
    return pd.DataFrame(weights / (long + short), names)


def _stock_desk(returns: pd.DataFrame, sector: pd.Series, volume: pd.Series, books: int, names: int) -> Desk:
    chosen = sorted(np.random.default_rng(7).choice(returns.columns, names, replace=False))
    etfs = pd.read_parquet(DATA / "etf_daily_2006_2022" / "etf_returns.parquet")[list(ETFS)].reindex(returns.index)
    prices = 100 * (1 + returns[chosen].join(etfs).fillna(0.0)).cumprod()
    told = volume.reindex(prices.columns).fillna(VOLUME), sector.reindex(prices.columns).fillna("none")
    return Desk(prices, *told, ETFS, ("VTI",), drawn(pd.Index(chosen), 30, 30, books), 504, 252, 63,
                EQUITY_SPREAD, EQUITY_FEE)  # fmt: skip


def stocks(books: int, names: int = 120) -> Desk:
    sector = pd.read_csv(DATA / "sp500_daily_2012_2017" / "symbols_sectors.csv").set_index("symbol")["gics_sector"]
    returns = large_cap_returns(DATA / "sp500_returns_2007_2016")
    return _stock_desk(returns, sector, pd.Series(dtype=float), books, names)


def stocks2(books: int, names: int = 120) -> Desk:
    closes, dollars, sector = clean_stocks(DATA / "sp500_daily_2012_2017")
    returns = closes.pct_change(fill_method=None).iloc[1:]
    return _stock_desk(returns, sector, dollars.median() / 100, books, names)


def coins(books: int, short: int = 0, third: tuple[str, ...] = (), seed: int = 1) -> Desk:
    prices = perpetual_closes(DATA / "crypto_perp_daily").dropna(axis=1)
    majors = ("BTCUSDT", "ETHUSDT")
    names = prices.columns.drop([*majors, *third])
    blank = pd.Series(VOLUME, prices.columns), pd.Series("coin", prices.columns)
    return Desk(prices, *blank, (*majors, *third), majors, drawn(names, 10 - short, short, books, seed), 250, 60, 21,
                PERP_SPREAD, PERP_FEE)  # fmt: skip


DESKS: dict[str, Callable[..., Desk]] = {
    "stocks": stocks, "stocks2": stocks2, "coins": coins, "coins_ls": lambda books, **told: coins(books, 5, **told),
    "coins3": lambda books, **told: coins(books, third=("SOLUSDT",), **told),
}  # fmt: skip


def panel(desk: Desk, markets: tuple[str, ...]) -> oh.Panel:
    """Its days as markets of shares: a perpetual without funding moves as one."""
    table = pd.DataFrame({"hedge": desk.prices.columns.isin(desk.hedges), "sector": desk.sector}, desk.prices.columns)
    return oh.Panel.from_prices(
        desk.prices.tz_localize(None).tz_localize("UTC"), rows=desk.rows, base_currency="USD", spread=desk.spread,
        fee=desk.fee, volume=desk.volume, instruments=table, market=markets,
    )  # fmt: skip


def modelled(desk: Desk, names: list[str], markets: tuple[str, ...], step: int, gross: float = 6e7) -> dict[str, Walk]:
    """What shipped models hold at every `step`-th market; what they learn alike is learnt once a market."""
    models = {name: oh.load_model(name.split(" on ")[0]) for name in names}
    hedges, stocks, books = list(desk.hedges), desk.weights.index, desk.weights.shape[1]
    held = {name: np.zeros((len(hedges), books)) for name in names}
    path: dict[str, list[Array]] = {name: [] for name in names}
    failed, seconds, before = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0), None
    for day in list(panel(desk, markets))[::step]:
        price = day.price[hedges].to_numpy()
        for name, model in models.items():
            began, own = time.process_time(), held[name]
            market, learnt = known(model, day)
            own *= 1.0 if before is None else (price / before)[:, None]
            for book in range(books):
                quantities = gross * desk.weights[book] / market.price[stocks]
                quantities = pd.concat([quantities[quantities != 0], pd.Series(gross * own[:, book] / price, hedges)])
                try:
                    trades = learnt.hedge(market, quantities).trades.reindex(hedges).fillna(0.0)
                    own[:, book] += trades.to_numpy() * price / gross
                except OptihedgeError:
                    failed[name] += 1
            path[name].append(own.copy())
            seconds[name] += time.process_time() - began
        before = price
    return {name: Walk(np.array(path[name]), failed[name], seconds[name]) for name in names}


def known(model: oh.HedgeModel, market: oh.Market) -> tuple[oh.Market, oh.HedgeModel]:
    """The market with betas and the model with its risk, both learnt of all drivers."""
    everything = market.drivers.index
    risk = model._fitted_risk(market, everything)[0]
    return model._with_betas(market, everything)[0], replace(model, risk=risk, betas=None)


def regressed(desk: Desk, hedges: tuple[str, ...], step: int) -> Array:
    """What least squares hold, as `modelled`."""
    moves = desk.prices.pct_change(fill_method=None)
    books, x = moves[desk.weights.index].to_numpy() @ desk.weights.to_numpy(), moves[list(hedges)].to_numpy()
    path = np.zeros((len(range(desk.rows - 1, len(moves), step)), len(desk.hedges), books.shape[1]))
    place = [desk.hedges.index(hedge) for hedge in hedges]
    for k, t in enumerate(range(desk.rows - 1, len(moves), step)):
        rows = slice(t + 1 - desk.window, t + 1)
        centred = x[rows] - x[rows].mean(axis=0)
        path[k, place] = -np.linalg.lstsq(centred, books[rows], rcond=None)[0]
    return path


def walked(desk: Desk, path: Array, step: int) -> tuple[Array, float]:
    """Daily P&L per gross after costs (T x B), and what was traded per gross in all; weights and hedges are held
    between steps, the first trade is paid and not counted."""
    moves = desk.prices.pct_change(fill_method=None).iloc[desk.rows :]
    x, book = moves[list(desk.hedges)].to_numpy(), moves[desk.weights.index].to_numpy() @ desk.weights.to_numpy()
    pnl, traded, held = book.copy(), 0.0, np.zeros(path.shape[1:])
    for k, target in enumerate(path):
        size = np.abs(target - held).sum(axis=0)
        traded += size.sum() if k else 0.0
        held = target.copy()
        for t in range(k * step, min((k + 1) * step, len(x))):
            pnl[t] += x[t] @ held
            held = held * (1 + x[t])[:, None]
        if k * step < len(x):
            pnl[k * step] -= (desk.spread / 2 + desk.fee) * size
    return pnl, traded


def slopes(pnl: Array, market: Array, block: int) -> tuple[Array, Array]:
    """Beta of each book in each block, and its standard error (blocks x B) where noise may grow with the market's moves
    (HC2: MacKinnon and White 1985)."""
    count = len(market) // block
    x = market[: count * block].reshape(count, block)
    x = x - x.mean(axis=1, keepdims=True)
    y = pnl[: count * block].reshape(count, block, -1)
    y = y - y.mean(axis=1, keepdims=True)
    size = (x**2).sum(axis=1)[:, None]
    slope = np.einsum("qt,qtb->qb", x, y) / size
    rest = y - x[:, :, None] * slope[:, None]
    leverage = 1 / block + x**2 / size
    return slope, np.sqrt(np.einsum("qt,qtb->qb", x**2 / (1 - leverage), rest**2)) / size


def beyond(slope: Array, error: Array) -> Array:
    """Root of the mean over the last two axes of what is beta and not noise."""
    return np.sqrt(np.clip((slope**2 - error**2).mean(axis=(-2, -1)), 0.0, None))


def report(name: str, desk: Desk, models: tuple[str, ...], step: int) -> None:
    """The table of one desk, a line as it comes."""
    moves = desk.prices.pct_change(fill_method=None).iloc[desk.rows :]
    market = moves[desk.hedges[0]].to_numpy()
    print(f"\n## {name}: {desk.weights.shape[1]} books, every {step} days, {len(market)} days\n")
    print("| method | variance | turnover and cost | mean abs beta (floor) | beta beyond noise | failed | CPU s |\n"
          "|---|--:|--:|--:|--:|--:|--:|")  # fmt: skip
    base: dict[str, Any] = {}
    drawn_rows = block_rows(len(market), desk.block, 1000, 0)
    walks = {"regression on all hedges": Walk(regressed(desk, desk.hedges, step))}
    walks["no hedge"] = Walk(np.zeros_like(walks["regression on all hedges"].path))
    if desk.markets != desk.hedges:
        walks["regression on the market"] = Walk(regressed(desk, desk.markets, step))
    wide = [label for label in models if label.endswith("on all hedges") and desk.markets != desk.hedges]
    for labels, markets in ((wide, desk.hedges), ([m for m in models if " on " not in m], desk.markets)):
        walks |= modelled(desk, labels, markets, step) if labels else {}
    for label, walk in walks.items():
        pnl, traded = walked(desk, walk.path, step)
        squares = ((pnl - pnl.mean(axis=0)) ** 2).sum(axis=1)
        slope, error = slopes(pnl, market, desk.block)
        if not base:
            base = {"squares": squares, "traded": traded, "slope": slope, "error": error}
        low, high = np.quantile(squares[drawn_rows].sum(1) / base["squares"][drawn_rows].sum(1), [0.025, 0.975])
        blocks = np.random.default_rng(0).integers(len(slope), size=(1000, len(slope)))
        ratio = beyond(slope, error) / beyond(base["slope"], base["error"])
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw of blocks that shows no beta at all
            inside = beyond(slope[blocks], error[blocks]) / beyond(base["slope"][blocks], base["error"][blocks])
        span = np.quantile(inside[np.isfinite(inside)], [0.025, 0.975])
        floor = np.sqrt(2 / np.pi) * error.mean()
        print(
            f"| {label} | {squares.sum() / base['squares'].sum():.3f} [{low:.3f}, {high:.3f}] | "
            f"{traded / base['traded']:.2f} | "
            f"{np.abs(slope).mean():.4f} ({floor:.4f}) | "
            f"{beyond(slope, error):.4f}, {ratio:.2f} [{span[0]:.2f}, {span[1]:.2f}] | "
            f"{walk.failed} | {walk.seconds:.0f} |", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    words = dict(word.split("=") for word in sys.argv[1:] if "=" in word)
    step, books = int(words.get("step", 5)), int(words.get("books", 6))
    sized = {word: int(words[word]) for word in ("names", "seed") if word in words}
    models = tuple(words["models"].split(",")) if "models" in words else MODELS
    for chosen in [word for word in sys.argv[1:] if "=" not in word] or list(DESKS):
        report(chosen, DESKS[chosen](books, **sized), models, step)
