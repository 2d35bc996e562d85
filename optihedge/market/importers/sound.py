"""A market that opens: what no desk could use and nobody holds is left aside by name, so that it stops no night."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import place_of
from optihedge.market.importers.instant import MarketFrames, counted
from optihedge.market.snapshot import Market
from optihedge.market.units import unit_faults

_MOST = 50  # refusals, each of any number of rows


def sound(frames: MarketFrames) -> MarketFrames:
    """The frames without the contracts that a market refuses, leaves out or cannot read, or whose figures are in other
    units, if nobody holds them; what is held and refused stays, as a problem.
    """
    held, problems = set(frames.books["instrument"]), list(frames.problems)
    quotes = frames.quotes.drop_duplicates("instrument").set_index("instrument")
    listed = frames.instruments.drop_duplicates("instrument").set_index("instrument")
    faults = {one.instrument: one for one in reversed(unit_faults(listed, quotes, frames.as_of))}
    left = [
        (name, f"{one.problem if name in held else f'its {one.column} is in another unit'}; {one.remedy}")
        for name, one in faults.items()
    ]
    for _ in range(_MOST):
        problems += [f"{name} is held: {why}" for name, why in left if name in held]
        frames = _without(frames, [(name, why) for name, why in left if name not in held])
        try:
            market = _market(frames)
            contracts = set(frames.instruments["instrument"])
            told = {name: why for name, why in {**market.left_out, **market.unread}.items() if name in contracts}
            left = [(name, place_of(why)[2] or why) for name, why in told.items() if name not in held]
            if not left:
                problems += [f"{name} is held: {told[name]}" for name in market.left_out if name in held & set(told)]
                break
        except DataError as error:
            names = [name for name in _named(error, frames) if name not in held]
            left = [(name, place_of(str(error))[2] or str(error)) for name in names]
            if not names:
                problems.append(str(error))
                break
    return replace(frames, problems=tuple(problems))


def _market(frames: MarketFrames) -> Market:
    tables = {"instruments": frames.instruments, "quotes": frames.quotes, "drivers": frames.drivers}
    given = {}
    for name, table in tables.items():
        given[name] = table.copy()
        given[name].attrs["source"] = f"{name}.csv"
    depth = None if frames.depth.empty else frames.depth
    return Market(**given, depth=depth, base_currency=frames.base_currency, as_of=frames.as_of, on_missing="freeze")


def _named(error: DataError, frames: MarketFrames) -> list[str]:
    """The contracts that a refusal is about."""
    if error.instruments:
        return [str(name) for name in error.instruments]
    table = {"instruments.csv": frames.instruments, "quotes.csv": frames.quotes, "depth": frames.depth}.get(error.table)
    return [] if table is None else [str(table["instrument"].iloc[row]) for row in error.rows]


def _without(frames: MarketFrames, left: Iterable[tuple[str, str]]) -> MarketFrames:
    gone = {name for name, _ in left}
    if not gone:
        return frames
    kept = {
        n: getattr(frames, n)[~getattr(frames, n)["instrument"].isin(gone)] for n in ("instruments", "quotes", "depth")
    }
    used = {*kept["instruments"]["underlying"]}
    past = frames.drivers["driver"].isin(frames.history.columns)
    drivers = frames.drivers[frames.drivers["underlying"].isin(used) | past]
    return replace(frames, **kept, drivers=drivers, left=pd.concat([frames.left, counted(left)], ignore_index=True))
