"""
Exposures against their bands
=============================

A book is hedged into bands on beta and vega; each exposure as a share of its limit, before and after.
"""

import tempfile

import optihedge as oh

folder = oh.write_example(tempfile.mkdtemp())
market, book = oh.read_market(folder), oh.read_book(folder / "book.csv")
model = oh.HedgeModel(
    risk=oh.EwmaRisk(halflife=63),
    betas=oh.Beta(),
    objective=(oh.Variance(aversion=1e-5), oh.SpreadCost(), oh.FeeCost()),
    constraints=(oh.Neutral("beta:SPX", band=100_000), oh.Neutral("vega", band=5_000)),
)
hedge = model.hedge(market, book)
hedge.plot("bands")

# %%
# Where the risk that is left comes from, by underlying:

hedge.plot("risk")

# %%
# What the book and the hedged book earn when spot and vol move, by full revaluation:

hedge.plot("spot_vol")

# %%
# ... and over spot alone, now and at expiry:

hedge.plot("payoff")

# %%
# Vega by expiry and by the delta of the strike:

hedge.plot("vega")

# %%
# What trading costs one way: options by expiry and strike, all else by underlying and venue:

hedge.plot("liquidity")
