"""Corporate actions that nobody told: how many are found when they are withheld, and how often an alarm is false.

    python benchmarks/actions.py [data folder]

S&P 500 names 2012 to 2017 (thresholds set on every second name), 18 other names and years 1998 to 2021, and faulty bars
of a public feed beside the repaired ones. An event's size is in its name's own deviations, its day's move included.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from optihedge.market.actions import adjusted_history  # noqa: E402
from optihedge.market.events import Event  # noqa: E402
from optihedge.market.missing_actions import missing_actions  # noqa: E402
from optihedge.risk.problems import BREAKS, Thresholds, find_problems  # noqa: E402

SIZES = (3, 5, 8, 12)


def panel(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Closes, volumes and events of the S&P 500's names; an event's move includes what it paid."""
    prices = pd.read_parquet(folder / "prices_2012_2017.parquet").astype({"symbol": str})
    close, volume = (prices.pivot(index="date", columns="symbol", values=name) for name in ("close", "volume"))
    events = pd.read_parquet(folder / "events_1999_2017.parquet").astype({"symbol": str})
    events = events[events["date"].isin(close.index[1:]) & events["symbol"].isin(close.columns)].copy()
    before = close.ffill().shift(1)
    keys = list(zip(events["date"], events["symbol"], strict=True))
    events["before"], events["after"] = ([frame.at[d, s] for d, s in keys] for frame in (before, close))
    return close, volume.astype(float), events.dropna(subset=["before", "after"])


def withheld(close: pd.DataFrame, volume: pd.DataFrame, events: pd.DataFrame, names: pd.Index) -> list[str]:
    """Shares found of splits and of events by size, and alarms on the adjusted history, for some of the names."""
    total = np.log(close).diff()
    for row in events.itertuples():
        paid = row.after * row.split_coefficient + row.dividend_amount
        total.loc[row.date, row.symbol] = np.log(paid / row.before)
    own = total.sub(total.median(axis=1), axis=0)
    deviation = 1.4826 * own.abs().median()
    found = missing_actions(close, volume)
    hits = set(zip(found["instrument"], found["time"], strict=True))
    mine = events[events["symbol"].isin(names)]
    hit = np.array([key in hits for key in zip(mine["symbol"], mine["date"], strict=True)])
    paid = (mine["after"] * mine["split_coefficient"] + mine["dividend_amount"]) / mine["after"]
    size = (np.log(paid) / deviation.reindex(mine["symbol"]).to_numpy()).abs().to_numpy()
    split = (np.abs(np.log(mine["split_coefficient"])) >= np.log(1.2) - 1e-12).to_numpy()
    adjusted = np.exp(total.fillna(0.0).cumsum()).where(close.notna())
    alarms = missing_actions(adjusted, volume)["instrument"].isin(names).sum()
    rate = 1e4 * alarms / total[names].notna().sum().sum()
    cells = [f"{split.sum()}", f"{hit[split].mean():.1%}"]
    cells += [f"{hit[size >= least].mean():.0%} of {(size >= least).sum()}" for least in SIZES]
    return [*cells, f"{rate:.1f}"]


def faulty(folder: Path) -> list[list[str]]:
    """By kind of fault: symbols, those whose fault is named within a row of it, findings on the repaired bars."""
    bars = pd.read_parquet(folder / "bars.parquet")
    bars = bars[bars["bar"] == "1d"].astype({"symbol": str, "fault": str, "version": str})
    rows = []
    for fault, group in bars.groupby("fault"):
        named = count = alarms = length = 0
        for symbol, both in group.groupby("symbol"):
            versions = {v: levels(rows_) for v, rows_ in both.groupby("version")}
            clean = next(versions[v] for v in ("fixed", "clean", "raw") if v in versions)
            alarms, length = alarms + len(findings(clean, symbol)), length + len(clean)
            if "fixed" not in versions or "raw" not in versions:
                continue
            raw = versions["raw"]
            ratio = (raw / versions["fixed"].reindex(raw.index)).ffill()
            edges = np.flatnonzero((ratio / ratio.shift(1) - 1).abs() > 0.02)
            if len(edges):
                count += 1
                at = raw.index.get_indexer(pd.DatetimeIndex(findings(raw, symbol)["date"]))
                named += bool(len(at)) and bool(np.abs(at[:, None] - edges[None, :]).min() <= 1)
        rate = 1e4 * alarms / length
        rows.append([fault, f"{group['symbol'].nunique()}", f"{named} of {count}", f"{alarms} ({rate:.1f})"])
    return rows


def levels(rows: pd.DataFrame) -> pd.Series:
    """What a holder earned by these bars: closes less the dividends that they say."""
    index = pd.DatetimeIndex(pd.to_datetime(rows["time"].str[:10]).dt.tz_localize("UTC"), name="time")
    close = pd.Series(rows["close"].to_numpy(), index).dropna()
    close = close[~close.index.duplicated()]
    paid = pd.Series(rows["dividend"].to_numpy(), index)
    paid = paid[(paid > 0) & paid.index.isin(close.index)]
    events = [Event(t, f"{t}", t, "dividend", "S", float(v), "USD") for t, v in paid.items()]
    return adjusted_history(close.to_frame("S"), events)["S"]


def findings(series: pd.Series, symbol: str) -> pd.DataFrame:
    """Breaks and spikes of one history of a share."""
    limits = Thresholds(look_alike=np.inf)
    found = find_problems(series.to_frame(symbol), thresholds=limits, types={symbol: "equity"})
    return found[found["problem"].isin((*BREAKS, "spike", "sign"))]


def main(data: Path) -> None:
    close, volume, events = panel(data / "sp500_corporate_actions")
    head = ["names", "splits 6:5 up", "found", *(f"beyond {s} deviations" for s in SIZES), "alarms per 10 000 rows"]
    print(f"| {' | '.join(head)} |\n|---|{'--:|' * (len(head) - 1)}")
    for label, half in (("tuned on", 0), ("not tuned on", 1)):
        print(f"| {' | '.join([label, *withheld(close, volume, events, close.columns[half::2])])} |")
    print("\n| fault of the feed | symbols | named within a row | findings on repaired bars (per 10 000 rows) |")
    print("|---|--:|--:|--:|")
    for row in faulty(data / "yahoo_dirty_actions"):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared/data")
    main(Path(given))
