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
from optihedge.trades.orders.table import OrderStyle
from optihedge.trades.schedule import schedule

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

# %% [markdown]
# ## What the desk asks next
#
# Why it costs what it costs: what each binding limit is worth, where the rest of the risk comes from, and every cost
# beside what the objective was charged.

# %%
print(*oh.explain(hedge), sep="\n")
hedge.cost_table

# %% [markdown]
# Timing: the band within which no trade is worth its cost. The book is outside, the hedge on its edge; a single option
# has the band of Whalley and Wilmott, as a policy.

# %%
region = oh.policy.NoTradeRegion(hedge.program)
print("hold still:", region.contains(hedge.program.start))
oh.policy.WhalleyWilmott(aversion=1e-6)

# %% [markdown]
# Several days: how long a trade serves decides what it may cost (the shipped model at two holdings).

# %%
for holding in ("2d", "20d"):
    held = oh.load_model("optimal_hedge", changes=[f"Volatility.holding={holding}"]).hedge(market, book)
    print(holding, f"cost {held.costs['total']:,.0f}", f"volatility {held.risk.loc['volatility', 'after']:,.0f}")

# %% [markdown]
# Few tickets: at most three lines, and what that gives away.

# %%
few = oh.trade_list(parse_model(TOML + "\n[lots]\nmost_lines = 3\nticket_fee = 5\n", name="few").hedge(market, book))
print(*few.notes, f"at most {number(few.hedge.certificate.gap, 3)} USD given away", sep="\n")
few[["instrument", "side", "quantity", "notional"]]

# %% [markdown]
# Margin as a cost and as a limit, under rules stated here (a quarter of a stock, scans of 15 % of the rest).

# %%
rules = oh.terms.MarginRules(
    source="stated for this notebook", date=pd.Timestamp("2016-06-30").date(), moves=(-0.15, 0.0, 0.15),
    share={"equity": 0.25},
)  # fmt: skip
margined = oh.HedgeModel(
    risk=oh.EwmaRisk(63),
    objective=(oh.Variance(aversion=2e-5), oh.SpreadCost(), oh.FeeCost(), oh.terms.MarginCost(rules=rules, rate=0.05)),
    constraints=(oh.terms.MarginLimit(rules=rules, limit=1e7),
                 oh.terms.VenueLimit(rules=rules, venue="XCME", limit=2e6)),
).hedge(market, book)  # fmt: skip
margined.limits[["before", "after", "upper", "shadow_price"]]

# %% [markdown]
# Vega across assets (stated quotes, vols drawn to move together by 0.8): a short straddle on one coin whose options are
# dear, hedged with the other's. How far one vol speaks for the other is in the covariance of the vol drivers.

# %%
rng, as_of = np.random.default_rng(5), pd.Timestamp("2026-02-05T08:00Z")
spots, expiry = {"BTC": 95_000.0, "ETH": 3_000.0}, pd.Timestamp("2026-03-27T08:00Z")
common = rng.normal(size=(250, 1))
moves = 0.03 * (0.8 * common + 0.6 * rng.normal(size=(250, 2)))
levels = np.array(list(spots.values())) * np.exp(np.cumsum(moves, axis=0) - moves.sum(axis=0))
vol_moves = 0.015 * (np.sqrt(0.8) * rng.normal(size=(250, 1)) + np.sqrt(0.2) * rng.normal(size=(250, 2)))
vols = 0.55 + np.cumsum(vol_moves, axis=0) - vol_moves.sum(axis=0)
days = pd.date_range(end=as_of, periods=250, freq="D")
past = pd.DataFrame(np.c_[levels, vols], index=days, columns=["BTC", "ETH", "BTC-VOL", "ETH-VOL"])
drivers = pd.DataFrame({"driver": past.columns, "kind": ["price", "price", "vol", "vol"],
                        "underlying": ["BTC", "ETH", "BTC", "ETH"], "currency": ["USD", "USD", "", ""]})  # fmt: skip
contracts, quotes = [], []
for coin, spot in spots.items():
    contracts.append({"instrument": f"{coin}-PERP", "type": "perpetual", "underlying": coin, "hedge": True})
    quotes.append({"instrument": f"{coin}-PERP", "bid": spot * 0.9999, "ask": spot * 1.0001})
    for right in "CP":
        price = oh.options.black(spot, spot, (expiry - as_of) / pd.Timedelta("365D"), 0.55, right)
        wide = {"BTC": 0.01, "ETH": 0.15}[coin]
        contracts.append({"instrument": f"{coin}-{right}", "type": "option", "underlying": coin, "strike": spot,
                          "right": right, "expiry": expiry, "hedge": True})  # fmt: skip
        quotes.append(
            {"instrument": f"{coin}-{right}", "bid": price * (1 - wide), "ask": price * (1 + wide), "vol": 0.55}
        )
desk = oh.Market(pd.DataFrame(contracts).assign(currency="USD", lot=1e-4), pd.DataFrame(quotes), "USD", drivers=drivers,
                 history=past, as_of=as_of)  # fmt: skip
crossed = oh.HedgeModel(
    risk=oh.EwmaRisk(120), objective=(oh.Variance(relative=300), oh.SpreadCost()), constraints=(oh.Neutral("delta"),)
).hedge(desk, {"ETH-C": -1000.0, "ETH-P": -1000.0})
print(crossed.trades.round(2).to_dict(), crossed.risk.loc["volatility"].round().to_dict())
crossed.exposures.loc[["delta", "gamma", "vega"], ["before", "after"]].round()

# %% [markdown]
# Liquidity: days to close each line at a tenth of its volume, the cost of closing, and what may be lost till then.

# %%
hedge.liquidity(share=0.1).sort_values("days").tail(8)

# %% [markdown]
# What trading costs one way, as a map of the market: options in vol points, all else in basis points of notional.

# %%
hedge.plot("liquidity")

# %% [markdown]
# The list over a session: slices of at most a tenth of the volume of their time, limits kept all the way.

# %%
listed = oh.trade_list(hedge)
plan = schedule(listed, slices=6, session="6h", participation=0.1)
plan.table.pivot(index="time", columns="instrument", values="quantity").fillna(0.0).iloc[:, :6]

# %% [markdown]
# The orders for a venue (type, time in force, urgency), and what execution then cost against arrival and against a
# benchmark price: here one line, filled at its limit, against the mid.

# %%
orders = listed.orders(OrderStyle(time_in_force="ioc", urgency="take"))
line = listed.table.iloc[0]
fill = oh.policy.Fill("f1", line["order_id"], line["instrument"], line["quantity"], line["limit_price"], market.as_of)
told = oh.stats.slippage(market, listed.table.iloc[:1], [fill], benchmark=market.price)
print(told.T)
orders[["symbol", "side", "amount", "type", "price", "time_in_force"]].head()
