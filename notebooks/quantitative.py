# %% [markdown]
# # Which estimate of risk would have hedged best?
#
# Real daily closes of 20 US stocks and five factor ETFs, 2014 to 2018 (package `skfolio`). Estimators forecast random
# books and hedges from past rows only; what then happened ranks them.

# %%
import pandas as pd
from skfolio.datasets import load_factors_dataset, load_sp500_dataset
from sklearn.covariance import LedoitWolf

import optihedge as oh
from optihedge.backtest.evaluate import evaluate_risk
from optihedge.display import bars, figure, lines
from optihedge.hedge.modelfile import parse_model

prices = pd.concat([load_sp500_dataset(), load_factors_dataset()], axis=1, join="inner").loc["2014":"2018"]
etfs = list(load_factors_dataset().columns)
table = pd.DataFrame({"hedge": prices.columns.isin(etfs)}, index=prices.columns)
market = oh.Market.from_prices(prices, base_currency="USD", spread=4e-4, instruments=table)
market.plot()

# %%
ESTIMATORS = {
    "Ledoit-Wolf": (oh.SampleRisk(LedoitWolf(assume_centered=True), window=252), 'type = "SampleRisk", window = 252'),
    "EWMA 63": (oh.EwmaRisk(halflife=63), 'type = "EwmaRisk", halflife = 63'),
    "EWMA 21": (oh.EwmaRisk(halflife=21), 'type = "EwmaRisk", halflife = 21'),
    "factors 252": (oh.FactorRisk(halflife=252), 'type = "FactorRisk", halflife = 252'),
}
risks = {name: estimator for name, (estimator, _) in ESTIMATORS.items()}
result = evaluate_risk(risks, market.moves(), hedges=etfs, books=40, size=10, refit=21)
result.forecasts

# %% [markdown]
# A bias of 1 is right; above 1 risk was understated. Realised variance of the hedge that each would have built, against
# the first one's:

# %%
hedged = result.variances.xs("hedge", level=1)["ratio"]
drawn, axes = figure(1, 2, width=11)
best = hedged.idxmin()
bars(axes[0, 0], hedged, "realised variance of the hedge, first = 1", highlight=[best])
bias = result.periods.xs("hedged", level=1).T
bias.index = [str(label)[:10] for label in bias.index]
lines(axes[0, 1], bias, "bias of hedged books by year")
axes[0, 1].axhline(1.0, color="#33393f", linewidth=0.8)
drawn

# %% [markdown]
# The model it arrives at, on a long book with its risk capped at half a percent of gross a day:

# %%
TOML = """
description = "Hedge with the risk estimate that did best, costs that know the spread, volatility capped."
horizon = "1d"
on_infeasible = "relax"
risk = { RISK }

[[objective]]
type = "Variance"
relative = 100

[[objective]]
type = "SpreadCost"

[[constraints]]
type = "VolatilityLimit"
share = 0.005
""".replace("RISK", ESTIMATORS[best][1])
book = (1e6 / prices.iloc[-1][list(load_sp500_dataset().columns)]).round()
hedge = parse_model(TOML, name="quantitative").hedge(market, book)
hedge.plot()

# %%
print(TOML)
hedge

# %% [markdown]
# ## What the desk asks next
#
# Fat tails: moves beyond two and three standard deviations against what a normal law would bring, and a hidden Markov
# model's calm and wild days.

# %%
moves = market.moves().dropna()
print(oh.stats.leptokurtosis(moves, threshold=2.0).mean().round(2).to_dict())
print(oh.stats.leptokurtosis(moves, threshold=3.0).nlargest(4, "excess_kurtosis").round(2))
regimes = oh.risk.GaussianHmm(2).fit(moves[["USMV", "MTUM"]])
wild = pd.DataFrame({"probability of a wild day": regimes.probabilities_[:, 1]}, index=moves.index)
drawn, axes = figure(1, 1, height=2.4)
lines(axes[0, 0], wild, "two regimes of USMV and MTUM")
print("a month on:", regimes.forecast().round(3))
drawn

# %% [markdown]
# Who leads whom (chance is counted over all pairs and lags), and the classic ratio of one stock's hedge.

# %%
print(oh.stats.lead_lag(moves[etfs], lags=2, level=1.0).head(3))
ratios, explained = oh.stats.minimum_variance_hedge(moves["JPM"], moves[["VLUE", "USMV"]])
print(f"JPM: sell {ratios.round(2)} of VLUE and USMV, {explained:.0%} of its variance explained")

# %% [markdown]
# Index tracking: an equal-weighted basket of all twenty stocks followed with eight lines at most, spreads charged.

# %%
stocks = oh.Market.from_prices(prices[book.index], base_currency="USD", spread=4e-4)
tracker = oh.HedgeModel(
    capital=2e7, risk=oh.FactorRisk(halflife=252), lots={"most_lines": 8},
    objective=(oh.terms.Tracking(target=book.to_dict(), aversion=1e-6), oh.SpreadCost()),
)  # fmt: skip
followed = oh.trade_list(tracker.hedge(stocks, {}))
bought = followed.table.set_index("instrument")["quantity"]
missed = bought.reindex(book.index, fill_value=0.0) - book
error = (stocks.moves().tail(252)[book.index] * (missed * stocks.price)).sum(axis=1).std()
print(f"tracking error over the last year {error:,.0f} USD a day")
followed[["instrument", "side", "quantity", "notional"]]

# %% [markdown]
# The regime in the risk itself, over five days: the same book under a forecast that weighs both regimes.

# %%
regime = oh.HedgeModel(horizon="5d", risk=oh.risk.RegimeRisk(), objective=(oh.Variance(relative=100), oh.SpreadCost()))
regime.hedge(market, book).risk
