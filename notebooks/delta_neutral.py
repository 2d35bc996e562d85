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
full.plot()

# %% [markdown]
# Neutral in delta, the book still loses on every large move: that is its gamma. What gamma and vega cost to hedge:

# %%
pd.Series({"delta only": delta_only.costs["total"], "delta, gamma, vega": full.costs["total"]}, name="cost, USD")
