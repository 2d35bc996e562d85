"""Walk-forward hedges of many books: realised variance, market beta and turnover against regression hedges.

    python benchmarks/hedges.py [data folder]

Prints Markdown tables. Every ratio is made from earlier rows only; costs are paid; intervals are block-bootstrap.
The parameters of the anchored betas were chosen on the random and tilted stock books; the perpetuals only report them.
HedgeModel(risk=BetaRisk(), objective=(Variance(...), SpreadCost())) is the same hedge.
"""

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded import alt_books, equity_books  # noqa: E402

from optihedge.backtest.hedge_evaluation import (  # noqa: E402
    HedgeEvaluation,
    anchored_path,
    evaluate_hedges,
    no_trade_path,
    ols_path,
)


def equity(data: Path, tilt: float, count: int = 200) -> HedgeEvaluation:
    """Books of 30 against 30 stocks, hedged daily with VTI and nine sector ETFs at 2 bp, 2008-2016."""
    folders = (data / "sp500_returns_2007_2016", data / "etf_daily_2006_2022", data / "sp500_daily_2012_2017")
    books, hedges = (frame.to_numpy() for frame in equity_books(*folders, tilt=tilt, count=count))
    start, cost = 252, 2e-4
    market_only = 0 * (ols := ols_path(books, hedges, 252))
    market_only[:, :1] = ols_path(books, hedges[:, :1], 252)
    anchored = anchored_path(books, hedges, start)
    paths = {
        "OLS-252": ols,
        "market-only OLS-252": market_only,
        "anchored": anchored,
        "anchored, no-trade region": no_trade_path(anchored, hedges, start, cost, aversion=1000.0),
    }
    return evaluate_hedges(books, hedges, paths, baseline="OLS-252", cost=cost, start=start)


def alts(data: Path, long_short: bool, count: int = 200) -> HedgeEvaluation:
    """Books of 10 perpetuals, hedged daily with BTC and ETH at 5 bp, 2024-03 to 2026-03."""
    books, hedges = (
        frame.to_numpy() for frame in alt_books(data / "crypto_perp_daily", long_short=long_short, count=count)
    )
    start, cost = 60, 5e-4
    anchored = anchored_path(books, hedges, start)
    paths = {
        "OLS-60": ols_path(books, hedges, 60),
        "anchored": anchored,
        "anchored, no-trade region": no_trade_path(anchored, hedges, start, cost, aversion=200.0),
    }
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


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    for title, evaluation in (
        ("200 random books of 30 long and 30 short stocks", equity(folder, 1.0)),
        ("200 tilted books of 30 long and 30 short stocks (favoured sectors 8 times as likely)", equity(folder, 8.0)),
        ("200 books of three sectors against three others, 30 long and 30 short stocks", equity(folder, float("inf"))),
        ("200 long books of 10 perpetuals", alts(folder, long_short=False)),
        ("200 long-short books of 10 perpetuals", alts(folder, long_short=True)),
    ):
        print(f"### {title}\n\n{markdown(evaluation.table)}\n\nVerdict: {evaluation.verdict}.\n")
