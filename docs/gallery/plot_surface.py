"""
Rich and cheap options
======================

An arbitrage-free smile through the quotes, and each quote against the smile of the other strikes. The example's
premiums are made from a smooth skew, so that nothing is rich or cheap until a quote is moved.
"""

import tempfile
from dataclasses import replace

import optihedge as oh
from optihedge.market.rich_cheap import smiles

market = oh.read_market(oh.write_example(tempfile.mkdtemp()))
quotes = market.quotes.copy()
spread = quotes.at["SPX-SEP16-2000-P", "ask"] - quotes.at["SPX-SEP16-2000-P", "bid"]
for side in ("bid", "ask", "mark"):
    quotes.loc["SPX-SEP16-2000-P", side] = quotes.at["SPX-SEP16-2000-P", side] + 1.5 * spread
moved = replace(market, quotes=quotes)

found = oh.options.rich_cheap(moved)
print(found[["strike", "right", "half_spreads", "vega_money"]].round(2))

# %%
# The put that was moved up is beyond its neighbours' smile; they look cheap beside it.

surface = oh.options.Surface(tuple(one for _, one in smiles(moved)))
surface.plot(found)
