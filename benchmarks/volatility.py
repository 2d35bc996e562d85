"""The price of volatility in place of variance in the models of neutrality: the recorded desks walked with each.

    OPTIHEDGE_DATA=... python benchmarks/volatility.py [case/model ...]

Walks, fills and costs as in `through_time.py`. The neutral rows and bands stay; only the term that charges risk
differs: `Variance(relative = 300)` as shipped, or `Volatility(sharpe = 1)` held 5 or 10 days. With options the last row
has `SmileRisk` too.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from through_time import CASES

import optihedge as oh

PAIRS = ("carry/delta_neutral", "coins/delta_neutral", "stocks/beta_hedge", "stocks/market_neutral", "index/neutral")
OPTIONS = ("coins", "index")


def variants(model: oh.HedgeModel, options: bool) -> dict[str, oh.HedgeModel]:
    """The model as shipped and with a price of volatility in place of its variance."""

    def priced(holding: str) -> oh.HedgeModel:
        term = oh.Volatility(sharpe=1.0, holding=holding)
        return replace(model, objective=tuple(term if isinstance(t, oh.Variance) else t for t in model.objective))

    found = {"Variance, as shipped": model, "Volatility, 5d": priced("5d"), "Volatility, 10d": priced("10d")}
    return found | ({"Volatility, 5d, SmileRisk": replace(priced("5d"), risk=oh.SmileRisk())} if options else {})


def report(pair: str) -> None:
    """Walk one model on one desk with each term and print what is left and what it cost."""
    case, name = pair.split("/")
    _, markets, book, events, _ = CASES[case]()
    print(f"\n{pair}: {len(markets)} markets\n| term | variance removed | interval | cost | turnover |")
    print("|---|--:|---|--:|--:|")
    for label, model in variants(oh.load_model(name), case in OPTIONS).items():
        try:
            walk = oh.run_backtest(model, markets, book, events=events)
        except oh.OptihedgeError as error:
            print(f"| {label} | {type(error).__name__}: {error} | | | |", flush=True)
            continue
        summary, removed = walk.summary.loc["this"], walk.effectiveness.table.loc["variance removed"]
        print(f"| {label} | {summary['variance removed']:.4f} | [{removed['low']:.3f}, {removed['high']:.3f}] | "
              f"{summary['cost']:,.0f} | {summary['turnover']:,.4g} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    for chosen in sys.argv[1:] or PAIRS:
        report(chosen)
