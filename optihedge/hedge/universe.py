"""Universe: which contracts a hedging model may trade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from optihedge.errors import NotApplicable, SpecError
from optihedge.frames import nearest
from optihedge.hedge.rolls import short_lived
from optihedge.market.fate import expired_by
from optihedge.market.snapshot import Market
from optihedge.readonly import kept, read_only

Array = np.ndarray


@dataclass(frozen=True)
class Universe:
    """The contracts that may be traded; everything else keeps its quantity.

    instruments   these; None: those marked `hedge`
    where         and of them only those whose instrument column has one of these values
    frozen        never these
    rolls         'plan': a leg that expires before the risk it hedges may be traded, with a roll plan in the Hedge;
                  'refuse': it may not

    >>> import optihedge as oh
    >>> oh.Universe(where={"type": "future"}, rolls="plan").where["type"]
    'future'
    """

    instruments: tuple[str, ...] | None = None
    where: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    rolls: str = "plan"

    def __post_init__(self) -> None:
        if self.rolls not in ("plan", "refuse"):
            raise SpecError(f"universe: rolls is {self.rolls!r}; write 'plan' or 'refuse'")

    def tradable(self, market: Market, book: pd.Series | Array, years: float) -> tuple[Array, list[str]]:
        """N booleans, and notes on what was left out: a leg that expires within the horizon hedges nothing to its end.

        book   quantities by instrument, or in the market's order; with rolls = 'refuse', legs that expire before its
               dated risk are left out

        Raises SpecError for an instrument or column that the market does not have.
        """
        table, names = market.instruments, market.names
        for label in (*(self.instruments or ()), *self.frozen):
            if label not in names:
                raise SpecError(f"universe: {label} is no instrument of this market{nearest(label, names)}; name one")
        marked = kept(table, "hedge", lambda: read_only(table["hedge"].to_numpy(dtype=bool, copy=True)))
        chosen = marked if self.instruments is None else names.isin(self.instruments)
        chosen = chosen & ~names.isin(self.frozen) if self.frozen else chosen
        for column, values in self.where.items():
            if column not in table.columns:
                hint = nearest(column, table.columns)
                raise NotApplicable(f"universe: instruments have no column {column!r}{hint}; add it, or leave it out")
            allowed = [values] if isinstance(values, str) else list(values)
            chosen = chosen & table[column].astype(str).isin(map(str, allowed)).to_numpy()
        expires = expired_by(table, market.as_of + pd.Timedelta(days=365 * years))
        early = chosen & expires
        told = f"{', '.join(map(str, names[early]))}: not traded, expiring within the horizon" if early.any() else ""
        notes = [told] if told else []
        chosen = chosen & ~expires
        if self.rolls == "refuse":
            short = short_lived(market, pd.Series(book, index=names), names[chosen])
            chosen = chosen & ~names.isin(short)
            if len(short):
                notes.append(f"{', '.join(map(str, short))}: not traded, expiring before the risk they would hedge")
        return chosen, notes
