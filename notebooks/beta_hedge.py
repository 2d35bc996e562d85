# %% [markdown]
# # Which beta should a hedge be built on?
#
# A long book of ten US stocks hedged with the S&P 500 every twenty days, 2016 to 2018, real closes (`skfolio`). The
# index stands for a future on it (an assumption: 1 bp of spread). Only the estimate of beta differs.

# %%
import numpy as np
import pandas as pd
from skfolio.datasets import load_sp500_dataset, load_sp500_index

import optihedge as oh
from optihedge.display import bars, figure, lines
from optihedge.hedge.modelfile import parse_model
from optihedge.market.pool import PoolPosition, PowerPerpetual

prices = pd.concat([load_sp500_dataset(), load_sp500_index()], axis=1, join="inner").loc["2014-06":"2018"]
names = ["AMD", "BAC", "BBY", "GE", "JPM", "MSFT", "RRC", "UNH", "XOM", "AAPL"]
prices = prices[[*names, "SP500"]]
table = pd.DataFrame({"hedge": prices.columns == "SP500"}, index=prices.columns)


def market_at(day: pd.Timestamp) -> oh.Market:
    """What was known at the end of that day."""
    return oh.Market.from_prices(prices.loc[:day].tail(378), base_currency="USD", spread=1e-4, instruments=table,
                                 market="SP500")  # fmt: skip


days = prices.index[400::20]
markets = [market_at(day) for day in days]


def book_at(market: oh.Market) -> pd.Series:
    """A million dollars in each stock: shares."""
    return (1e6 / market.price[names]).round()


# %%
TOML = """
description = "Beta to the S&P 500 at zero with the index, at the least cost."
horizon = "20d"
betas = { type = "Beta", market = ["SP500"], METHOD }

[[objective]]
type = "SpreadCost"

[[constraints]]
type = "Neutral"
exposure = "beta:SP500"
"""
METHODS = {"least squares": 'method = "ols"', "weighted, 126 days": 'method = "ewma", halflife = 126',
           "weighted, 21 days": 'method = "ewma", halflife = 21'}  # fmt: skip
walks = {}
for name, method in METHODS.items():
    model = parse_model(TOML.replace("METHOD", method), name="beta_hedge")
    walks[name] = oh.run_backtest(model, markets, book_at)

# %% [markdown]
# What was left, and what trading it cost:

# %%
left = pd.DataFrame({name: walk.summary.loc["this"] for name, walk in walks.items()})
left.loc[["volatility", "variance removed", "cost", "turnover"]]

# %%
drawn, axes = figure(1, 2, width=11)
spread = left.loc["volatility"]
bars(axes[0, 0], spread, "standard deviation left, per twenty days", "USD", highlight=[spread.idxmin()])
bars(axes[0, 1], left.loc["cost"], "cost of trading over the whole walk", "USD", highlight=[left.loc["cost"].idxmin()])
drawn

# %%
index = prices["SP500"].pct_change(20).reindex(days).iloc[1:]
beta = {
    name: walk.pnl["both"].reset_index(drop=True).rolling(12).cov(index.reset_index(drop=True))
    / index.reset_index(drop=True).rolling(12).var()
    for name, walk in walks.items()
}
drawn, axes = figure(1, 2, width=11)
lines(axes[0, 0], pd.DataFrame(beta) / 1e6, "realised beta left (12 steps)", "million USD per unit return", "step")
total = pd.DataFrame({name: walk.pnl["both"].cumsum() for name, walk in walks.items()})
lines(axes[0, 1], total.assign(book=next(iter(walks.values())).pnl["book"].cumsum()), "P&L", "USD")
axes[0, 1].tick_params(axis="x", rotation=30)
drawn

# %% [markdown]
# The model that this notebook arrives at:

# %%
best = spread.idxmin()
print(TOML.replace("METHOD", METHODS[best]))

# %% [markdown]
# ## What the desk asks next
#
# The hedge acted on only when the policy says so, with fills at the quote: how much variance it removed, with
# intervals, and the alpha that is left when beta, carry and cost are taken away, with its error.

# %%
final = parse_model(TOML.replace("METHOD", METHODS[best]), name="beta_hedge")
run = oh.run_backtest(final, markets, book_at(markets[0]), policy=oh.policy.Band("delta", width=2e6))
print(run.steps["status"].value_counts().to_dict())
print(run.alpha.round(), run.effectiveness, sep="\n")
run.parts.T[lambda t: (t != 0).any(axis=1)].round()

# %% [markdown]
# A beta is an estimate. A limit with `uncertainty` holds for every beta within so many standard errors.

# %%
sure = oh.HedgeModel(
    betas=oh.Beta(market=("SP500",)), objective=(oh.SpreadCost(),),
    constraints=(oh.Neutral("beta:SP500", band=3e6, uncertainty=1.0),),
)  # fmt: skip
careful = sure.hedge(markets[-1], book_at(markets[-1]))
careful.limits[["before", "after", "lower", "upper"]]

# %% [markdown]
# Gamma in decentralised finance: beside its delta a liquidity pool position loses on every move; a power perpetual
# gains on it and pays for that each day (stated figures). The delta of both is for a perpetual.

# %%
pool, squared = PoolPosition(1000.0, 1600.0, 2500.0), PowerPerpetual(1e-4)
units = float(-pool.gamma(2000.0) / squared.gamma(2000.0))
ends = np.array([1700.0, 1900.0, 2000.0, 2100.0, 2300.0])
both = pool.value(ends) + units * squared.value(ends)
delta = float(pool.delta(2000.0) + units * squared.delta(2000.0))
gained = {"pool": pool.value(ends), "with power perpetual": both, "and delta hedged": both - delta * (ends - 2000.0)}
frame = pd.DataFrame(gained, index=ends)
(frame - frame.loc[2000.0]).round(1)
