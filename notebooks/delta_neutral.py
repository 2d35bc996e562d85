# %% [markdown]
# # A short option book is delta-neutral every evening. What is it still short of?
#
# The embedded example's index options and futures (S&P 500 and VIX of 30 June 2016 are real; premiums are modelled from
# them with a stated skew). The book is short a strip of them.

# %%
import tempfile

import numpy as np
import pandas as pd

import optihedge as oh
from optihedge.display import figure, lines
from optihedge.example import write_example
from optihedge.hedge.modelfile import parse_model
from optihedge.market.scenarios import payoff_profile

market = oh.read_market(write_example(tempfile.mkdtemp()))
book = pd.Series({"SPX-SEP16-1950-P": -100.0, "SPX-SEP16-2050-P": -60.0, "SPX-SEP16-2150-C": -80.0})
(market.exposures.loc[book.index, ["delta", "gamma", "vega", "theta"]].mul(book, axis=0)).sum()

# %% [markdown]
# Delta first: futures only, whole contracts.

# %%
DELTA = """
description = "Delta-neutral by underlying with futures, at the least cost."
horizon = "1d"

[universe]
where = { type = ["future"] }

[[objective]]
type = "SpreadCost"

[[constraints]]
type = "Neutral"
exposure = "delta"
by = "underlying"
band = 60000                   # half a future
"""
delta_only = oh.round_to_lots(parse_model(DELTA, name="delta").hedge(market, book))
oh.trade_list(delta_only)[["instrument", "side", "quantity", "limit_price", "cost", "reason"]]

# %% [markdown]
# Now gamma and vega as well, with the options of the strip that are not in the book. This is the TOML it arrives at.

# %%
TOML = """
description = "Delta within half a future, gamma and vega within bands, at the least cost."
horizon = "1d"

[universe]
where = { underlying = ["SPX"] }
frozen = ["SPX-SEP16-1950-P", "SPX-SEP16-2050-P", "SPX-SEP16-2150-C"]

[[objective]]
type = "SpreadCost"

[[objective]]
type = "FeeCost"

[[constraints]]
type = "Neutral"
exposure = "delta"
by = "underlying"
band = 60000

[[constraints]]
type = "Neutral"
exposure = "gamma"             # base currency, change of delta for +1 %
band = 100000

[[constraints]]
type = "Neutral"
exposure = "vega"              # base currency per vol point
band = 5000
"""
full = oh.round_to_lots(parse_model(TOML, name="delta_gamma_vega").hedge(market, book))
pd.DataFrame({"book": full.exposures["before"], "delta only": delta_only.exposures["after"],
              "delta, gamma, vega": full.exposures["after"]}).loc[["delta", "gamma", "vega", "theta"]]  # fmt: skip

# %% [markdown]
# Full revaluation, not Greeks: what each position earns if the index moves tonight.

# %%
returns = np.linspace(-0.08, 0.08, 33)
tonight = pd.DataFrame(
    {
        "book": payoff_profile(market, book, delta_only.trades, returns)["now", "book"],
        "delta hedged": payoff_profile(market, book, delta_only.trades, returns)["now", "both"],
        "delta, gamma, vega": payoff_profile(market, book, full.trades, returns)["now", "both"],
    }
)
drawn, axes = figure(1, 2, width=11)
lines(axes[0, 0], tonight, "P&L tonight", "USD", "move of the index")
expiry = payoff_profile(market, book, full.trades, returns)["expiry"]
lines(axes[0, 1], expiry, "delta, gamma, vega: P&L at expiry", "USD", "move of the index")
drawn

# %%
full.plot("bands")

# %% [markdown]
# Neutral in delta, the book still loses on every large move: that is its gamma. What gamma and vega cost to hedge:

# %%
pd.Series({"delta only": delta_only.costs["total"], "delta, gamma, vega": full.costs["total"]}, name="cost, USD")

# %% [markdown]
# ## What the desk asks next
#
# A market maker's skew: what ten more puts would cost or save, hedged as the book is. A bid is lowered, an ask raised
# by `each`.

# %%
pd.DataFrame([full.marginal("SPX-SEP16-2050-P", size) for size in (-10.0, 10.0)])

# %% [markdown]
# Stresses: crashes, correlations at 0.9, a basis blow-out, a quarter of the depth left, each venue frozen while all
# falls or rises.

# %%
stressed = oh.risk.scenario_table(market, oh.risk.Stresses(), book, full.trades)
stressed.sort_values("both").head(8).round()

# %% [markdown]
# Past days of crisis, and value at risk and expected shortfall over the recorded moves, before and after the hedge.

# %%
crises = oh.scenario_pnl(market, oh.STRESSES, book.index) @ book
recorded = -oh.risk.scenario_table(market, oh.risk.Replay(), book, full.trades)[["book", "both"]]
worst = {level: recorded[recorded >= recorded.quantile(level)].mean() for level in (0.95, 0.99)}
print(crises.round())
pd.concat(
    [recorded.quantile([0.95, 0.99]), pd.DataFrame(worst).T], keys=["value at risk", "expected shortfall"]
).round()

# %% [markdown]
# The same stresses as a limit: the shipped `stress_limited` pays for what it takes to lose less in the worst of them.

# %%
limited = oh.load_model("stress_limited").hedge(market, book)
limited.limits

# %% [markdown]
# Margin under rules of a desk's own (stated numbers: scans of 15 % and four vol points), and how far all prices may
# move until equity of eight million is short of it (inf: not by 90 %).

# %%
rules = oh.terms.MarginRules(
    source="stated for this notebook", date=pd.Timestamp("2016-06-30").date(), moves=(-0.15, -0.05, 0.0, 0.05, 0.15),
    vols=(-0.04, 0.04), maintenance=0.8,
)  # fmt: skip
held = book.add(full.trades, fill_value=0.0)
for name, quantities in {"book": book, "hedged": held[held != 0]}.items():
    margin = oh.terms.initial_margin(market, quantities, rules)
    down, up = oh.terms.liquidation_moves(market, quantities, 8e6, rules)
    print(f"{name}: initial margin {margin:,.0f} USD, liquidated at {down:+.0%} and {up:+.0%}")

# %% [markdown]
# Rich and cheap: each option's quote against the smile through the other strikes, in half spreads and vega money. The
# premiums are modelled, so that none is far away.

# %%
chain = market.instruments.join(market.quotes).query("type == 'option'").assign(discount=1.0)
chain["years"] = oh.options.years_between(market.as_of, chain["expiry"])
surface = oh.options.fit_surface(chain.assign(forward=chain["underlying_price"]))
print(surface.check())
oh.options.rich_cheap(market)[["bid_vol", "vol", "ask_vol", "half_spreads", "vega_money"]]

# %% [markdown]
# Valuation: Black's formula at the quoted vols lies within bid and ask. At a stated rate of 1 %, the same options on
# the future with and without the right to exercise early.

# %%
forward, strike, years, vol, right = (chain[name] for name in ("underlying_price", "strike", "years", "vol", "right"))
black = oh.options.black(forward, strike, years, vol, right)
european = oh.options.black(forward, strike, years, vol, right, np.exp(-0.01 * years))
american = oh.options.american_price(forward, strike, years, vol, right, 0.01, 0.0)
quoted = chain[["bid", "ask"]].assign(Black=black)
quoted.assign(**{"European, 1 %": european, "American, 1 %": american}).head()

# %% [markdown]
# Tomorrow: how delta decays by itself (charm), and what has to be rolled before the book's risk ends.

# %%
print(full.exposures.loc[["delta", "charm"]])
oh.policy.roll_plan(market, {"SPX-DEC16-2000-P": -100.0}, {"ES-SEP16": -10.0})

# %% [markdown]
# Gamma scalping over fifteen synthetic days (the chain of today moved by full revaluation: returns drawn with 1.2 % a
# day, vols still), long the strip, futures every evening: what gamma earned of the moves, and what theta charged.

# %%
listed = market.instruments.query("underlying == 'SPX'").drop(columns="accrual_start")
quoted = market.quotes.loc[listed.index]
days, rng = [oh.Market(listed.reset_index(), quoted.reset_index(), "USD", as_of=market.as_of)], np.random.default_rng(1)
for _ in range(15):
    days.append(oh.policy.moved(days[-1], {"spot": float(rng.normal(0, 0.012)), "days": 1.0}))
evenings = parse_model(DELTA, name="delta")
walk = oh.run_backtest(evenings, days, -book)
print(walk.gamma_scalping.sum().round())
walk.effectiveness

# %% [markdown]
# Constant monitoring instead of every evening: the policy says when the hedge acts, and why; nothing is kept.

# %%
band = oh.policy.Band("delta", width=3e6)
state = oh.policy.opening("strip", days[0], book, hedge=delta_only.trades[lambda t: t != 0])
for day in days[1:6]:
    looked = oh.policy.monitor(state, days[0], day, evenings, band)
    print(f"{day.as_of:%Y-%m-%d} {looked.status}: {looked.why}")

# %% [markdown]
# The ledger's view: three fills of a future lot by lot, what they realised, and what is unrealised the next day.

# %%
fills = [
    oh.policy.Fill(f"f{i}", "", "ES-SEP16", side, 2092.0 + i, market.as_of + pd.Timedelta(hours=i), 2.0, "USD")
    for i, side in enumerate((5.0, 5.0, -4.0), start=1)
]
after = oh.policy.advance(state, days[0], days[1], fills)
print(after.closed[["instrument", "quantity", "gain"]])
oh.policy.valued(after.state, days[1])[["account", "instrument", "unrealised", "base"]]

# %% [markdown]
# A coin-settled option (stated quotes, premium in coin), hedged with a coin-settled perpetual: exposures are in
# dollars, and what is paid in coin moves with the coin.

# %%
inverse = pd.DataFrame({
    "instrument": ["BTC-27MAR26-90000-P", "BTC-PERPETUAL"], "type": ["inverse_option", "inverse_perpetual"],
    "underlying": "BTC", "currency": "BTC", "multiplier": [1.0, 10.0], "expiry": ["2026-03-27T08:00Z", ""],
    "strike": [90_000.0, np.nan], "right": ["P", ""], "hedge": [False, True],
})  # fmt: skip
prices = pd.DataFrame({"instrument": inverse["instrument"], "bid": [0.050, 94_999.0], "ask": [0.052, 95_001.0],
                       "underlying_price": [95_300.0, 95_000.0]})  # fmt: skip
coins = oh.Market(inverse, prices, "USD", as_of="2026-02-05T08:00Z")
print(coins.exposures[["delta", "gamma", "vega", "notional"]].round(1))
parse_model(DELTA.replace("future", "inverse_perpetual"), name="coins").hedge(coins, {"BTC-27MAR26-90000-P": -20.0})

# %% [markdown]
# An exotic has the desk's own figures: here a stated barrier risk of two contracts, in a column of its own that a limit
# names.

# %%
barrier = pd.DataFrame({"barrier": [40.0, 55.0]}, index=["SPX-SEP16-1950-P", "SPX-SEP16-2000-P"])
exotic = market.with_exposures(barrier)
own = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("barrier", band=1_000.0),))
own.hedge(exotic, book).limits[["before", "after", "upper", "shadow_price"]]
