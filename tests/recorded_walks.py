"""Recorded desks over a few of their days: a walk's markets (or panel), each market alone, the book, events."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from recorded_desks import coin_book, names_book, options_book
from recorded_markets import (
    EQUITY_FEE,
    EQUITY_SPREAD,
    deribit_market,
    deribit_snapshots,
    perpetual_closes,
    perpetual_market,
    sp500_market,
    sp500_panel,
    spot_perpetual_market,
    spot_perpetual_panel,
    spx_days,
    spx_market,
)
from recorded_nights import carry_fundings, coin_days, coin_market, stock_events, stock_market

import optihedge as oh
from optihedge.market.events import Event

Find = Callable[[str], Path]


@dataclass(frozen=True, eq=False)
class Days:
    """markets  as a walk takes them;  alone  each made by itself, of its own rows;  book  at the first."""

    markets: Iterable[oh.Market]
    alone: list[oh.Market]
    book: pd.Series
    events: tuple[Event, ...] = ()


def deribit(find: Find, days: int) -> Days:
    folder = find("deribit_btc_2026")
    markets = [deribit_market(folder, time) for time in deribit_snapshots(folder)[:days]]
    return Days(markets, markets, options_book(markets[0], markets[-1]))


def coin_options(find: Find, days: int) -> Days:
    """Both coins' options; one expires on the way."""
    folder = find("deribit_btc_eth_2026")
    markets = [coin_market(folder, day, reach=0.15) for day in coin_days(folder)[40 : 40 + days]]
    table = markets[0].instruments
    soon = table.index[(table["expiry"] <= markets[-1].as_of) & (table["type"] == "inverse_option")]
    book = pd.concat([options_book(markets[0], markets[-1]), pd.Series({"BTC": 3.0, str(soon[len(soon) // 2]): -5.0})])
    return Days(markets, markets, book[~book.index.duplicated()])


def spx(find: Find, days: int) -> Days:
    """Options that are liquid at each of the closes: whatever is bought is there at the next."""
    folder = find("spx_options_2019")
    closes = spx_days(folder)[10 : 10 + days]
    whole = [spx_market(folder, day, max_days=60).names for day in closes]
    names = [name for name in whole[0] if all(name in listed for listed in whole)]
    markets = [spx_market(folder, day, max_days=60, names=names) for day in closes]
    return Days(markets, markets, options_book(markets[0], markets[-1]))


def stocks(find: Find, days: int) -> Days:
    """On a panel: each of its markets is that of its own window."""
    folder, rows = find("sp500_daily_2012_2017"), 504
    ends = sp500_panel(folder)[0].loc[:"2016-06-30"].index[-days:]
    whole = sp500_market(folder, ends[-1], rows=rows + days - 1)
    told = {
        "base_currency": "USD", "spread": EQUITY_SPREAD, "fee": EQUITY_FEE, "volume": whole.quotes["volume"],
        "instruments": whole.instruments[["sector", "hedge"]], "market": "MARKET",
    }  # fmt: skip
    panel = oh.Panel.from_prices(whole.history, rows=rows, **told)
    alone = [oh.Market.from_prices(whole.history.iloc[i : i + rows], **told) for i in range(days)]
    return Days(panel, alone, names_book(alone[0]))


def splits(find: Find, days: int) -> Days:
    """Raw closes with dividends and Apple's 7:1."""
    folder, etfs = find("sp500_corporate_actions"), find("etf_daily_2006_2022")
    names = ["AAPL", "MSFT", "XOM", "JNJ", "JPM", "PG"]
    ends = pd.to_datetime(["2014-05-30", "2014-06-06", "2014-06-13", "2014-06-20", "2014-06-27"])[:days]
    markets = [stock_market(folder, etfs, day, names, rows=300) for day in ends]
    book = pd.Series({"AAPL": 1_000.0, "MSFT": -5_000.0, "XOM": 3_000.0, "JPM": 4_000.0})
    return Days(markets, markets, book, tuple(stock_events(folder, names, "2014-01-01", "2014-12-31")))


def alts(find: Find, days: int) -> Days:
    folder = find("crypto_perp_daily")
    ends = perpetual_closes(folder).loc[:"2024-06-30"].index[-days:]
    markets = [perpetual_market(folder, day) for day in ends]
    return Days(markets, markets, names_book(markets[0]))


def coins(find: Find, days: int) -> Days:
    """Spot against perpetuals, every funding paid."""
    folder = find("crypto_spot_perp_8h_2023_2024")
    times = spot_perpetual_panel(folder).index[300 : 300 + 3 * days : 3]
    markets = [spot_perpetual_market(folder, time) for time in times]
    return Days(markets, markets, coin_book(markets[0]), tuple(carry_fundings(folder)))


WALKS: dict[str, Callable[[Find, int], Days]] = {
    "Deribit": deribit, "coin options": coin_options, "SPX": spx, "stocks": stocks, "splits": splits, "alts": alts,
    "coins": coins,
}  # fmt: skip
