"""Paths to the base currency: cash for what is held and paid, indices that stand in, rates of dollar tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.instruments import TYPES


def with_cash(instruments: pd.DataFrame, books: pd.DataFrame, base: str) -> pd.DataFrame:
    """The instruments, and a cash instrument for each currency that is held and is no contract, or that margined
    contracts pay their profits in."""
    kinds = instruments["type"].map(TYPES)
    inverse = np.array([kind.inverse for kind in kinds], dtype=bool)
    margined = np.array([kind.margined for kind in kinds], dtype=bool)
    paid = pd.concat([instruments["underlying"][inverse], instruments["currency"][margined & ~inverse]]).unique()
    known = set(instruments["instrument"])
    monies = [name for name in dict.fromkeys([*books["instrument"], *paid[paid != base]]) if name not in known]
    monies = [name for name in monies if name.isalnum() and len(name) <= 6]
    cash = pd.DataFrame({"instrument": monies, "type": "cash", "underlying": monies, "currency": monies,
                         "multiplier": 1.0, "symbol": monies})  # fmt: skip
    return pd.concat([instruments, cash], ignore_index=True) if monies else instruments


def with_indices(
    instruments: pd.DataFrame, quotes: pd.DataFrame, as_of: pd.Timestamp, notes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Both with an index for each underlying whose level nothing says: the perpetual's price stands in, else that of
    the nearest future, else the forward of the nearest option; a note says so.
    """
    table = instruments.merge(quotes[["instrument", "bid", "ask", "mark", "underlying_price"]], on="instrument")
    table["price"] = table["mark"].fillna((table["bid"] + table["ask"]) / 2)
    margined = table["type"].map({t: kind.margined for t, kind in TYPES.items()}).fillna(False).astype(bool)
    direct = table["type"].isin(("index", "spot", "equity")) & (table["price"] > 0)
    told = table[direct | (margined & (table["underlying_price"] > 0)) | (table["instrument"] == table["underlying"])]
    known = {*zip(told["underlying"], told["currency"], strict=True)}
    option = table["type"].str.endswith("option")
    table["level"] = table["price"].where(margined, table["underlying_price"].where(option))
    table["far"] = table["expiry"].fillna(as_of) + option.astype(int) * pd.Timedelta(days=36500)
    able = table[(margined | option) & (table["level"] > 0) & ~(table["expiry"] <= as_of)]
    nearest = able.sort_values("far", kind="stable").drop_duplicates("underlying")
    missing = [row for row in nearest.itertuples(index=False) if (row.underlying, row.currency) not in known]
    if not missing:
        return instruments, quotes
    rows = pd.DataFrame([(f"{r.underlying}/{r.currency}", r.underlying, r.currency, r.level) for r in missing],
                        columns=["instrument", "underlying", "currency", "mark"])  # fmt: skip
    notes.extend(f"index of {r.underlying} in {r.currency}: no file gives it; the price of {r.instrument} stands in"
                 for r in missing)  # fmt: skip
    facts = rows.drop(columns="mark").assign(type="index", multiplier=1.0, symbol=rows["instrument"])
    return (
        pd.concat([instruments, facts], ignore_index=True),
        pd.concat([quotes, rows[["instrument", "mark"]].assign(time=as_of)], ignore_index=True),
    )


def needed_indices(instruments: pd.DataFrame, base: str) -> pd.DataFrame:
    """The instruments without indices of assets and pairs that nothing here stands on (brokers list all currencies)."""
    index = instruments["type"] == "index"
    traded = instruments[~index]
    money = {base, *traded["currency"]}
    asset = instruments["underlying"].isin({*traded["underlying"]})
    pair = instruments["underlying"].isin(money) & instruments["currency"].isin(money)
    kept = instruments[~index | asset | pair]
    return instruments if pathless_of(kept, base) - pathless_of(instruments, base) else kept


def with_crosses(
    instruments: pd.DataFrame, quotes: pd.DataFrame, base: str, as_of: pd.Timestamp, notes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Both with the rate of each currency that has no path to base but quotes what base quotes too (a dollar token).

    The rate is the median over those assets of their prices' ratio; a note says so.
    """
    levels = instruments[instruments["type"].isin(("index", "spot"))].merge(quotes, on="instrument")
    levels["price"] = levels["mark"].fillna((levels["bid"] + levels["ask"]) / 2)
    by = levels[levels["price"] > 0].groupby(["currency", "underlying"])["price"].first()
    home = by.get(base, pd.Series(dtype=float))
    for money in sorted(pathless_of(instruments, base)):
        ratio = (home / by.get(money, pd.Series(dtype=float))).dropna()
        if ratio.empty:
            continue
        label = f"{money}/{base}"
        row = {
            "instrument": label,
            "type": "index",
            "underlying": money,
            "currency": base,
            "multiplier": 1.0,
            "symbol": label,
        }
        instruments = pd.concat([instruments, pd.DataFrame([row])], ignore_index=True)
        quote = {"instrument": label, "time": as_of, "mark": float(ratio.median())}
        quotes = pd.concat([quotes, pd.DataFrame([quote])], ignore_index=True)
        notes.append(f"{money} in {base}: the ratio of the prices of {', '.join(ratio.index[:3])} in both")
    return instruments, quotes


def pathless_of(instruments: pd.DataFrame, base: str) -> set[str]:
    """Currencies without a chain of prices to base; an underlying is priced in the money of `_monies` alone."""
    monies = {base, *instruments["currency"]}
    edges: dict[str, set[str]] = {}
    for asset, money in monies_of(instruments).items():
        if asset in monies and money in monies:
            edges.setdefault(str(asset), set()).add(money)
            edges.setdefault(money, set()).add(str(asset))
    reached, queue = {base}, [base]
    while queue:
        for other in edges.get(queue.pop(), ()):
            if other not in reached:
                reached.add(other)
                queue.append(other)
    return set(instruments["currency"]) - reached


def monies_of(instruments: pd.DataFrame) -> pd.Series:
    """By underlying the currency that most of its contracts are quoted in: that of its price driver."""
    moving = instruments[instruments["type"] != "cash"]
    return moving.groupby("underlying", sort=False)["currency"].agg(lambda c: c.value_counts().index[0])
