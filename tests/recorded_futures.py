"""Markets of recorded futures by contract, each its own driver, beside a share or alone; and what settled."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from optihedge.market.events import Event
from optihedge.market.snapshot import Market

CLOSE = pd.Timedelta(hours=21)


@lru_cache(maxsize=4)
def rolled(folder: Path, root: str) -> pd.DataFrame:
    """day x contract of one future (price and carry contract of each day), labelled by its month, ROOT-YYYYMM.

    On a day within its life that has no price it has the one of the day before.
    """
    rows = pd.read_parquet(folder / "futures.parquet")
    rows = rows[rows["instrument"].astype(str) == root]
    both = [rows[["date", name, f"{name}_contract"]].set_axis(["date", "price", "month"], axis=1)
            for name in ("carry", "price")]  # fmt: skip
    told = pd.concat(both).dropna().drop_duplicates(["date", "month"], keep="last")
    table = told.pivot(index="date", columns="month", values="price").rename(columns=lambda m: f"{root}-{int(m)}")
    return table.ffill().where(table.bfill().notna())


def third_friday(label: str) -> pd.Timestamp:
    """When a contract of a month ends, by the rule of stock index futures."""
    first = pd.Timestamp(f"{label[-6:]}01", tz="UTC")
    return first + pd.Timedelta(days=(4 - first.dayofweek) % 7 + 14) + pd.Timedelta(hours=13.5)


@lru_cache(maxsize=1)
def vix(folder: Path) -> pd.DataFrame:
    """day x monthly contract of the VIX future, labelled VX-YYYYMMDD by its expiry; settlement prices."""
    rows = pd.read_parquet(folder / "vx.parquet")
    rows = rows[rows["monthly"] & rows["settle"].notna()]
    return rows.assign(label="VX-" + rows["expiry"].dt.strftime("%Y%m%d")).pivot(
        index="date", columns="label", values="settle"
    )


def vix_end(label: str) -> pd.Timestamp:
    """Expiry, in the morning."""
    return pd.Timestamp(label[-8:], tz="UTC") + pd.Timedelta(hours=13.5)


def futures_market(
    prices: pd.DataFrame, day: pd.Timestamp, ends, multiplier: float, half: float, fee: float, *,
    share: pd.Series | None = None, own: str = "", rows: int = 252,
) -> Market:  # fmt: skip
    """The futures with a price that day and their pasts, in USD.

    half, fee   one way, in points and in USD a contract;  share  levels of a share that is held and not traded
    own         a contract that is held and not traded
    """
    past = prices.loc[:day].iloc[-rows:]
    past = past[past.columns[past.iloc[-1].notna().to_numpy() & (past.notna().sum() > 30).to_numpy()]]
    last = past.iloc[-1]
    table = pd.DataFrame({
        "instrument": last.index, "type": "future", "underlying": last.index, "currency": "USD", "lot": 1.0,
        "multiplier": multiplier, "expiry": [ends(name) for name in last.index], "hedge": last.index != own,
        "fee": fee / (multiplier * last.to_numpy()),
    })  # fmt: skip
    quotes = pd.DataFrame({"instrument": last.index, "bid": last - half, "ask": last + half, "mark": last})
    if share is not None:
        past = past.join(share.rename("SHARE"), how="inner")
        level = past["SHARE"].iloc[-1]
        held = {"instrument": ["SHARE"], "type": "equity", "underlying": "SHARE", "currency": "USD", "hedge": False}
        table = pd.concat([table, pd.DataFrame(held)], ignore_index=True)
        quotes = pd.concat([quotes, pd.DataFrame({"instrument": ["SHARE"], "bid": level, "ask": level, "mark": level})])
    drivers = pd.DataFrame({"driver": past.columns, "currency": "USD", "periods_per_year": 252.0})
    drivers["market"] = drivers["driver"] == ("SHARE" if share is not None else own)
    history = past.set_axis(past.index.tz_localize("UTC") + CLOSE, axis=0).rename_axis("time")
    return Market(table.reset_index(drop=True), quotes.reset_index(drop=True), "USD", drivers=drivers, history=history,
                  as_of=day.tz_localize("UTC") + CLOSE, on_missing="freeze")  # fmt: skip


def settlements(prices: pd.DataFrame) -> list[Event]:
    """Each future paid at its last recorded price, a second after that day's close."""
    events = []
    for name, column in prices.items():
        last = column.dropna()
        end = last.index[-1].tz_localize("UTC") + CLOSE + pd.Timedelta(seconds=1)
        events.append(Event(end, f"{name}-end", end, "settlement", name, float(last.iloc[-1]), "USD", "cash"))
    return events
