"""
What less risk costs
====================

One hedge a value of the aversion; the simple hedges beside.
"""

import tempfile

import optihedge as oh

folder = oh.write_example(tempfile.mkdtemp())
market, book = oh.read_market(folder), oh.read_book(folder / "book.csv")
model = oh.HedgeModel(
    risk=oh.EwmaRisk(halflife=63), objective=(oh.Variance(aversion=1e-6), oh.SpreadCost(), oh.FeeCost())
)
frontier = model.frontier(market, book, [1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5])
frontier.plot()

# %%
# The same as a table, with the lines that each would send:

print(frontier.table.round(1))
