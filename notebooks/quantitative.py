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
