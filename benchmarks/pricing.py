"""Prices, Greeks and implied vols of 100 000 random options beside loops over QuantLib, and one surface, in one run.

    OMP_NUM_THREADS=1 python benchmarks/pricing.py

QuantLib is timed on a sample and scaled; its values are compared first. The surface is fitted to quotes of a made-up
index chain: 40 expiries, 150 strikes each.
"""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import QuantLib as ql

from optihedge.market.pricing import black, greeks, implied_vol
from optihedge.market.surface_fit import fit_surface
from optihedge.market.svi import SviSlice

COUNT, SAMPLE, REPEATS = 100_000, 5_000, 5


def seconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """The best CPU time of a few calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def quantlib_prices(options: pd.DataFrame) -> list[float]:
    rows = zip(options.kind, options.strike, options.forward, options.deviation, options.discount, strict=True)
    return [ql.blackFormula(*row) for row in rows]


def quantlib_greeks(options: pd.DataFrame) -> list[tuple[float, ...]]:
    found = []
    for o in options.itertuples():
        c = ql.BlackCalculator(ql.PlainVanillaPayoff(o.kind, o.strike), o.forward, o.deviation, o.discount)
        found.append((c.value(), c.delta(o.spot), c.gamma(o.spot), c.vega(o.years), c.theta(o.spot, o.years)))
    return found


def quantlib_vols(options: pd.DataFrame) -> list[float]:
    rows = zip(options.kind, options.strike, options.forward, options.price, options.discount, strict=True)
    return [ql.blackFormulaImpliedStdDev(*row) for row in rows]


def random_options() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    years, vol = rng.uniform(0.02, 2.0, COUNT), rng.uniform(0.1, 0.8, COUNT)
    o = pd.DataFrame({"spot": 100.0, "years": years, "vol": vol, "right": rng.choice([-1.0, 1.0], COUNT)})
    o["forward"], o["discount"] = 100 * np.exp(0.01 * years), np.exp(-0.02 * years)
    o["deviation"] = vol * np.sqrt(years)
    o["strike"] = o["forward"] * np.exp(rng.uniform(-2, 2, COUNT) * o["deviation"])
    o["kind"] = np.where(o["right"] > 0, ql.Option.Call, ql.Option.Put).tolist()
    o["price"] = black(o["forward"], o["strike"], years, vol, o["right"], o["discount"])
    return o


def index_chain() -> pd.DataFrame:
    rows = []
    for i in range(40):
        years, forward = (i + 1) ** 1.5 / 100, 3000.0
        width = 0.15 * np.sqrt(years)
        smile = SviSlice(a=0.3 * width**2, b=0.5 * width, rho=-0.5, m=0.0, sigma=0.9 * width)
        for x in np.linspace(-5 * width, 2.5 * width, 150):
            sign = 1 if x >= 0 else -1
            vol = float(np.sqrt(smile.variance(x) / years))
            mid = float(black(forward, forward * np.exp(x), years, vol, sign))
            half = 0.05 + 0.005 * mid
            right = "C" if sign > 0 else "P"
            rows.append((i, years, forward, 1.0, forward * np.exp(x), right, max(mid - half, 0.0), mid + half))
    columns = ["expiry", "years", "forward", "discount", "strike", "right", "bid", "ask"]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    o = random_options()
    sample = o.iloc[:SAMPLE]
    terms = [o[c].to_numpy() for c in ("forward", "strike", "years", "vol", "right", "discount")]
    forward, strike, years, _, right, discount = terms
    theirs = quantlib_vols(sample) / np.sqrt(sample["years"])
    assert np.allclose(quantlib_prices(sample), sample["price"], rtol=1e-9)
    assert np.allclose(theirs, sample["vol"], atol=1e-4)  # its own tolerance is 1e-6 of the deviation
    spot, price = o["spot"].to_numpy(), o["price"].to_numpy()
    table = pd.DataFrame(
        [
            ("price", seconds(lambda: black(*terms)), seconds(lambda: quantlib_prices(sample), 2)),
            (
                "nine Greeks (QuantLib: five)",
                seconds(lambda: greeks(spot, *terms)),
                seconds(lambda: quantlib_greeks(sample), 2),
            ),
            (
                "implied vol",
                seconds(lambda: implied_vol(price, forward, strike, years, right, discount)),
                seconds(lambda: quantlib_vols(sample), 2),
            ),
        ],
        columns=["what", "ours", "QuantLib"],
    ).set_index("what")
    per_option = pd.DataFrame({"ours": table["ours"] / COUNT, "QuantLib": table["QuantLib"] / SAMPLE}) * 1e6
    per_option["ratio"] = per_option["QuantLib"] / per_option["ours"]
    print("microseconds an option, one thread")
    print(per_option.round(3).to_string())
    quotes = index_chain()
    took = seconds(lambda: fit_surface(quotes), 2)
    print(f"arbitrage-free surface, 40 expiries and {len(quotes)} quotes: {took:.2f} s")


if __name__ == "__main__":
    main()
