"""Full revaluation of 10 000 options on a 21 x 11 grid of spot and vol, beside loops over QuantLib, in one run.

    OMP_NUM_THREADS=1 python benchmarks/scenarios.py

QuantLib revalues every option on a few of the 231 scenarios; its time is scaled up. Each side's best of nine rounds;
values are compared.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import QuantLib as ql

from optihedge.market.scenarios import scenario_pnl, shock_grid
from optihedge.market.snapshot import Market

COUNT, SAMPLE, ROUNDS = 10_000, 7, 9
AS_OF, SPOT, VOL = pd.Timestamp("2026-01-20", tz="UTC"), 6000.0, 0.2


def make_market() -> Market:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({
        "instrument": [f"O{i}" for i in range(COUNT)], "type": "option", "underlying": "SPX",
        "expiry": AS_OF + pd.to_timedelta(rng.integers(1, 400, COUNT), unit="D"),
        "strike": rng.uniform(4000, 8000, COUNT), "right": np.where(rng.random(COUNT) < 0.5, "C", "P"),
    })  # fmt: skip
    table = pd.concat([table, pd.DataFrame({"instrument": ["SPX"], "type": ["index"]})])
    quotes = pd.DataFrame({"instrument": table["instrument"], "bid": SPOT, "ask": SPOT, "underlying_price": SPOT})
    option = (table["type"] == "option").to_numpy()
    quotes["vol"] = np.where(option, VOL, np.nan)
    return Market(table, quotes, "USD", as_of="2026-01-20T00:00:00Z")


def by_formula(market: Market, spot: float, vol: float) -> list[float]:
    c = market.contracts
    kinds = [ql.Option.Call if r > 0 else ql.Option.Put for r in c.right[:COUNT]]
    strikes, years = c.strike[:COUNT].tolist(), c.years[:COUNT].tolist()
    level, deviation = SPOT * (1 + spot), VOL + vol
    return [ql.blackFormula(k, x, level, deviation * t**0.5) for k, x, t in zip(kinds, strikes, years, strict=True)]


def engine_book(market: Market) -> tuple[list[ql.VanillaOption], ql.SimpleQuote, ql.SimpleQuote]:
    today = ql.Date(20, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    spot, vol = ql.SimpleQuote(SPOT), ql.SimpleQuote(VOL)
    flat = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, count))
    surface = ql.BlackConstantVol(today, ql.NullCalendar(), ql.QuoteHandle(vol), count)
    process = ql.BlackScholesMertonProcess(ql.QuoteHandle(spot), flat, flat, ql.BlackVolTermStructureHandle(surface))
    engine = ql.AnalyticEuropeanEngine(process)
    c, book = market.contracts, []
    for right, strike, years in zip(c.right[:COUNT], c.strike[:COUNT], c.years[:COUNT], strict=True):
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if right > 0 else ql.Option.Put, float(strike))
        option = ql.VanillaOption(payoff, ql.EuropeanExercise(today + round(years * 365)))
        option.setPricingEngine(engine)
        book.append(option)
    return book, spot, vol


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of the best of ROUNDS, and the last result."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return min(seconds), result


def main() -> None:
    market = make_market()
    shocks = shock_grid({"spot": np.linspace(-0.2, 0.2, 21), "vol": np.linspace(-0.1, 0.1, 11)})
    names = market.names[:COUNT]
    sample = shocks.iloc[np.linspace(0, len(shocks) - 1, SAMPLE).astype(int)]
    book, spot, vol = engine_book(market)

    def by_engine() -> list[list[float]]:
        values = []
        for row in sample.itertuples():
            spot.setValue(SPOT * (1 + row.spot))
            vol.setValue(VOL + row.vol)
            values.append([option.NPV() for option in book])
        return values

    ours, pnl = timed(lambda: scenario_pnl(market, shocks, names))
    formula, values = timed(lambda: [by_formula(market, row.spot, row.vol) for row in sample.itertuples()])
    engine, priced = timed(by_engine)
    base = np.array(by_formula(market, 0.0, 0.0))
    gap = max(np.abs(np.array(peer) - base - pnl.loc[sample.index].to_numpy()).max() for peer in (values, priced))
    print(f"{COUNT} options x {len(shocks)} scenarios, CPU seconds; largest difference of P&L {gap:.1e}")
    print(f"optihedge          {ours:8.3f}")
    for name, seconds in (("formula", formula), ("engine", engine)):
        seconds *= len(shocks) / SAMPLE
        print(f"QuantLib {name:<9} {seconds:8.3f}   {seconds / ours:6.1f} x")


if __name__ == "__main__":
    main()
