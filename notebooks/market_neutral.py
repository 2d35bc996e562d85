# %% [markdown]
# # How much of a stock picker's risk is the market, and what does it cost to be rid of it?
#
# Real daily closes of 20 US stocks, the S&P 500 and five factor ETFs, 2015 to 2018 (package `skfolio`). The picker is
# long ten stocks and half as much short in the other ten; the ETFs are the hedges. Spreads of 4 bp are assumed.

# %%
import pandas as pd
from skfolio.datasets import load_factors_dataset, load_sp500_dataset, load_sp500_index

import optihedge as oh
from optihedge.display import bars, figure, lines
from optihedge.hedge.modelfile import parse_model

prices = pd.concat([load_sp500_dataset(), load_factors_dataset(), load_sp500_index()], axis=1, join="inner")
prices = prices.loc["2015":"2018"]
etfs = load_factors_dataset().columns
stocks = load_sp500_dataset().columns
longs, shorts = stocks[::2], stocks[1::2]
table = pd.DataFrame({"hedge": prices.columns.isin(etfs)}, index=prices.columns)


def market_at(day: pd.Timestamp) -> oh.Market:
    """What was known at the end of that day: a year and a half of history, nothing later."""
    return oh.Market.from_prices(prices.loc[:day].tail(378), base_currency="USD", spread=4e-4, instruments=table)


def book_at(market: oh.Market) -> pd.Series:
    """A million dollars long in each of ten stocks, half of that short in each of the others: shares."""
    return pd.concat([1e6 / market.price[longs], -5e5 / market.price[shorts]]).round()


today = market_at(prices.index[400])

# %% [markdown]
# The model keeps the book's beta to the S&P 500 within 1 % of its gross and lowers variance as far as the spread is
# worth it. Everything a model says fits in one TOML text; it is the one this notebook arrives at.

# %%
TOML = """
description = "Beta to the S&P 500 within one percent of gross, variance against spread."
horizon = "20d"
risk = { type = "EwmaRisk", halflife = 63 }
betas = { type = "Beta", market = ["SP500"] }

[[objective]]
type = "Variance"
relative = 100

[[objective]]
type = "SpreadCost"

[[constraints]]
type = "Neutral"
exposure = "beta:SP500"
band_share = 0.01
"""
model = parse_model(TOML, name="market_neutral")
hedge = model.hedge(today, book_at(today))
hedge

# %%
hedge.plot()

# %% [markdown]
# One day proves little. Every twenty days to the end of 2018, with nothing from the future: the same step, and what
# book and hedge then earned, spreads paid. The book is kept at the same dollars in each stock.

# %%
days = prices.index[400::20]
walk = oh.walk_forward(model, (market_at(day) for day in days), book_at)
drawn, axes = figure(1, 2, width=11)
lines(axes[0, 0], walk.pnl[["book", "total"]].cumsum(), "P&L, book alone and hedged", "USD")
spread = walk.pnl[["book", "total"]].std().rename({"book": "book", "total": "hedged"})
bars(axes[0, 1], spread, "standard deviation per twenty days", "USD", highlight=["hedged"])
axes[0, 0].tick_params(axis="x", rotation=30)
drawn

# %% [markdown]
# The part of the variance that was the market's, and what removing it cost:

# %%
walk.summary()[["variance_removed", "cost", "turnover", "pnl_book", "pnl_hedge"]]
