"""The recorded data as Markets of one day, with nothing from after it; what they lack is assumed, and named here."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from recorded import perpetual_closes, spx_chain

from optihedge.frames import DAY_END
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk

EQUITY_SPREAD = 4e-4  # assumed: whole spread of a large US stock, fraction of price
EQUITY_FEE = 5e-5  # assumed: commission, fraction of notional
PERP_SPREAD = 4e-4  # assumed: whole spread of a liquid perpetual
PERP_FEE = 4.5e-4  # assumed: taker fee
DERIBIT_VOL_TENORS = {"vol:7d": "7d", "vol:30d": "30d", "vol:90d": "90d", "vol:180d": "180d", "vol:365d": "365d"}
SPX_VOL_TENORS = {"vol:30d": 30, "vol:90d": 90, "vol:180d": 180}
NEW_YORK = "America/New_York"


# ---- Deribit -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _deribit(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_parquet(folder / "options.parquet"), pd.read_parquet(folder / "futures.parquet")


def deribit_snapshots(folder: Path) -> list[pd.Timestamp]:
    """The labels of the seven snapshots."""
    return sorted(_deribit(folder)[0]["snapshot"].unique())


def deribit_options(folder: Path, snapshot: pd.Timestamp) -> pd.DataFrame:
    """The options of one snapshot as the venue published them, its Greeks included."""
    options = _deribit(folder)[0]
    return options[options["snapshot"] == snapshot]


def deribit_market(folder: Path, snapshot: pd.Timestamp, base: str = "USD", closes: pd.Series | None = None) -> Market:
    """The whole venue at one snapshot: inverse options and futures, the perpetual, coin and dollars; base USD or BTC.

    One contract of an option is 1 BTC (lots of 0.1), of a future 10 USD. `closes`: BTC closes by UTC day, of which
    those known at the snapshot become the history of driver BTC; vol and basis drivers have none (see deribit_risk).
    """
    options, futures = (frame[frame["snapshot"] == snapshot] for frame in _deribit(folder))
    as_of = max(options["time"].max(), futures["time"].max())
    live = futures["expiration"].isna() | (futures["expiration"] > as_of)
    futures, options = futures[live], options[options["expiration"] > as_of]
    table = pd.concat([
        pd.DataFrame({
            "instrument": options["instrument_name"], "type": "inverse_option", "multiplier": 1.0,
            "expiry": options["expiration"], "strike": options["strike"].astype(float),
            "right": np.where(options["option_type"] == "call", "C", "P"), "lot": options["min_trade_amount"],
            "min_quantity": options["min_trade_amount"], "tick": options["tick_size"],
            "fee": options["taker_commission"], "fee_cap": 0.125,
        }),
        pd.DataFrame({
            "instrument": futures["instrument_name"], "multiplier": futures["contract_size"].astype(float),
            "type": np.where(futures["expiration"].isna(), "inverse_perpetual", "inverse_future"),
            "expiry": futures["expiration"], "lot": 1.0, "min_quantity": 1.0, "tick": futures["tick_size"],
            "fee": futures["taker_commission"],
        }),
        pd.DataFrame({"instrument": ["BTC-INDEX", "BTC", "USD"], "type": ["index", "cash", "cash"]}),
    ], ignore_index=True)  # fmt: skip
    table["underlying"] = "BTC"
    table["currency"] = "USD"
    table.loc[table["instrument"] == "BTC", "currency"] = "BTC"
    table.loc[table["instrument"] == "USD", "underlying"] = "USD"
    table["venue"], table["settlement_window"] = "deribit", 30.0
    columns = {"best_bid_price": "bid", "best_ask_price": "ask", "mark_price": "mark", "time": "time"}
    sizes = {"best_bid_amount": "bid_size", "best_ask_amount": "ask_size"}
    quotes = pd.concat([
        options[["instrument_name", *columns, *sizes]].rename(columns=columns | sizes).assign(
            underlying_price=options["underlying_price"], vol=options["mark_iv"] / 100, volume=options["stats_volume"]
        ),
        futures[["instrument_name", *columns]].rename(columns=columns).assign(
            underlying_price=futures["index_price"], bid_size=futures["best_bid_amount"] / 10.0,
            ask_size=futures["best_ask_amount"] / 10.0, volume=futures["stats_volume_usd"] / 10.0,
            funding_rate=futures["funding_8h"], funding_hours=np.where(futures["funding_8h"].notna(), 8.0, np.nan),
        ),
        pd.DataFrame({
            "instrument_name": ["BTC-INDEX"], "mark": [futures.sort_values("time")["index_price"].iloc[-1]],
            "time": [as_of],
        }),
    ], ignore_index=True).rename(columns={"instrument_name": "instrument"})  # fmt: skip
    expiries = sorted({f"{day:%Y-%m-%d}" for day in table["expiry"].dropna()})
    drivers = pd.DataFrame(
        [("BTC", "price", "BTC", "", True)]
        + [(name, "vol", "BTC", tenor, False) for name, tenor in DERIBIT_VOL_TENORS.items()]
        + [(f"basis:{day}", "basis", "BTC", day, False) for day in ["perpetual", *expiries]],
        columns=["driver", "kind", "underlying", "tenor", "market"],
    ).assign(currency=lambda d: np.where(d["kind"] == "price", "USD", ""), periods_per_year=365.0)
    history = None
    if closes is not None:
        history = closes.dropna().astype(float).rename("BTC").to_frame()
        history.index = history.index + DAY_END
    return Market(table, quotes, base, drivers=drivers, history=history, as_of=as_of, on_missing="freeze")


def deribit_risk(market: Market) -> Risk:
    """An assumed daily risk of the Deribit drivers, for tests of mechanics.

    BTC 2.5 %; vols 3 points at 30 days, falling with the root of the tenor, correlated 0.9 from tenor to tenor and -0.3
    with BTC; each basis 10 bp of its own.
    """
    drivers = market.drivers
    vols = [name for name in DERIBIT_VOL_TENORS if name in drivers.index]
    days = np.array([float(DERIBIT_VOL_TENORS[name][:-1]) for name in vols])
    steps = np.arange(len(vols))
    correlation = np.full((len(vols) + 1, len(vols) + 1), -0.3)
    correlation[1:, 1:] = 0.9 ** np.abs(steps[:, None] - steps)
    correlation[0, 0] = 1.0
    deviation = np.concatenate([[0.025], 0.03 * np.sqrt(30 / days)])
    root = np.zeros((len(deviation), len(drivers)))
    root[:, drivers.index.get_indexer(["BTC", *vols])] = (np.linalg.cholesky(correlation) * deviation[:, None]).T
    specific = np.where(drivers["kind"] == "basis", 1e-3, 0.0)
    return Risk(root, specific, drivers.index, 365.0)


# ---- SPX -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _spx(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    forwards = pd.read_parquet(folder / "spx_parity_forwards_derived.parquet")
    forwards = forwards[(forwards["discount"] <= 1.02) & (forwards["t_years"] >= 7 / 365)]
    keys = ["quotedate", "expiration", "root"]
    chain = spx_chain(folder).merge(forwards.astype({"root": str})[[*keys, "forward", "implied_rate"]], on=keys)
    return chain, forwards


def spx_days(folder: Path) -> list[pd.Timestamp]:
    """The recorded trading days."""
    return sorted(_spx(folder)[0]["quotedate"].unique())


@lru_cache(maxsize=2)
def spx_history(folder: Path) -> pd.DataFrame:
    """Day x (SPX, at-the-forward vols at 30, 90, 180 days): the published vols of the nearest strikes, interpolated."""
    chain, _ = _spx(folder)
    near = chain[(chain["vol"] > 0) & (chain["bid"] > 0) & (np.abs(chain["strike"] / chain["forward"] - 1) < 0.01)]
    level = near.groupby(["quotedate", "days"])["vol"].mean()
    rows = {}
    for day, vols in level.groupby(level="quotedate"):
        days = vols.index.get_level_values("days").to_numpy(dtype=float)
        rows[day] = [np.interp(tenor, days, vols.to_numpy()) for tenor in SPX_VOL_TENORS.values()]
    history = pd.DataFrame.from_dict(rows, orient="index", columns=list(SPX_VOL_TENORS))
    history.insert(0, "SPX", chain.groupby("quotedate")["spot"].first().reindex(history.index))
    history.index = pd.DatetimeIndex(history.index, name="time")
    return history


def spx_market(
    folder: Path, day: pd.Timestamp, max_days: int = 365, liquid: bool = True, names: list[str] | None = None
) -> Market:
    """The SPX options of one close, 7 to `max_days` days out, with parity forwards, and the index as an ETF-like stock.

    `liquid`: bid above zero and a published delta between 5 and 95 %. `names`: only these contracts. Assumed: the index
    trades at a whole spread of 0.25 points; options pay 1 USD a contract.
    """
    day = pd.Timestamp(day)
    chain, _ = _spx(folder)
    rows = chain[(chain["quotedate"] == day) & (chain["days"] >= 7) & (chain["days"] <= max_days)]
    rows = rows[(rows["bid"] > 0) & (rows["ask"] > rows["bid"]) & (rows["vol"] > 0)]
    if liquid:
        rows = rows[rows["delta"].abs().between(0.05, 0.95)]
    labels = spx_labels(rows)
    if names is not None:
        rows, labels = rows[labels.isin(names)], labels[labels.isin(names)]
    close = (day + pd.Timedelta(hours=16)).tz_localize(NEW_YORK).tz_convert("UTC")
    settles = rows["expiration"] + pd.to_timedelta(np.where(rows["root"] == "SPX", 570, 960), unit="min")
    spot = float(chain.loc[chain["quotedate"] == day, "spot"].iloc[0])
    expiry = settles.dt.tz_localize(NEW_YORK).dt.tz_convert("UTC")
    table = pd.DataFrame({
        "instrument": labels, "type": "option", "underlying": "SPX", "multiplier": 100.0, "expiry": expiry,
        "strike": rows["strike"], "right": rows["right"], "lot": 1.0, "fee_per_contract": 1.0,
    })  # fmt: skip
    quotes = pd.DataFrame({
        "instrument": labels, "bid": rows["bid"], "ask": rows["ask"], "underlying_price": rows["forward"],
        "rate": rows["implied_rate"],
    })  # fmt: skip
    index = {"instrument": "SPX", "type": "equity", "underlying": "SPX", "multiplier": 1.0, "lot": 1.0}
    quote = {"instrument": "SPX", "bid": spot - 0.125, "ask": spot + 0.125, "mark": spot}
    drivers = pd.DataFrame(
        [("SPX", "price", "SPX", "", True)] + [(k, "vol", "SPX", f"{t}d", False) for k, t in SPX_VOL_TENORS.items()],
        columns=["driver", "kind", "underlying", "tenor", "market"],
    ).assign(known_at=f"16:00 {NEW_YORK}", periods_per_year=252.0)
    history = spx_history(folder)
    return Market(
        pd.concat([table, pd.DataFrame([index])], ignore_index=True),
        pd.concat([quotes, pd.DataFrame([quote])], ignore_index=True),
        "USD", drivers=drivers, history=history[history.index <= day], as_of=close, on_missing="freeze",
    )  # fmt: skip


def spx_labels(rows: pd.DataFrame) -> pd.Series:
    """SPXW-20190517-2900-C."""
    strikes = rows["strike"].map("{:g}".format)
    return rows["root"] + "-" + rows["expiration"].dt.strftime("%Y%m%d") + "-" + strikes + "-" + rows["right"]


# ---- stocks and perpetuals -----------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def sp500_baskets(folder: Path) -> pd.DataFrame:
    """MARKET and one basket per sector: equal-weighted indices of the clean names from 2012 on, rebalanced daily."""
    closes, _, sectors = sp500_panel(folder)
    returns = closes.pct_change(fill_method=None)
    groups = {"MARKET": returns.mean(axis=1)}
    groups |= {f"SECTOR {name}": returns[part.index].mean(axis=1) for name, part in sectors.groupby(sectors)}
    return 100 * (1 + pd.DataFrame(groups).fillna(0.0)).cumprod()


@lru_cache(maxsize=2)
def sp500_panel(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Closes and volumes of the 432 clean names, and their sectors."""
    names = pd.read_csv(folder / "symbols_sectors.csv", keep_default_na=False).set_index("symbol")
    clean = names.index[(names["n"] == 1258) & (names["suspect_adjustment"].astype(str) != "True")]
    daily = pd.read_parquet(folder / "ohlcv.parquet")
    daily = daily[daily["symbol"].isin(clean)].assign(symbol=lambda d: d["symbol"].astype(str))
    closes = daily.pivot(index="date", columns="symbol", values="close").astype(float)
    volumes = daily.pivot(index="date", columns="symbol", values="volume")
    return closes, volumes, names.loc[closes.columns, "gics_sector"]


def sp500_market(
    folder: Path, day: pd.Timestamp | str, names: list[str] | None = None, proxies: bool = True, rows: int = 504
) -> Market:
    """Stocks at one close with the past `rows` closes, their 20-day median volume and sector, in USD.

    `proxies`: adds what the data lack as tradables, labelled synthetic: `sp500_baskets`, whose past no later market
    restates; spreads and fees are assumptions.
    """
    closes, volumes, sectors = sp500_panel(folder)
    past = closes.loc[: pd.Timestamp(day)].iloc[-rows:]
    chosen = list(closes.columns) if names is None else list(names)
    prices, sector = past[chosen], sectors[chosen]
    volume = volumes.loc[past.index[-20:], chosen].median()
    hedge = pd.Series(False, index=chosen)
    if proxies:
        baskets = sp500_baskets(folder).loc[past.index]
        prices = pd.concat([prices, baskets], axis=1)
        sector = pd.concat([sector, pd.Series({name: name.removeprefix("SECTOR ") for name in baskets.columns})])
        hedge = pd.concat([hedge, pd.Series(True, index=baskets.columns)])
        volume = pd.concat([volume, pd.Series(5e7, index=baskets.columns)])
    return Market.from_prices(
        prices, base_currency="USD", spread=EQUITY_SPREAD, fee=EQUITY_FEE, volume=volume,
        instruments=pd.DataFrame({"sector": sector, "hedge": hedge}),
    )  # fmt: skip


def perpetual_market(folder: Path, day: pd.Timestamp | str, names: list[str] | None = None, rows: int = 365) -> Market:
    """Binance linear perpetuals at the end of a UTC day, in USDT, each its own driver; BTC and ETH are the hedges.

    Only coins with all `rows` past closes; names as BTCUSDT. Spread and fee are assumptions.
    """
    day = pd.Timestamp(day).tz_localize(None).tz_localize("UTC")
    past = perpetual_closes(folder).loc[:day].iloc[-rows:].dropna(axis=1)
    past = past[[c for c in past.columns if names is None or c in names or c in ("BTCUSDT", "ETHUSDT")]]
    last = past.iloc[-1]
    table = pd.DataFrame({
        "instrument": last.index, "type": "perpetual", "currency": "USDT", "underlying": last.index, "lot": 1e-3,
        "fee": PERP_FEE, "venue": "binance", "hedge": last.index.isin(["BTCUSDT", "ETHUSDT"]),
    })  # fmt: skip
    quotes = pd.DataFrame({
        "instrument": last.index, "bid": (last * (1 - PERP_SPREAD / 2)).to_numpy(),
        "ask": (last * (1 + PERP_SPREAD / 2)).to_numpy(), "mark": last.to_numpy(),
    })  # fmt: skip
    drivers = pd.DataFrame({"driver": last.index, "market": last.index.isin(["BTCUSDT", "ETHUSDT"])})
    history = past.set_axis(past.index + DAY_END, axis=0)
    return Market(table, quotes, "USDT", drivers=drivers, history=history.rename_axis("time"))


@lru_cache(maxsize=3)
def perpetual_fundings(folder: Path, exchange: str = "binance") -> pd.DataFrame:
    """By instant of payment (UTC): the rate of the linear perpetual of BTC and ETH."""
    bars = pd.read_parquet(folder / "all_exchanges_8h.parquet")
    bars = bars[(bars["exchange"] == exchange) & bars["pair"].isin(["BTCUSDT", "ETHUSDT"])]
    time, coin = bars["time_utc"].dt.tz_localize("UTC"), bars["pair"].astype(str).str[:3]
    return pd.DataFrame({"time": time, "coin": coin, "rate": bars["funding_rate"]}).pivot(
        index="time", columns="coin", values="rate"
    )


@lru_cache(maxsize=3)
def spot_perpetual_panel(folder: Path, exchange: str = "binance") -> pd.DataFrame:
    """By closing time (UTC, every 8 hours; each venue's own): spot, perp and funding of BTC and ETH, columns (coin,
    field); funding is that of the instant, of a venue that pays between its closes the last one."""
    bars = pd.read_parquet(folder / "all_exchanges_8h.parquet")
    bars = bars[(bars["exchange"] == exchange) & bars["pair"].isin(["BTC/USDT", "BTCUSDT", "ETH/USDT", "ETHUSDT"])]
    coin = bars["pair"].astype(str).str[:3]
    field = np.where(bars["contract"] == "spot", "spot", "perp")
    closing = bars["close_at"].dt.tz_localize("UTC")
    frame = pd.DataFrame({"time": closing, "coin": coin, "field": field, "close": bars["close"]})
    levels = frame.pivot(index="time", columns=["coin", "field"], values="close")
    paid = perpetual_fundings(folder, exchange)
    between = not paid.index.isin(levels.index).any()
    paid = paid.reindex(levels.index, method="ffill" if between else None)
    paid.columns = pd.MultiIndex.from_product([paid.columns, ["funding"]], names=["coin", "field"])
    return pd.concat([levels, paid], axis=1).sort_index(axis=1)


def spot_perpetual_market(
    folder: Path, time: pd.Timestamp | str, exchange: str = "binance", rows: int = 270, others: tuple[str, ...] = ()
) -> Market:
    """BTC and ETH spot, their linear perpetuals and USDT cash at a bar's close; perpetuals have a basis driver each.

    Funding shown is the rate paid at that time, per 8 hours. Spreads and fees are assumptions. others: venues with bars
    that close at the same instants, whose perpetuals (BTC-PERP-okx) may be traded too; they share the basis driver.
    """
    panels = {venue: spot_perpetual_panel(folder, venue).loc[: pd.Timestamp(time)] for venue in (exchange, *others)}
    late = [venue for venue, panel in panels.items() if panel.index[-1] != panels[exchange].index[-1]]
    if late:
        raise ValueError(f"{late[0]} has no close at {panels[exchange].index[-1]}")
    past = panels[exchange].iloc[-rows:]
    coins = ["BTC", "ETH"]
    table, quotes, history = [], [], {}
    for coin in coins:
        spot, perp = (past[(coin, field)] for field in ("spot", "perp"))
        perps = {f"{coin}-PERP" + (f"-{v}" if v != exchange else ""): (v, panels[v].iloc[-1][coin]) for v in panels}
        listed = {coin: (exchange, "spot", spot.iloc[-1])}
        listed |= {name: (venue, "perpetual", row["perp"]) for name, (venue, row) in perps.items()}
        for name, (venue, kind, price) in listed.items():
            fee, half = PERP_FEE if kind == "perpetual" else 1e-3, price * PERP_SPREAD / 2
            table.append({"instrument": name, "type": kind, "fee": fee, "hedge": kind == "perpetual",
                          "underlying": coin, "currency": "USDT", "lot": 1e-4, "venue": venue})  # fmt: skip
            quotes.append({"instrument": name, "bid": price - half, "ask": price + half, "mark": price})
            if kind == "perpetual":
                rate = perps[name][1]["funding"]
                quotes[-1] |= {"funding_rate": rate, "funding_hours": 8.0, "underlying_price": spot.iloc[-1]}
        history |= {coin: spot, f"basis:{coin}": np.log(perp / spot)}
    table.append({"instrument": "USDT", "type": "cash", "currency": "USDT", "hedge": False})
    drivers = pd.DataFrame(
        [(c, "price", c, "") for c in coins] + [(f"basis:{c}", "basis", c, "perpetual") for c in coins],
        columns=["driver", "kind", "underlying", "tenor"],
    )
    drivers["market"] = drivers["driver"].isin(coins)
    return Market(pd.DataFrame(table), pd.DataFrame(quotes), "USDT", drivers=drivers, history=pd.DataFrame(history))
