"""Fees of a venue by what a desk has traded there: the tier it is in fills the fee of each of its contracts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import Column, check_frame, completed, nearest, refuse, refuse_doubled, row_of, words
from optihedge.market.families import TYPES
from optihedge.market.read_around import told_by_row

EVERY = "*"
Faults: TypeAlias = dict[tuple[str, str], str]  # by venue and type, or EVERY: why their fee cannot be told

TIERS = {
    "venue": Column("text", required=True),
    "type": Column("text"),
    "volume": Column("number", required=True, least=0.0),
    "taker": Column("number", required=True),
    "maker": Column("number", required=True),
}
"""Columns of fee_tiers.csv.

venue   as in instruments.csv;  type  of instrument, empty: all of the venue's that have no row of their own type
volume  base currency traded there, as the venue counts it (mostly of thirty days), from which the tier holds
taker, maker   one-way, fraction of notional; a maker's may be negative
"""


UNTRADED = "why_not_traded"
"""A column of instruments, there where a fee cannot be told: why a contract is not traded, empty for all others."""


def untraded(instruments: pd.DataFrame) -> pd.Series:
    """By contract why it is not traded for want of a fee; empty for all others."""
    return _texts(instruments, UNTRADED)


def with_fee_tiers(
    instruments: pd.DataFrame, tiers: pd.DataFrame | None, traded: Mapping[str, object]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Instruments with `fee` (the taker's) and `maker_fee` of the highest tier that their venue's volume reaches; and
    what is at fault of no contract, by its place.

    traded   venue -> what the desk has traded there, base currency; 0 where it is left out

    A fee that is given in the instruments stands, and is the maker's too where no `maker_fee` is given. A contract
    whose tiers or volume are at fault has no fee: the column UNTRADED says why, and it is not traded. Raises DataError
    for a table that has not the columns of tiers.
    """
    volumes, faults = _volumes(traded)
    if tiers is None:
        return instruments, {f"traded of {venue}": why for (venue, _), why in faults.items()}
    table, wrong, told = _read(tiers)
    faults |= wrong
    venue, kind = (_texts(instruments, name) for name in ("venue", "type"))
    known = list(dict.fromkeys([*table["venue"], *(name for name, _ in faults)]))
    for name in volumes:
        if name not in known:
            why = f"traded: {name} has no fee tiers{nearest(name, known)}; there are {', '.join(known)}"
            meant = [other for other in known if other not in volumes and nearest(name, [other])]
            faults |= dict.fromkeys([(other, EVERY) for other in (name, *meant)], why)
    reached = table[table["volume"] <= table["venue"].map(volumes).astype(float).fillna(0.0)]
    now = reached.sort_values("volume", kind="stable").groupby(["venue", "type"])[["taker", "maker"]].last()
    for key in table.groupby(["venue", "type"]).groups:
        if key not in now.index and key not in faults:
            faults[key] = f"fee_tiers: {' '.join(key).strip()} has no tier from a volume of 0 on; add the lowest one"
    asked = {*now.index, *faults}
    own = pd.Series([key if key in asked else (key[0], "") for key in zip(venue, kind, strict=True)], instruments.index)
    why = pd.Series([faults.get((key[0], EVERY), faults.get(key, "")) for key in own], instruments.index, dtype=object)
    made = _filled(instruments, now, own, why)
    hit = {*made[UNTRADED]} if UNTRADED in made.columns else set()
    told |= {f"fees at {' '.join(key).rstrip(f' {EVERY}')}": text for key, text in faults.items() if text not in hit}
    return made, told


def _filled(instruments: pd.DataFrame, now: pd.DataFrame, own: pd.Series, why: pd.Series) -> pd.DataFrame:
    """Instruments with the fees of their tiers (`own`, keys of `now`), or why these cannot be told."""
    found = now.reindex(pd.MultiIndex.from_tuples(list(own), names=now.index.names))
    given, own_maker = (_given(instruments, name) for name in ("fee", "maker_fee"))
    silent = given.isna().to_numpy()
    fee = given.mask(silent, np.nan_to_num(found["taker"].to_numpy()))
    maker = own_maker.mask(own_maker.isna() & silent, found["maker"].to_numpy())
    made = instruments.assign(fee=fee, maker_fee=maker.mask(maker.isna(), fee))
    if (silent & (why != "").to_numpy()).any():
        before = untraded(instruments)
        made[UNTRADED] = why.where(silent & (why != "").to_numpy(), before)
    made.attrs = dict(instruments.attrs)
    return made


def _texts(table: pd.DataFrame, name: str) -> pd.Series:
    """A column's texts, empty where nothing is said and where it is absent."""
    return pd.Series(words(table[name]) if name in table.columns else "", index=table.index, dtype=object)


def _given(instruments: pd.DataFrame, name: str) -> pd.Series:
    """A column's numbers, NaN where it is empty or absent; with what is no number as it stands, for its own door."""
    cells = instruments.get(name, pd.Series("", index=instruments.index)).replace("", np.nan)
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    strange = numbers.isna() & cells.notna()
    return numbers.astype(object).mask(strange, cells) if strange.any() else numbers


def _volumes(traded: Mapping[str, object]) -> tuple[dict[str, float], Faults]:
    """What was traded by venue, and which venues' amount is none."""
    found: dict[str, float] = {}
    faults: Faults = {}
    for venue, amount in traded.items():
        if isinstance(amount, (int, float)) and not isinstance(amount, bool) and 0 <= amount < float("inf"):
            found[venue] = float(amount)
        else:
            faults[venue, EVERY] = f"market.toml: traded of {venue} is {amount!r}; write an amount of base currency"
    return found, faults


def _read(tiers: pd.DataFrame) -> tuple[pd.DataFrame, Faults, dict[str, str]]:
    """The tiers that can be read; what spoils those of a venue, or of one type there; what names no venue, by place."""
    source = str(tiers.attrs.get("source", "fee_tiers"))
    refuse_doubled(tiers.columns, source)
    broken: dict[int, str] = dict(tiers.attrs.get("broken", {}))
    said = dict(broken)
    blank = {"venue": "-", "type": "", "volume": 0.0, "taker": 0.0, "maker": 0.0}
    while True:
        bad = np.isin(np.arange(len(tiers)), list(said))
        given = tiers.assign(**{c: tiers[c].astype(object).mask(bad, blank.get(c, "")) for c in tiers.columns})
        try:
            table = completed(check_frame(given, TIERS, source), TIERS)
            _refuse(table, source, ~bad)
            break
        except DataError as error:
            if not error.rows:
                raise
            said |= told_by_row(error)
    faults: Faults = {}
    told: dict[str, str] = {}
    venues, kinds = (_texts(tiers, name).tolist() for name in ("venue", "type"))
    for row, why in said.items():
        venue, kind = venues[row], kinds[row]
        if not venue:
            told[row_of(source, row)] = why
        elif row in broken or kind not in ("", *TYPES):
            faults[venue, EVERY] = why
        else:
            faults[venue, kind] = why
    return table[~bad], faults, told


def _refuse(table: pd.DataFrame, source: str, read: np.ndarray) -> None:
    """Raise DataError for a type that is none, and for two tiers of one volume that differ."""
    kind = table["type"]
    refuse(~kind.isin(["", *TYPES]).to_numpy(), source, "type", kind, f"write one of {', '.join(TYPES)}, or nothing")
    same = table.duplicated(["venue", "type", "volume"], keep=False) & ~table.duplicated(keep=False)
    refuse(same.to_numpy() & read, source, "a tier of {value} is there twice with other fees", table["venue"],
           "keep the one that holds")  # fmt: skip
