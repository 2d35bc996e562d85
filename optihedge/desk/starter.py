"""A folder to start from: the smallest market that can be hedged, a book, a model, and what each column means."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from optihedge.errors import DataError
from optihedge.files import write_text
from optihedge.market.pricing import black, years_between
from optihedge.trades.export import csv_text

SPOT, VOL, INDEX = 100.0, 0.25, 5000.0  # of the made-up ACME and its index
_STRIKES = (90, 95, 100, 105, 110)
_README = """# A market to start from

ACME and its index are made up; put your own rows in their place. Then

    optihedge check model.toml --data .
    optihedge run model.toml --data . --out out

| file | column | meaning |
|---|---|---|
| market.toml | base_currency | money of every result |
| | as_of | the instant of the quotes, time zone included |
| instruments.csv | instrument | your label; quotes.csv and book.csv use the same |
| | type | equity, spot, index, cash, future, perpetual, option, inverse_ of these three, variance_swap, pool |
| | underlying | what moves its price: a stock is its own |
| | multiplier | units of the underlying per contract (an inverse contract: of the quote currency) |
| | expiry, strike, right | of dated contracts and options (right C or P) |
| | exercise | of options: european or american |
| | lot, tick | smallest step of quantity (contracts) and of price |
| | fee | one way, fraction of notional |
| | hedge | true where it may be traded; the rest of the book stays |
| drivers.csv (optional) | driver, kind, market | what moves prices; market = true: betas are against it |
| quotes.csv | bid, ask | price units of the instrument; bid_size and ask_size (contracts) limit a line |
| | mark | reference price; without it the mid |
| | vol | implied volatility, 0.25 is 25 %; without it the quote's own is found |
| | underlying_price | forward of an option's expiry, where the venue publishes it |
| | volume | contracts a day: a line trades a tenth of it at most |
| book.csv | instrument, quantity | contracts you hold, negative is short |
| history.csv (optional) | time, one column a driver | levels of the past; without it priors are used, and named |

`optihedge models` lists hedging models, `optihedge import --help` reads venues' and brokers' own files.
"""


def write_start(folder: Path, model: str) -> None:
    """Write the folder, with `model` as its model.toml, quoted now, to the minute.

    Raises DataError where the folder holds anything already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already and not an empty folder; give another name")
    as_of = pd.Timestamp.now("UTC").floor("min")
    folder.mkdir(parents=True, exist_ok=True)
    expiry = (as_of + pd.Timedelta(days=60)).normalize() + pd.Timedelta(hours=21)
    instruments, quotes = _market(as_of, expiry)
    stamp = f"{as_of:%Y-%m-%dT%H:%M:%SZ}"
    files = {
        "market.toml": f'base_currency = "USD"  # money of every result\nas_of = "{stamp}"  # instant of the quotes\n',
        "instruments.csv": csv_text(instruments),
        "quotes.csv": csv_text(quotes),
        "book.csv": "instrument,quantity\nACME,1000\nACME-100-C,-40\n",
        "drivers.csv": "driver,kind,market\nACME,price,false\nIDX,price,true\n",
        "model.toml": model,
        "README.md": _README,
    }
    for name, text in files.items():
        write_text(folder / name, text)


def _market(as_of: pd.Timestamp, expiry: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    years = years_between(as_of, expiry)
    dated = f"{expiry:%Y-%m-%dT%H:%M:%SZ}"
    rows: list[dict[str, object]] = [
        {"instrument": "ACME", "type": "equity", "underlying": "ACME", "lot": 1, "tick": 0.01, "hedge": "true"},
        {"instrument": "IDX", "type": "index", "underlying": "IDX", "hedge": "false"},
        {"instrument": "IDX-FUT", "type": "future", "underlying": "IDX", "multiplier": 50, "expiry": dated, "lot": 1,
         "tick": 0.25, "fee": 0.00002, "hedge": "true"},
    ]  # fmt: skip
    quotes: list[dict[str, object]] = [
        {"instrument": "ACME", "bid": SPOT - 0.01, "ask": SPOT + 0.01, "volume": 2_000_000},
        {"instrument": "IDX", "mark": INDEX},
        {"instrument": "IDX-FUT", "bid": INDEX - 0.25, "ask": INDEX + 0.25, "volume": 900_000},
    ]
    for strike in _STRIKES:
        for right in ("P", "C") if strike != SPOT else ("C",):
            name = f"ACME-{strike}-{right}"
            price = float(black(SPOT, float(strike), years, VOL, right))
            rows.append({"instrument": name, "type": "option", "underlying": "ACME", "multiplier": 100, "expiry": dated,
                         "strike": strike, "right": right, "exercise": "european", "lot": 1, "tick": 0.01,
                         "fee": 0.00005, "hedge": "false" if strike == SPOT else "true"})  # fmt: skip
            quotes.append({"instrument": name, "bid": round(max(price - 0.03, 0.01), 2), "ask": round(price + 0.03, 2),
                           "bid_size": 200, "ask_size": 200, "volume": 5_000})  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(quotes)
