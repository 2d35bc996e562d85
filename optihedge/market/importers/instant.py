"""The market of one instant from what was imported: every contract with a price, the books, all else named.

Nothing is invented: what has no price, no path to the base currency or is expired stays out and is listed; what is
held stays in the book whatever is missing, so that a hedge of half a book cannot happen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.market.importers.holdings import LATER, books_at
from optihedge.market.importers.imported import HELD, PARTS, Imported
from optihedge.market.instruments import TYPES

TENORS = ("7d", "30d", "90d", "180d", "365d")
_NO_PRICE = "no price of it in these files"


@dataclass(frozen=True, eq=False)
class MarketFrames:
    """The frames of one instant as a market takes them, the books, and what stands in the way.

    left       what is not in the market, with the reason, in the columns of `Imported.rejected`
    notes      what was assumed, in sentences
    problems   sentences about what is held and cannot be valued: `run` would refuse that book
    """

    instruments: pd.DataFrame
    quotes: pd.DataFrame
    depth: pd.DataFrame
    drivers: pd.DataFrame
    books: pd.DataFrame
    base_currency: str
    as_of: pd.Timestamp
    left: pd.DataFrame
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def market_frames(found: Imported, *, base_currency: str = "", as_of: pd.Timestamp | None = None) -> MarketFrames:
    """The market at `as_of` (default: the last time that a price was seen). Raises DataError where there is none.

    base_currency   by default the money that the source itself reckons in
    """
    base = base_currency or found.money
    if not base:
        raise DataError("the files say no currency that all is measured in; name one with --base")
    quotes = quotes_at(found.quotes, as_of)
    seen = quotes["time"].max()
    if as_of is None and (seen is pd.NaT or not len(quotes)):
        fills = "; they hold fills: --from-fills sums them up" if len(found.fills) else ""
        raise DataError(
            f"the files hold no price with a time: nothing to make a market of; add tickers or books{fills}"
        )
    notes: list[str] = []
    latest = seen + LATER if as_of is None else as_of
    as_of = seen if as_of is None else as_of
    books, late = books_at(found.books, as_of, latest, notes)
    instruments = _with_cash(found.instruments, books, base)
    known = set(instruments["instrument"])
    left = [(name, "no file describes the contract") for name in quotes["instrument"] if name not in known]
    instruments, quotes = with_indices(_needed_indices(instruments, base), quotes, as_of, notes)
    instruments, quotes = with_crosses(instruments, quotes, base, as_of, notes)
    keep = _usable(instruments, quotes, as_of, base, left)
    instruments, quotes = instruments[keep], quotes[quotes["instrument"].isin(instruments["instrument"][keep])]
    depth = found.depth[found.depth["instrument"].isin(instruments["instrument"]) & ~(found.depth["time"] > as_of)]
    held = books["instrument"][~books["instrument"].isin(instruments["instrument"])]
    notes.extend(_unsaid_fees(instruments))
    reasons = dict(left)
    problems = (*late, *(f"{name} is held: {reasons.get(name, _NO_PRICE)}" for name in held.unique()))
    return MarketFrames(
        instruments=_at_price(instruments, quotes), quotes=uncrossed(quotes, left),
        depth=depth[["instrument", "side", "price", "size", "time"]], drivers=drivers_of(instruments),
        books=books[["book", "instrument", "quantity"]],
        base_currency=base, as_of=as_of, left=_counted(left), problems=problems, notes=(*found.notes, *notes),
    )  # fmt: skip


# ---- one instant ---------------------------------------------------------------------------------------------------


def quotes_at(quotes: pd.DataFrame, as_of: pd.Timestamp | None) -> pd.DataFrame:
    """One row per instrument: of every part the last said by then; its time the oldest of what prices it."""
    known = quotes[quotes["time"].notna()]
    if as_of is not None:
        known = known[known["time"] <= as_of]
    last = known.sort_values("time", kind="stable").drop_duplicates(["instrument", "part"], keep="last")
    table = pd.DataFrame(index=pd.Index(last["instrument"].unique(), name="instrument"))
    times = []
    for part, fields in PARTS.items():
        rows = last[last["part"] == part].set_index("instrument")
        table = table.join(rows[list(fields)])
        if part in ("top", "mark", "forward"):
            times.append(rows["time"].reindex(table.index))
    statement = last[last["part"] == HELD].set_index("instrument")
    table["mark"] = table["mark"].fillna(statement["mark"])
    time = pd.concat(times, axis=1).min(axis=1)
    table.insert(0, "time", time.fillna(statement["time"].reindex(table.index)).fillna(as_of))
    return table.reset_index()


def drivers_of(instruments: pd.DataFrame) -> pd.DataFrame:
    """What moves these contracts: prices, vols by tenor where there are options, a basis by venue and expiry.

    A year has 365 periods where something trades around the clock (a perpetual, or a contract settled in coin), else
    252, and options on stocks then have no basis driver: their forward is parity's.
    """
    moving = instruments[instruments["type"] != "cash"]
    types = moving["type"].map(TYPES)
    around = any(t.inverse for t in types) or (moving["type"] == "perpetual").any()
    money = _monies(instruments)
    rows = [(name, "", name, "", "", currency) for name, currency in money.items()]
    optioned = moving["underlying"][np.array([t.option for t in types], dtype=bool)].drop_duplicates()
    rows += [(f"vol:{name}:{tenor}", "vol", name, tenor, "", "") for name in optioned for tenor in TENORS]
    based = moving[np.array([t.margined or (t.option and around) for t in types], dtype=bool)]
    based = based[based["underlying"] != based["instrument"]]
    when = based["expiry"].dt.strftime("%Y-%m-%d").fillna("perpetual")
    places = sorted({*zip(based["underlying"], based["venue"], when, strict=True)})
    rows += [(f"basis:{name}:{venue}:{day}", "basis", name, day, venue, "") for name, venue, day in places]
    table = pd.DataFrame(rows, columns=["driver", "kind", "underlying", "tenor", "venue", "currency"])
    return table.assign(periods_per_year=365 if around else 252)


def _with_cash(instruments: pd.DataFrame, books: pd.DataFrame, base: str) -> pd.DataFrame:
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


def _usable(
    instruments: pd.DataFrame, quotes: pd.DataFrame, as_of: pd.Timestamp, base: str, left: list[tuple[str, str]]
) -> np.ndarray:
    """Which instruments have a price, are not expired and have a path to base; the others are listed in `left`."""
    name = instruments["instrument"]
    cash = (instruments["type"] == "cash").to_numpy()
    expired = (instruments["expiry"] <= as_of).fillna(False).to_numpy()
    quoted = quotes.set_index("instrument")[["bid", "ask", "mark"]].gt(0).any(axis=1)
    signed = name[instruments["type"] == "future"]
    quoted |= quotes.set_index("instrument")[["bid", "ask", "mark"]].notna().any(axis=1) & quoted.index.isin(signed)
    priced = cash | name.map(quoted).fillna(False).to_numpy(dtype=bool)
    keep = ~expired & priced
    pathless = _pathless(instruments[keep], base)
    inverse = instruments["type"].map({t: kind.inverse for t, kind in TYPES.items()}).fillna(False).to_numpy(dtype=bool)
    stuck = instruments["currency"].isin(pathless).to_numpy() | (instruments["underlying"].isin(pathless) & (
        cash | inverse)).to_numpy()  # fmt: skip
    for row in np.flatnonzero(~keep | stuck):
        money = instruments["currency"].iloc[row]
        why = "expired" if expired[row] else _NO_PRICE if not priced[row] else (
            f"no price of {money} in {base} in these files; add a pair that has it")  # fmt: skip
        left.append((name.iloc[row], why))
    return keep & ~stuck


def _unsaid_fees(instruments: pd.DataFrame) -> list[str]:
    """A note where no file says what trading costs beyond the spread."""
    terms = [instruments[name].isna() for name in ("fee", "fee_per_contract") if name in instruments.columns]
    bare = ~instruments["type"].isin(("index", "cash")) & np.logical_and.reduce(terms)
    if not bare.any():
        return []
    names = some(list(instruments["instrument"][bare]), 3)
    count = int(bare.sum())
    return [f"fees of {count} contracts are unchecked: no file says them, none are charged ({names}); give `fee`"]


def _needed_indices(instruments: pd.DataFrame, base: str) -> pd.DataFrame:
    """The instruments without indices of assets and pairs that nothing here stands on (brokers list all currencies)."""
    index = instruments["type"] == "index"
    traded = instruments[~index]
    money = {base, *traded["currency"]}
    asset = instruments["underlying"].isin({*traded["underlying"]})
    pair = instruments["underlying"].isin(money) & instruments["currency"].isin(money)
    kept = instruments[~index | asset | pair]
    return instruments if _pathless(kept, base) - _pathless(instruments, base) else kept


def _pathless(instruments: pd.DataFrame, base: str) -> set[str]:
    """Currencies without a chain of prices to base; an underlying is priced in the money of `_monies` alone."""
    monies = {base, *instruments["currency"]}
    edges: dict[str, set[str]] = {}
    for asset, money in _monies(instruments).items():
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


def _monies(instruments: pd.DataFrame) -> pd.Series:
    """By underlying the currency that most of its contracts are quoted in: that of its price driver."""
    moving = instruments[instruments["type"] != "cash"]
    return moving.groupby("underlying", sort=False)["currency"].agg(lambda c: c.value_counts().index[0])


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
    for money in sorted(_pathless(instruments, base)):
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


def uncrossed(quotes: pd.DataFrame, left: list[tuple[str, str]]) -> pd.DataFrame:
    """The quotes without the sides of crossed ones, which no trade can rely on."""
    crossed = (quotes["bid"] > quotes["ask"]) & (quotes["ask"] > 0)
    left.extend(
        (f"bid and ask of {name}", "crossed: the bid is above the ask") for name in quotes["instrument"][crossed]
    )
    sides = ["bid", "ask", "bid_size", "ask_size"]
    return quotes.assign(**{side: quotes[side].where(~crossed) for side in sides})


def _at_price(instruments: pd.DataFrame, quotes: pd.DataFrame) -> pd.DataFrame:
    """The tick of each contract at its price, where the venue has steps: [{above_price, tick_size}]."""
    table = instruments.drop(columns="tick_steps", errors="ignore")
    if "tick_steps" not in instruments.columns:
        return table
    price = quotes.set_index("instrument")[["ask", "mark"]].max(axis=1)
    ticks = []
    for name, tick, steps in zip(
        instruments["instrument"], instruments["tick"], instruments["tick_steps"], strict=True
    ):
        for step in steps if isinstance(steps, list) else []:
            if price.get(name, 0.0) > step.get("above_price", np.inf):
                tick = max(tick, float(step["tick_size"]))
        ticks.append(tick)
    return table.assign(tick=ticks)


def _counted(left: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Left contracts as rows: one per reason, the first few named."""
    rows = pd.DataFrame(list(left), columns=["what", "why"])
    grouped = rows.groupby("why", sort=False)["what"].agg([lambda names: some(names, 5), "size"])
    return pd.DataFrame({"file": "", "place": "", "what": grouped.iloc[:, 0], "why": grouped.index,
                         "count": grouped.iloc[:, 1]}).reset_index(drop=True)  # fmt: skip
