"""Full revaluation of 10 000 options on a 21 x 11 grid of spot and vol, beside loops over QuantLib, in one run.

    OMP_NUM_THREADS=1 python benchmarks/scenarios.py

QuantLib revalues every option on a few of the 231 scenarios; its time is scaled up. Values are compared first.
"""

import time

import numpy as np
import pandas as pd
import QuantLib as ql

from optihedge.market.scenarios import scenario_pnl, shock_grid
from optihedge.market.snapshot import Market

COUNT, SAMPLE = 10_000, 7
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


def main() -> None:
    market = make_market()
    shocks = shock_grid({"spot": np.linspace(-0.2, 0.2, 21), "vol": np.linspace(-0.1, 0.1, 11)})
    names = market.names[:COUNT]
    ours = []
    for _ in range(5):
        start = time.process_time()
        pnl = scenario_pnl(market, shocks, names)
        ours.append(time.process_time() - start)
    sample = np.linspace(0, len(shocks) - 1, SAMPLE).astype(int)
    base = np.array(by_formula(market, 0.0, 0.0))
    start = time.process_time()
    values = [by_formula(market, *shocks.iloc[row]) for row in sample]
    formula = (time.process_time() - start) * len(shocks) / SAMPLE
    gap = np.abs(np.array(values) - base - pnl.to_numpy()[sample]).max()
    book, spot, vol = engine_book(market)
    start = time.process_time()
    for row in sample:
        spot.setValue(SPOT * (1 + shocks["spot"].iloc[row]))
        vol.setValue(VOL + shocks["vol"].iloc[row])
        priced = [option.NPV() for option in book]
    engine = (time.process_time() - start) * len(shocks) / SAMPLE
    gap = max(gap, np.abs(np.array(priced) - base - pnl.to_numpy()[sample[-1]]).max())
    best = min(ours)
    print(f"{COUNT} options x {len(shocks)} scenarios, CPU seconds; largest difference of P&L {gap:.1e}")
    print(f"optihedge          {best:8.3f}   (median {np.median(ours):.3f})")
    print(f"QuantLib formula   {formula:8.3f}   {formula / best:6.1f} x")
    print(f"QuantLib engine    {engine:8.3f}   {engine / best:6.1f} x")


if __name__ == "__main__":
    main()
