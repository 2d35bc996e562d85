"""
Did the hedge work?
===================

A long book of ten US stocks and a future on the S&P 500, walked week by week through a year of real closes (skfolio).
The future's price is the index's and its spread of 1 bp is assumed.
"""

import pandas as pd
from skfolio.datasets import load_sp500_dataset, load_sp500_index

import optihedge as oh

prices = pd.concat([load_sp500_dataset(), load_sp500_index()], axis=1, join="inner").loc["2016":"2018"]
names = ["AMD", "BAC", "BBY", "GE", "JPM", "MSFT", "RRC", "UNH", "XOM", "AAPL"]
prices = prices[[*names, "SP500"]]
table = pd.DataFrame({"hedge": prices.columns == "SP500"}, index=prices.columns)
days = prices.index[-252::5]
markets = [
    oh.Market.from_prices(prices.loc[:day].tail(252), base_currency="USD", spread=1e-4, instruments=table)
    for day in days
]
book = (1e6 / markets[0].price[names]).round()
model = oh.HedgeModel(
    betas=oh.Beta(market=["SP500"]), objective=(oh.SpreadCost(),), constraints=(oh.Neutral("beta:SP500", band=50_000),)
)
walk = oh.run_backtest(model, markets, book)
walk.plot()

# %%
# What was removed of variance, tail and drawdown, with intervals of 95 %:

walk.effectiveness.plot()

# %%
print(walk.effectiveness.table.round(3))
