"""Walk-forward hedges of many books: realised variance, market beta and turnover against regression hedges.

    OPTIHEDGE_DATA=... python benchmarks/hedges.py [stocks] [judged] [coins] [oracle] [market] [books=200]

Prints Markdown tables, one as it is done. Every ratio is made from earlier rows only; costs are paid; intervals are
block-bootstrap. "shipped" is the `betas` of models/beta_hedge.toml fitted every day on the last 504 rows of each name
(coins: all rows), the book's being theirs by weight: what `beta_hedge` holds to within its band; "anchored" is the same
without clip and shrinkage, on the book's own returns. "no-trade region": by BetaRisk, Variance and SpreadCost.
  stocks   books of 30 against 30 stocks, VTI and nine sector ETFs at 2 bp, 2008-2016: random, tilted, sectors
  judged   clip and shrinkage were chosen on random books of one half of these names, 2008-2011 (the half-lives of
           "anchored" once on all of them): that part, the other half and the later years, and sp500_daily_2012_2017
           (no dividends in the stocks) with names of the first half left out
  coins    books of 10 perpetuals, BTC and ETH at 5 bp, 2024-03 to 2026-03; nothing was chosen on them but "anchored"
  oracle   what betas that know the future would leave of the part chosen on and of the other half: the best constant
           betas of the span, fitted on the very days they are judged by, and betas from the 504, 252 and 126 rows
           around each day without itself
  market   betas on VTI (coins: BTC) alone, decided every five rows: what `market_neutral` holds to zero. Every book has
           the regression's hedges and so much more of the market that its beta is zero by the betas told. Half-life
           and anchor of `market_neutral` are chosen on the part chosen on, by the least variance; see `by_market`
"""

import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from recorded import alt_weights, clean_stocks, equity_weights, hedge_returns, large_cap_returns  # noqa: E402
from recorded import perpetual_closes as closes_of  # noqa: E402
from shipped import beyond, slopes  # noqa: E402
from sklearn.base import clone  # noqa: E402

import optihedge as oh  # noqa: E402
from optihedge.backtest.hedge_evaluation import (  # noqa: E402
    HedgeEvaluation,
    anchored_path,
    evaluate_hedges,
    no_trade_path,
    ols_path,
)

Array = np.ndarray
TILTS = {
    "random books of 30 long and 30 short stocks": 1.0,
    "tilted books of 30 long and 30 short stocks (favoured sectors 8 times as likely)": 8.0,
    "books of three sectors against three others, 30 long and 30 short stocks": float("inf"),
}
SPLIT = pd.Timestamp("2012-01-01")
STEP = 5  # rows between the decisions of `markets`
_KNOWN: dict[tuple[object, ...], Array] = {}


def shipped_betas(moves: pd.DataFrame, hedges: pd.DataFrame, start: int, rows: int | None) -> Array:
    """Betas by name (T x names x m) of the shipped model, fitted on the `rows` rows (None: all) before each from start
    on."""
    key = (tuple(moves.columns), moves.index[0], moves.index[-1], start, rows)
    if key not in _KNOWN:
        both, markets = hedges.join(moves), tuple(hedges.columns)
        beta = clone(oh.load_model("beta_hedge").betas).set_params(market=markets)
        found = np.full((len(moves), moves.shape[1], len(markets)), np.nan)
        for t in range(start, len(moves)):
            found[t] = beta.fit(both.iloc[max(0, t - rows) if rows else 0 : t]).betas_.loc[moves.columns]
        _KNOWN[key] = found
    return _KNOWN[key]


def shipped_path(moves: pd.DataFrame, weights: Array, hedges: pd.DataFrame, start: int, rows: int | None) -> Array:
    """What the shipped betas hold of hedges against books (T x m x B)."""
    return -np.einsum("tnm,nb->tmb", shipped_betas(moves, hedges, start, rows), weights, optimize=True)


def stock_returns(data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns of 431 stocks and ten ETFs, 2007-2016; the two artefacts move by nothing."""
    returns = large_cap_returns(data / "sp500_returns_2007_2016").fillna(0.0)
    return returns, hedge_returns(data / "etf_daily_2006_2022", returns.index)


def equity(data: Path, tilt: float, count: int = 200, shipped: bool = True) -> HedgeEvaluation:
    """Books of 30 against 30 stocks, hedged daily with VTI and nine sector ETFs at 2 bp, 2008-2016."""
    returns, etfs = stock_returns(data)
    weights = equity_weights(returns, data / "sp500_daily_2012_2017", tilt, count)
    books, hedges = returns.to_numpy() @ weights, etfs.to_numpy()
    start, cost = 252, 2e-4
    market_only = 0 * (ols := ols_path(books, hedges, 252))
    market_only[:, :1] = ols_path(books, hedges[:, :1], 252)
    paths = {"OLS-252": ols, "market-only OLS-252": market_only, "anchored": anchored_path(books, hedges, start)}
    if shipped:
        paths["shipped"] = shipped_path(returns, weights, etfs, start, 504)
    best = "shipped" if shipped else "anchored"
    paths[f"{best}, no-trade region"] = no_trade_path(paths[best], hedges, start, cost, aversion=1000.0)
    return evaluate_hedges(books, hedges, paths, baseline="OLS-252", cost=cost, start=start)


def halves(columns: pd.Index) -> Array:
    """Which names clip and shrinkage were chosen on: a random half of the 431."""
    chosen = np.random.default_rng(2024).permutation(len(columns))[: len(columns) // 2]
    return np.isin(np.arange(len(columns)), chosen)


def part(returns: pd.DataFrame, etfs: pd.DataFrame, sectors: Path, start: int, end: int, count: int) -> HedgeEvaluation:
    """Random books of these names from row `start` to `end`, hedged as in `equity`."""
    weights = equity_weights(returns, sectors, 1.0, count)
    moves, etfs = returns.iloc[:end], etfs.iloc[:end]
    books, hedges = moves.to_numpy() @ weights, etfs.to_numpy()
    paths = {"OLS-252": ols_path(books, hedges, 252), "anchored": anchored_path(books, hedges, start),
             "shipped": shipped_path(moves, weights, etfs, start, 504)}  # fmt: skip
    return evaluate_hedges(books, hedges, paths, baseline="OLS-252", cost=2e-4, start=start)


def judged(data: Path, count: int) -> dict[str, HedgeEvaluation]:
    """Tables of the parts that clip and shrinkage were chosen on, and were not."""
    sectors, (returns, etfs) = data / "sp500_daily_2012_2017", stock_returns(data)
    first, cut, whole = halves(returns.columns), returns.index.searchsorted(SPLIT), len(returns)
    closes = clean_stocks(sectors)[0]
    moves = closes.pct_change(fill_method=None).iloc[1:].loc[:, ~closes.columns.isin(returns.columns[first])]
    later = hedge_returns(data / "etf_daily_2006_2022", moves.index)
    mine, other = returns.loc[:, first], returns.loc[:, ~first]
    return {
        "chosen on: one half of the names, 2008-2011": part(mine, etfs, sectors, 252, cut, count),
        "the other half, 2008-2011": part(other, etfs, sectors, 252, cut, count),
        "the other half, 2012-2016": part(other, etfs, sectors, cut, whole, count),
        "sp500_daily_2012_2017 without the names chosen on": part(moves, later, sectors, 252, len(moves), count),
    }


def by_market(
    moves: pd.DataFrame, hedges: pd.DataFrame, weights: Array, betas: dict[str, oh.Beta], rows: int, window: int,
    block: int,
) -> pd.DataFrame:  # fmt: skip
    """Of books whose beta on the first hedge is brought to zero by each of `betas`, over the regression's.

    variance  pooled;  beta  mean |slope| of blocks, and floor, what noise alone would show of it;  beyond  root of the
    mean square of slopes less that of their errors;  ahead  the same of hedges held still for a block after each fourth
    decision, where no beta can follow what it is judged by;  turnover  of all hedges
    """
    both, market, times = hedges.join(moves), hedges.columns[0], range(rows, len(moves), STEP)
    books, x = moves.to_numpy() @ weights, hedges.to_numpy()
    regression = {t: ols_path(books[t - window : t + 1], x[t - window : t + 1], window)[-1] for t in times}
    found = {"regression": _walked(regression, books, x, rows, block)}
    for name, beta in betas.items():
        path = {}
        for t, hedge in regression.items():
            told = clone(beta).set_params(market=market).fit(both.iloc[t - rows : t]).betas_[market]
            path[t] = hedge.copy()
            path[t][0] -= told[moves.columns].to_numpy() @ weights + told[hedges.columns].to_numpy() @ hedge
        found[name] = _walked(path, books, x, rows, block)
    table = pd.DataFrame(found).T
    return table / table.loc["regression"].where(table.columns != "floor", table.at["regression", "beta"])


def _walked(path: dict[int, Array], books: Array, x: Array, rows: int, block: int) -> dict[str, float]:
    """What `by_market` tells of hedges by the row of their decision, as it stands."""
    pnl, still = books.copy(), []
    for k, (t, hedge) in enumerate(path.items()):
        pnl[t : t + STEP] += x[t : t + STEP] @ hedge
        if k % 4 == 0 and t + block <= len(x):
            still.append(slopes(books[t : t + block] + x[t : t + block] @ hedge, x[t : t + block, 0], block))
    slope, error = slopes(pnl[rows:], x[rows:, 0], block)
    turned = sum(np.abs(after - before).sum() for before, after in pairwise(path.values()))
    return {
        "variance": float(pnl[rows:].var(axis=0).sum()), "beta": float(np.abs(slope).mean()),
        "floor": float(np.sqrt(2 / np.pi) * error.mean()), "beyond": float(beyond(slope, error)),
        "ahead": float(beyond(*map(np.concatenate, zip(*still, strict=True)))), "turnover": float(turned),
    }  # fmt: skip


def markets(data: Path, count: int) -> dict[str, pd.DataFrame]:
    """Half-life and anchor of betas on one market: all of them on the part chosen on, shipped ones on the others."""
    shipped, sectors = oh.load_model("market_neutral").betas, data / "sp500_daily_2012_2017"
    tried = {f"{h}, {a}": clone(shipped).set_params(halflife=h, anchor=a) for h in (10, 15, 21, 30, 42, 63)
             for a in (0.01, 0.25, 0.5, 1.0, 2.0)}  # fmt: skip
    both = {"as on ten markets": oh.load_model("beta_hedge").betas, "shipped": shipped}
    returns = stock_returns(data)[0]
    first, cut = halves(returns.columns), returns.index.searchsorted(SPLIT)
    closes = clean_stocks(sectors)[0]
    later = closes.pct_change(fill_method=None).iloc[1:].loc[:, ~closes.columns.isin(returns.columns[first])]
    coins = closes_of(data / "crypto_perp_daily").pct_change(fill_method=None).iloc[1:].dropna(axis=1)
    majors, alts_only = coins[["BTCUSDT", "ETHUSDT"]], coins.drop(columns=["BTCUSDT", "ETHUSDT"])

    def stocks(moves: pd.DataFrame, betas: dict[str, oh.Beta]) -> pd.DataFrame:
        hedges = hedge_returns(data / "etf_daily_2006_2022", moves.index)
        return by_market(moves, hedges, equity_weights(moves, sectors, 1.0, count) / 2, betas, 504, 252, 63)

    mine, other = returns.loc[:, first], returns.loc[:, ~first]
    return {
        "chosen on: one half of the names, to 2011": stocks(mine.iloc[:cut], tried | both),
        "the other half, to 2011": stocks(other.iloc[:cut], both),
        "the other half, 2012-2016": stocks(other.iloc[cut - 504 :], both),
        "sp500_daily_2012_2017 without the names chosen on": stocks(later, both),
        "10 perpetuals, long": by_market(alts_only, majors, alt_weights(alts_only, False, count), both, 250, 60, 21),
    }


def oracle(data: Path, count: int) -> dict[str, HedgeEvaluation]:
    """What betas that know the future leave, 2008-2011."""
    sectors, (returns, etfs) = data / "sp500_daily_2012_2017", stock_returns(data)
    first, cut, found = halves(returns.columns), returns.index.searchsorted(SPLIT), {}
    for name, mine in (("the half chosen on, 2008-2011", first), ("the other half, 2008-2011", ~first)):
        own = returns.loc[:, mine]
        weights = equity_weights(own, sectors, 1.0, count)
        books, hedges = own.to_numpy() @ weights, etfs.to_numpy()
        end = min(cut + 252, len(books))
        constant = -np.linalg.lstsq(hedges[252:cut], books[252:cut], rcond=None)[0]
        paths = {"OLS-252": ols_path(books, hedges, 252), "best constant": np.tile(constant, (len(books), 1, 1))}
        for window in (504, 252, 126):
            around = np.zeros_like(paths["OLS-252"])
            for t in range(252, cut):
                rows = np.setdiff1d(np.arange(max(0, t - window // 2), min(end, t + window // 2 + 1)), [t])
                around[t] = -np.linalg.lstsq(hedges[rows], books[rows], rcond=None)[0]
            paths[f"{window} rows around"] = around
        cut_to = {label: path[:cut] for label, path in paths.items()}
        found[name] = evaluate_hedges(books[:cut], hedges[:cut], cut_to, baseline="OLS-252", cost=2e-4, start=252)
    return found


def alts(data: Path, long_short: bool, count: int = 200, shipped: bool = True) -> HedgeEvaluation:
    """Books of 10 perpetuals, hedged daily with BTC and ETH at 5 bp, 2024-03 to 2026-03."""
    returns = closes_of(data / "crypto_perp_daily").pct_change(fill_method=None).iloc[1:].dropna(axis=1)
    coins, majors = returns.drop(columns=["BTCUSDT", "ETHUSDT"]), returns[["BTCUSDT", "ETHUSDT"]]
    weights = alt_weights(coins, long_short, count)
    books, hedges = coins.to_numpy() @ weights, majors.to_numpy()
    start, cost = 60, 5e-4
    paths = {"OLS-60": ols_path(books, hedges, 60), "anchored": anchored_path(books, hedges, start)}
    if shipped:
        paths["shipped"] = shipped_path(coins, weights, majors, start, None)
    best = "shipped" if shipped else "anchored"
    paths[f"{best}, no-trade region"] = no_trade_path(paths[best], hedges, start, cost, aversion=200.0)
    return evaluate_hedges(books, hedges, paths, baseline="OLS-60", cost=cost, start=start, block=21)


def markdown(table: pd.DataFrame) -> str:
    """The table of an evaluation as Markdown, intervals beside the figures."""
    head = "method | variance [95 % interval] | books better | variance removed | abs beta | books lower | turnover"
    lines = [f"| {head} |", "|---|---|---|---|---|---|---|"]
    for name, row in table.iterrows():
        lines.append(
            f"| {name} | {row['variance']:.4f} [{row['low']:.4f}, {row['high']:.4f}] | {row['better']:.1%} | "
            f"{row['removed']:.1%} | {row['beta']:.4f} | {row['beta_lower']:.1%} | {row['turnover']:.3f} |"
        )
    return "\n".join(lines)


def show(title: str, evaluation: HedgeEvaluation) -> None:
    print(f"### {title}\n\n{markdown(evaluation.table)}\n\nVerdict: {evaluation.verdict}.\n", flush=True)


if __name__ == "__main__":
    folder = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
    words = dict(word.split("=") for word in sys.argv[1:] if "=" in word)
    parts = [word for word in sys.argv[1:] if "=" not in word] or ["stocks", "judged", "coins", "oracle"]
    books = int(words.get("books", 200))
    if "coins" in parts:
        for long_short, title in ((False, "long books of 10 perpetuals"), (True, "long-short books of 10 perpetuals")):
            show(f"{books} {title}", alts(folder, long_short, books))
    for part_of in (judged, oracle):
        if part_of.__name__ in parts:
            for title, found in part_of(folder, books).items():
                show(title, found)
    if "market" in parts:
        for title, table in markets(folder, books).items():
            print(f"### {title}\n\n{table.to_string(float_format='{:.4f}'.format)}\n", flush=True)
    if "stocks" in parts:
        for title, tilt in TILTS.items():
            show(f"{books} {title}", equity(folder, tilt, books))
