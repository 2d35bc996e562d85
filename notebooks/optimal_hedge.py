# %% [markdown]
# # How much risk reduction is worth its cost?
#
# The embedded example (real closes of 30 June 2016; option premiums, spreads and fees are labelled assumptions): a
# long-short stock book with short index options, hedged with futures, factor ETFs and a strip of index options.

# %%
import tempfile

import numpy as np
import pandas as pd

import optihedge as oh
from optihedge.display import figure, lines, number
from optihedge.example import write_example
from optihedge.hedge.modelfile import parse_model

folder = write_example(tempfile.mkdtemp())
market, book = oh.read_market(folder), oh.read_book(folder / "book.csv")

TOML = """
description = "Risk with its gamma against spread, fees and carry."
horizon = "1d"
risk = { type = "EwmaRisk", halflife = 63 }

[[objective]]
type = "Variance"
aversion = 2e-5                # 1 / base currency
second_order = true

[[objective]]
type = "SpreadCost"

[[objective]]
type = "FeeCost"

[[objective]]
type = "CarryCost"
credit = false
"""
model = parse_model(TOML, name="optimal_hedge")

# %% [markdown]
# Risk aversion is the one number that has no market price. A frontier shows what each choice buys.

# %%
aversions = np.geomspace(1e-7, 1e-3, 13)
frontier = model.frontier(market, book, aversions)
points = pd.DataFrame(
    {"volatility": [h.risk.loc["volatility", "after"] for h in frontier], "cost": [h.costs["total"] for h in frontier]},
    index=aversions,
)
base = frontier[0].baselines.drop(index="hedge")
drawn, axes = figure(1, 2, width=11)
lines(axes[0, 0], points.set_index("cost"), "volatility per day against cost", "USD", "cost, USD")
for marker, (name, row) in zip("osD", base.iterrows(), strict=True):
    axes[0, 0].plot(row["cost"], row["volatility"], marker, label=name, markerfacecolor="none", markersize=8)
axes[0, 0].legend(frameon=False, fontsize=8)
types = market.instruments["type"]
legs = pd.DataFrame([(h.trades * market.notional[h.trades.index]).groupby(types).sum() for h in frontier])
legs.index = np.log10(aversions)
lines(axes[0, 1], legs, "notional traded by type", "USD", "log10 of risk aversion")
drawn

# %% [markdown]
# At the aversion of the TOML above, in whole lots, against what a desk would do without it:

# %%
hedge = oh.round_to_lots(model.hedge(market, book))
hedge.plot()

# %%
oh.trade_list(hedge)[["instrument", "side", "quantity", "limit_price", "notional", "cost", "reason"]]

# %%
print(f"lots cost {number(hedge.certificate.gap, 3)} {market.base_currency} against the best hedge without lots")
print(TOML)
