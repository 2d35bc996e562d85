"""The market of one instant from what was imported: every contract with a price, the books, all else named.

Nothing is invented: what has no price, no path to the base currency or is expired stays out and is listed; what is
held stays in the book whatever is missing, so that a hedge of half a book cannot happen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import nearest, some
from optihedge.market.importers.holdings import LATER, books_at
from optihedge.market.importers.imported import HELD, PARTS, Imported
from optihedge.market.importers.monies import (
    monies_of,
    needed_indices,
    pathless_of,
    with_cash,
    with_crosses,
    with_indices,
)
from optihedge.market.instruments import TYPES

TENORS = ("7d", "30d", "90d", "180d", "365d")
_FEW = 0.05  # of the instruments with a price, that may be dated after all others
_NO_PRICE = "no price of it in these files"


@dataclass(frozen=True, eq=False)
class MarketFrames:
    """The frames of one instant as a market takes them, the books, and what stands in the way.

    history    levels by time, a column per driver; without rows it names the drivers whose past stands in the folder
    left       what is not in the market, with the reason, in the columns of `Imported.rejected`
    notes      what was assumed, in sentences
    problems   sentences about what is held and cannot be valued: `run` would refuse that book
    """

    instruments: pd.DataFrame
    quotes: pd.DataFrame
    depth: pd.DataFrame
    drivers: pd.DataFrame
    history: pd.DataFrame
    books: pd.DataFrame
    base_currency: str
    as_of: pd.Timestamp
    left: pd.DataFrame
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def market_frames(
    found: Imported, *, base_currency: str = "", as_of: pd.Timestamp | None = None, now: pd.Timestamp | None = None,
    past: Iterable[str] = (),
) -> MarketFrames:  # fmt: skip
    """The market at `as_of` (default: the last time that a price was seen). Raises DataError where there is none.

    base_currency   by default the money that the source itself reckons in
    now             prices of a later time are left aside
    past            drivers of a history that the folder holds already
    """
    base = base_currency or found.money
    if not base:
        raise DataError("the files say no currency that all is measured in; name one with --base")
    seen, late = last_instant(found.quotes, now) if as_of is None else (as_of, [])
    quotes = quotes_at(found.quotes, None if seen is pd.NaT else seen)
    if as_of is None and (seen is pd.NaT or not len(quotes)):
        fills = "; they hold fills: --from-fills sums them up" if len(found.fills) else ""
        raise DataError(
            f"the files hold no price with a time: nothing to make a market of; add tickers or books{fills}"
        )
    notes: list[str] = []
    latest = seen + LATER if as_of is None else as_of
    as_of = seen if as_of is None else as_of
    books, untold = books_at(found.books, as_of, latest, notes)
    instruments = with_cash(found.instruments, books, base)
    known = set(instruments["instrument"])
    left = [(name, "a price of it is dated more than an hour after all others, or after now") for name in late]
    left += [(name, "no file describes the contract") for name in quotes["instrument"] if name not in known]
    instruments, quotes = with_indices(needed_indices(instruments, base), quotes, as_of, notes)
    instruments, quotes = with_crosses(instruments, quotes, base, as_of, notes)
    keep = _usable(instruments, quotes, as_of, base, left)
    instruments, quotes = instruments[keep], quotes[quotes["instrument"].isin(instruments["instrument"][keep])]
    depth = found.depth[found.depth["instrument"].isin(instruments["instrument"]) & ~(found.depth["time"] > as_of)]
    held = books["instrument"][~books["instrument"].isin(instruments["instrument"])]
    notes.extend([*_unsaid_fees(instruments), *_unquoted(instruments, quotes, books)])
    notes.extend(_unpriced_fees(found.fills, instruments, base))
    history = history_at(found.history, as_of, left)
    history = history if len(history) else pd.DataFrame(columns=list(past))
    reasons = dict(left)
    problems = (
        *found.problems,
        *untold,
        *(f"{name} is held: {reasons.get(name, _NO_PRICE)}" for name in held.unique()),
    )
    return MarketFrames(
        instruments=_at_price(instruments, quotes), quotes=uncrossed(quotes, left),
        depth=depth[["instrument", "side", "price", "size", "time"]],
        drivers=with_drivers_of(history, drivers_of(instruments)), history=history,
        books=books[["book", "instrument", "quantity"]],
        base_currency=base, as_of=as_of, left=counted(left), problems=problems,
        notes=tuple(dict.fromkeys((*found.notes, *notes))),
    )  # fmt: skip


# ---- one instant ---------------------------------------------------------------------------------------------------


def last_instant(quotes: pd.DataFrame, now: pd.Timestamp | None = None) -> tuple[pd.Timestamp, list[str]]:
    """When prices were last seen, and the instruments that say a time after now, or an hour after all others though
    they are few: a clock that is wrong moves no market.

    quotes   rows of `Imported.quotes`;  now   prices are not seen later than an hour after it
    """
    last = quotes[quotes["time"].notna()].groupby("instrument")["time"].max().sort_values()
    future = last > now + LATER if now is not None else last.isna()
    late, last = list(last.index[future]), last[~future]
    few = int(_FEW * len(last))
    for at in range(len(last) - 1, len(last) - 1 - few, -1):
        if last.iloc[at] - last.iloc[at - 1] > LATER:
            return last.iloc[at - 1], [*last.index[at:], *late]
    return last.max() if len(last) else pd.NaT, late


def quotes_at(quotes: pd.DataFrame, as_of: pd.Timestamp | None) -> pd.DataFrame:
    """One row per instrument: of every part the last said by then; its time the oldest of what prices it."""
    known = quotes
    if as_of is not None:
        known = quotes.assign(time=quotes["time"].where(quotes["part"] != HELD, quotes["time"].fillna(as_of)))
        known = known[known["time"] <= as_of]
    known = known[known["time"].notna()]
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
    money = monies_of(instruments)
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


def history_at(told: pd.DataFrame, as_of: pd.Timestamp, left: list[tuple[str, str]]) -> pd.DataFrame:
    """Levels by time up to as_of, a column per driver (from driver, time, level); later ones are listed in `left`."""
    late = told["time"] > as_of
    left += [(f"levels of {name}", "of a time after that of the market") for name in told["driver"][late].unique()]
    kept = told[~late]
    return kept.pivot(index="time", columns="driver", values="level")[list(kept["driver"].unique())]


def with_drivers_of(history: pd.DataFrame, drivers: pd.DataFrame) -> pd.DataFrame:
    """The drivers, and those that only history speaks of: prices, or what names such as vol:SPX:30d say."""
    rows = []
    for name in history.columns.difference(drivers["driver"], sort=False):
        kind, *parts = str(name).split(":")
        if kind in ("vol", "rate") and len(parts) == 2:
            rows.append((name, kind, parts[0], parts[1], "", ""))
        elif kind == "basis" and len(parts) == 3:
            rows.append((name, kind, parts[0], parts[2], parts[1], ""))
        else:
            rows.append((name, "", name, "", "", ""))
    if not rows:
        return drivers
    more = pd.DataFrame(rows, columns=["driver", "kind", "underlying", "tenor", "venue", "currency"])
    return pd.concat([drivers, more.assign(periods_per_year=drivers["periods_per_year"].max())], ignore_index=True)


def marked(frames: MarketFrames, names: Iterable[str]) -> MarketFrames:
    """The frames with `market` true for the named price drivers, those that betas are on.

    Raises SpecError for a name that is no price here.
    """
    prices = list(frames.drivers["driver"][frames.drivers["kind"].isin(("", "price"))])
    chosen = list(names)
    for name in chosen:
        if name not in prices:
            raise SpecError(f"--market {name} is no price of this market{nearest(name, prices)}; "
                            f"there are {some(prices, 8)}")  # fmt: skip
    if not chosen:
        return frames
    return replace(frames, drivers=frames.drivers.assign(market=frames.drivers["driver"].isin(chosen)))


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
    pathless = pathless_of(instruments[keep], base)
    inverse = instruments["type"].map({t: kind.inverse for t, kind in TYPES.items()}).fillna(False).to_numpy(dtype=bool)
    stuck = instruments["currency"].isin(pathless).to_numpy() | (instruments["underlying"].isin(pathless) & (
        cash | inverse)).to_numpy()  # fmt: skip
    for row in np.flatnonzero(~keep | stuck):
        money = instruments["currency"].iloc[row]
        why = "expired" if expired[row] else _NO_PRICE if not priced[row] else (
            f"no price of {money} in {base} in these files; add a pair that has it")  # fmt: skip
        left.append((name.iloc[row], why))
    return keep & ~stuck


def _unquoted(instruments: pd.DataFrame, quotes: pd.DataFrame, books: pd.DataFrame) -> list[str]:
    """A note where what is held has marks alone, as in statements of brokers: it is valued, and cannot be traded."""
    sided = quotes.loc[quotes[["bid", "ask"]].notna().any(axis=1), "instrument"]
    traded = instruments["instrument"][~instruments["type"].isin(("cash", "index"))]
    bare = traded[traded.isin(books["instrument"]) & ~traded.isin(sided)]
    if bare.empty:
        return []
    return [f"{len(bare)} held contracts have a mark and no bid or ask ({some(list(bare), 3)}): they are valued, not "
            "traded; bring quotes of them, and of what may hedge them, by an import with --add"]  # fmt: skip


def _unsaid_fees(instruments: pd.DataFrame) -> list[str]:
    """A note where no file says what trading costs beyond the spread."""
    terms = [instruments[name].isna() for name in ("fee", "fee_per_contract") if name in instruments.columns]
    bare = ~instruments["type"].isin(("index", "cash")) & np.logical_and.reduce(terms)
    if not bare.any():
        return []
    names = some(list(instruments["instrument"][bare]), 3)
    count = int(bare.sum())
    return [f"fees of {count} contracts are unchecked: no file says them, none are charged ({names}); give `fee`"]


def _unpriced_fees(fills: pd.DataFrame, instruments: pd.DataFrame, base: str) -> list[str]:
    """A note for each money that fees were paid in and that nothing prices: a coin of the venue's own, often."""
    monies = {base, *instruments["currency"], *monies_of(instruments).index} - pathless_of(instruments, base)
    paid = fills["money"][(fills["fee"] != 0) & ~fills["money"].isin({*monies, ""})]
    what = (
        f"and no file has its price in {base}: the hedge does without, accounts cannot value them; import a pair of it"
    )
    return [f"fees of {count} fills are in {money}, {what}" for money, count in paid.value_counts().items()]


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


def counted(left: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Left contracts as rows: one per reason, the first few named."""
    rows = pd.DataFrame(list(left), columns=["what", "why"])
    grouped = rows.groupby("why", sort=False)["what"].agg([lambda names: some(names, 5), "size"])
    return pd.DataFrame({"file": "", "place": "", "what": grouped.iloc[:, 0], "why": grouped.index,
                         "count": grouped.iloc[:, 1]}).reset_index(drop=True)  # fmt: skip
