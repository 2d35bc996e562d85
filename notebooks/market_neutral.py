# %% [markdown]
# # How much of a stock picker's risk is the market, and what does it cost to be rid of it?
#
# Real daily closes of 20 US stocks, the S&P 500 and five factor ETFs, 2015 to 2018 (package `skfolio`). The picker is
# long ten stocks and half as much short in the other ten; the ETFs are the hedges. Spreads of 4 bp are assumed.

# %%
import numpy as np
import pandas as pd
from skfolio.datasets import load_factors_dataset, load_sp500_dataset, load_sp500_index

import optihedge as oh
from optihedge.display import bars, figure, lines
from optihedge.hedge.modelfile import parse_model
from optihedge.market.pool import PoolPosition

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
walk = oh.run_backtest(model, (market_at(day) for day in days), book_at)
drawn, axes = figure(1, 2, width=11)
lines(axes[0, 0], walk.pnl[["book", "both"]].cumsum(), "P&L, book alone and hedged", "USD")
spread = walk.pnl[["book", "both"]].std().rename({"book": "book", "both": "hedged"})
bars(axes[0, 1], spread, "standard deviation per twenty days", "USD", highlight=["hedged"])
axes[0, 0].tick_params(axis="x", rotation=30)
drawn

# %% [markdown]
# The part of the variance that was the market's, and what removing it cost:

# %%
pd.concat([walk.summary.loc["this", ["variance removed", "cost", "turnover"]], walk.pnl[["book", "hedge"]].sum()])

# %% [markdown]
# ## What the desk asks next
#
# Correlation risk: whether stocks move with the index more than its wildest days alone would have it, and what the
# book and its hedge lose when everything moves at a correlation of 0.9.

# %%
book = book_at(today)
broken = oh.stats.correlation_breakdown(today.moves(), "SP500")
print(broken.sort_values("t_statistic").tail(4).round(2))
together = oh.risk.scenario_table(today, oh.risk.Stresses(), book, hedge.trades)
together.sort_values("both").head(5).round()

# %% [markdown]
# Relative value: pairs that a year and a half of closes calls cointegrated (often none: chance is counted over all
# pairs), and a pair held in a locked ratio, with how far it is from its mean and how fast that goes.

# %%
print(oh.stats.cointegrated_pairs(np.log(prices[etfs].loc[: today.as_of.tz_localize(None)].tail(378)), level=0.5))
legs = {"USMV": 1.0, "QUAL": -1.0}
spread_now = oh.stats.spread_state(today, legs, rows=250)
print(f"{spread_now.z:+.2f} deviations, half-life {spread_now.half_life:.1f} days")
pair = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.terms.Spread(legs, limit=1e6, rows=250),))
pair.hedge(today, {"USMV": 10_000.0}).limits

# %% [markdown]
# When to enter and leave it, and when to hedge at all, are policies; the monitor looks and keeps nothing.

# %%
tomorrow = market_at(prices.index[401])
empty = oh.policy.opening("pair", today, {})
looks = {"pair": (empty, pair, oh.policy.ZScore(legs, entry=1.5)),
         "book": (oh.policy.opening("book", today, book), model, oh.policy.Band("delta", width=2e6))}  # fmt: skip
for name, (state, asked, policy) in looks.items():
    print(name, oh.policy.monitor(state, today, tomorrow, asked, policy).why)

# %% [markdown]
# A signal as an input: momentum of a year less its last month, as a yearly return that the objective earns beside risk
# and cost (a stated tenth of it is believed).

# %%
past = prices.loc[: today.as_of.tz_localize(None)]
momentum = past.iloc[-21] / past.iloc[-252] - 1
signalled = oh.Market.from_prices(past.tail(378), base_currency="USD", spread=4e-4,
                                  instruments=table.assign(momentum=momentum))  # fmt: skip
earning = oh.HedgeModel(
    risk=oh.EwmaRisk(63),
    objective=(oh.Variance(relative=100), oh.SpreadCost(), oh.terms.ExpectedReturn("momentum", scale=0.1)),
)
pd.DataFrame({"without": hedge.trades, "with": earning.hedge(signalled, book).trades}).loc[list(etfs)].round()

# %% [markdown]
# Whether the model does what it says: realised over forecast, step by step, as a policy that acts on it.

# %%
drifting = oh.run_backtest(model, [market_at(day) for day in days[:14]], book, policy=oh.policy.Drift(1.2, least=5))
drifting.steps["why"].tail(8)

# %% [markdown]
# A liquidity pool position (stated: 1,000 of liquidity between 1,600 and 2,500, entered at 2,000) is short gamma; what
# it lost against holding its tokens is the divergence, or impermanent, loss.

# %%
pool, at = PoolPosition(1000.0, 1600.0, 2500.0), np.array([1500.0, 1800.0, 2000.0, 2200.0, 2600.0])
figures = {"value": pool.value(at), "delta": pool.delta(at), "gamma": pool.gamma(at)}
pd.DataFrame(figures | {"divergence loss": pool.divergence_loss(2000.0, at)}, index=at).round(4)

# %% [markdown]
# In a market it is an instrument of type `pool`, held as so many units of liquidity: a perpetual takes its delta away,
# and what a scenario costs after that is the divergence.

# %%
rows = pd.DataFrame({"instrument": ["ETH", "ETH-PERP"], "type": ["spot", "perpetual"], "underlying": "ETH",
                     "currency": "USD", "hedge": [False, True], "lot": 1e-3})  # fmt: skip
held = pool.tables("LP 1600-2500", "ETH", "USD")
quoted = pd.DataFrame({"instrument": ["ETH", "ETH-PERP"], "bid": [1999.9, 1999.6], "ask": [2000.1, 2000.0]})
coins = oh.Market(pd.concat([rows, held["instruments"]]), quoted, "USD", as_of="2026-02-05T08:00Z")
flat = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta"),))
hedged = flat.hedge(coins, held["book"].set_index("instrument")["quantity"])
print(hedged.trades[hedged.trades != 0].round(3).to_dict())
moves = pd.DataFrame({"spot:ETH": at / 2000.0 - 1}, index=at)
pnl = oh.scenario_pnl(coins, moves, hedged.after[hedged.after != 0].index) * hedged.after[hedged.after != 0]
pnl.assign(together=pnl.sum(axis=1)).round(1)
