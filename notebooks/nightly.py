# %% [markdown]
# # What does a notebook need to become a nightly batch?
#
# A coin desk: 50 BTC in spot, hedged with perpetuals at two venues and a dated future. All prices are synthetic: spot
# drawn with 3 % a day, bases with 5 to 10 bp; spreads, fees and funding are stated below.

# %%
import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import optihedge as oh
from optihedge.cli.main import main
from optihedge.display import figure, lines
from optihedge.hedge.modelfile import parse_model

here, rng = Path(tempfile.mkdtemp()), np.random.default_rng(7)
times = pd.date_range("2025-09-01", periods=160, freq="D", tz="UTC")
spot = pd.Series(60_000 * np.exp(np.cumsum(rng.normal(0, 0.03, 160))), times, name="BTC")
noise = {"BTC-PERPETUAL": (0.0, 5e-4), "BTC-PERP-B": (0.0, 6e-4), "BTC-MAR26": (0.01, 1e-3)}
futures = pd.DataFrame({name: spot * np.exp(mean + rng.normal(0, sd, 160)) for name, (mean, sd) in noise.items()})
tenors = {"BTC-PERPETUAL": "perpetual", "BTC-PERP-B": "perpetual", "BTC-MAR26": "2026-03-27"}
basis, levels = oh.stats.basis_drivers(spot, futures, tenors)
drivers = pd.concat([pd.DataFrame({"kind": "price", "underlying": "BTC", "market": True}, index=["BTC"]), basis])
history = pd.concat([spot, levels], axis=1).rename_axis("time")
instruments = pd.DataFrame(
    {
        "instrument": ["BTC", *futures], "type": ["spot", "perpetual", "perpetual", "future"], "underlying": "BTC",
        "currency": "USD", "venue": ["A", "A", "B", "B"], "multiplier": [1.0, 1.0, 1.0, 0.1],
        "expiry": ["", "", "", "2026-03-27T08:00Z"], "lot": [0.001, 0.1, 0.1, 1.0], "fee": [0.0, 5e-4, 3e-4, 2e-4],
        "hedge": [False, True, True, True],
    }
)  # fmt: skip


def write_day(n: int) -> Path:
    """The folder of the night of row n: nothing later is in it."""
    folder = here / f"{times[n]:%Y-%m-%d}"
    folder.mkdir(exist_ok=True)
    price = pd.concat([spot.iloc[[n]].set_axis(["BTC"]), futures.iloc[n]])
    quotes = pd.DataFrame({"bid": price * (1 - 1e-4), "ask": price * (1 + 1e-4), "volume": 20_000.0})
    quotes["funding_rate"] = [np.nan, 2e-4, 1e-4, np.nan]
    quotes["funding_hours"] = [np.nan, 8.0, 8.0, np.nan]
    quotes["underlying_price"] = spot.iloc[n]
    quotes.rename_axis("instrument").to_csv(folder / "quotes.csv")
    instruments.to_csv(folder / "instruments.csv", index=False)
    drivers.rename_axis("driver").to_csv(folder / "drivers.csv")
    history.iloc[: n + 1].to_csv(folder / "history.csv")
    (folder / "book.csv").write_text("instrument,quantity\nBTC,50\n")
    (folder / "market.toml").write_text(f'base_currency = "USD"\nas_of = "{times[n]:%Y-%m-%dT%H:%M:%SZ}"\n')
    return folder


today, tomorrow = oh.read_market(write_day(157)), oh.read_market(write_day(158))
book = oh.read_book(here / f"{times[157]:%Y-%m-%d}" / "book.csv")
market = today
market

# %% [markdown]
# The notebook's part ends in a model file: what is wanted, in one text. Spread, fees and funding of each contract at
# its venue decide which of them hedges.

# %%
TOML = """
description = "Delta of the coin within half a coin, risk of the basis against spread, fees and funding."
horizon = "1d"
risk = { type = "EwmaRisk", halflife = 63 }

[[objective]]
type = "Variance"
relative = 100

[[objective]]
type = "SpreadCost"

[[objective]]
type = "FeeCost"

[[objective]]
type = "HoldingCost"
funding = true

[[constraints]]
type = "Neutral"
exposure = "delta"
by = "underlying"
band = 30000
"""
model = parse_model(TOML, name="coins")
hedge = model.hedge(today, book)
oh.trade_list(hedge)[["instrument", "side", "quantity", "limit_price", "cost", "reason"]]

# %%
hedge.plot()

# %% [markdown]
# What is left after delta: by part, from this night to the next (basis in `delta` of each contract's own forward,
# funding, carry).

# %%
held = hedge.after[hedge.after != 0]
left = oh.explain_pnl(today, tomorrow, held, hedge.trades[held.index])
left.loc[:, (left != 0).any()].round(1)

# %% [markdown]
# Settlement: the dated future ends for cash at a stated level, which an event tells; `other = "physical"` would deliver
# the coin.

# %%
state = oh.policy.opening("carry", today, book, hedge=hedge.trades[hedge.trades != 0].round(1))
ends = today.instruments.loc["BTC-MAR26", "expiry"]
paid = oh.store.Event(ends, "s1", ends, "settlement", "BTC-MAR26", float(spot.iloc[157]) * 1.02, other="cash")
over = oh.policy.advance(state, today, oh.policy.moved(today, {"days": 55.0}), events=[paid], compare=False)
over.closed[["instrument", "quantity", "gain"]].round(2)

# %% [markdown]
# ## The same, every night
#
# The batch needs the folder of a night, the model's file and a desk file; every line below can be typed in a shell.

# %%
(here / "coins.toml").write_text(TOML)
os.chdir(here)
os.environ["NO_COLOR"] = "1"


def optihedge(*words: str) -> None:
    """As `optihedge WORDS` in a shell."""
    main(list(words))


nights = [f"{times[n]:%Y-%m-%d}" for n in (157, 158)]
optihedge("desk", "--data", nights[0], "--model", "coins.toml")
optihedge("record", nights[0], "--store", "store")
optihedge("doctor", "--data", nights[0], "--model", "coins.toml")
optihedge("run", "--desk", "desk.toml", "--as-of", f"{nights[0]}T00:00:00Z", "--as", "ann")

# %% [markdown]
# A list leaves after another person's word on its bytes, once; the venue's fills come back; every step is in the
# ledger, and `verify` checks all of it.

# %%
run = f"book@{nights[0]}"
(listed,) = (here / "out").rglob("proposed.csv")
optihedge("approve", run, hashlib.sha256(listed.read_bytes()).hexdigest()[:12], "--as", "bob")
optihedge("send", run)
(sent,) = (here / "outbox").rglob("*.csv")
lines_sent = pd.read_csv(sent)
fills = lines_sent.assign(fill_id=[f"f{i}" for i in range(len(lines_sent))], price=lines_sent["limit_price"])
fills["time"] = f"{nights[0]}T00:05:00Z"
fills[["fill_id", "order_id", "instrument", "quantity", "price", "time"]].to_csv(here / "fills.csv", index=False)
optihedge("fills", "fills.csv")
optihedge("verify")

# %% [markdown]
# Between two nights a stream of the venue's messages drives the policy: here one ticker in Deribit's format, with the
# coin 5 % up.

# %%
price = float(spot.iloc[157]) * 1.05
ticker = {"instrument_name": "BTC-PERPETUAL", "timestamp": int((times[157] + pd.Timedelta("6h")).timestamp() * 1000),
          "best_bid_price": price - 1, "best_ask_price": price + 1, "best_bid_amount": 1e5, "best_ask_amount": 1e5,
          "mark_price": price, "index_price": price}  # fmt: skip
(here / "stream").mkdir()
(here / "stream" / "a.jsonl").write_text(json.dumps({"jsonrpc": "2.0", "result": ticker}))
(here / "band.toml").write_text('type = "Band"\nexposure = "delta"\nwidth = 2e4\n')
watched = ("--data", nights[0], "--source", "deribit", "--stream", "stream", "--policy", "band.toml", "--once")
optihedge("monitor", "coins.toml", *watched)

# %% [markdown]
# The next night, and what the nights came to.

# %%
optihedge("record", nights[1], "--store", "store")
optihedge("run", "--desk", "desk.toml", "--as-of", f"{nights[1]}T00:00:00Z", "--as", "ann")
optihedge("report")

# %% [markdown]
# Several books share the machine with `--workers` (or a cluster with `--cluster`); what-if questions write no list.

# %%
optihedge("run", "coins.toml", "--data", nights[0], "--out", "out2", "--as-of", nights[0], "--workers", "2")
optihedge("frontier", "coins.toml", "--data", nights[0], "--as-of", nights[0])

# %%
drawn, axes = figure(1, 1, height=2.6)
lines(axes[0, 0], 1e4 * levels.tail(60), "basis of the three contracts over spot", "bp")
drawn
