"""The pasts of a state while a period is worked through: what balances and holdings were, and what is put among it."""

from __future__ import annotations

import pandas as pd

from optihedge.accounts.past import BEGINNING, CASH, HELD, REMEMBERED, Move, Past
from optihedge.accounts.state import ACCOUNTS, State


class Pasts:
    """The pasts of a state's balances and holdings by account, CASH or HELD, and currency or label."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.of = {a: {kind: dict(state.past.get(a, {}).get(kind, {})) for kind in (CASH, HELD)} for a in ACCOUNTS}
        for account, balances in state.cash.items():
            for money in balances:
                self.of[account][CASH].setdefault(money, self._opened(account, CASH, money))

    def _opened(self, account: str, kind: str, name: str) -> Past:
        """The past of what has not moved in a state's time."""
        state = self._state
        if kind == CASH:
            amount, accrued = (by.get(account, {}).get(name, 0.0) for by in (state.cash, state.accrued))
            rate = state.rates.get(name, 0.0)
            return Past(state.as_of if amount or accrued or rate else BEGINNING, amount, accrued, rate)
        lots = state.positions[account].get(name, ()) if account in state.positions else ()
        return Past(max([lot.time for lot in lots], default=BEGINNING), sum([lot.quantity for lot in lots]))

    def amount(self, account: str, kind: str, name: str) -> float:
        """What it is after all its moves."""
        past = self.of[account][kind].get(name) or self._opened(account, kind, name)
        return past.amount + sum([move.amount for move in past.moves])

    def put(self, account: str, kind: str, name: str, move: Move) -> tuple[Past, Past]:
        """A move put in its place: the past without it and with it."""
        old = self.of[account][kind].get(name) or self._opened(account, kind, name)
        self.of[account][kind][name] = new = old.having(move)
        return old, new

    def since(self, money: str) -> pd.Timestamp:
        """From when on what the balances of a money were is known."""
        known = [past for by in self.of.values() for name, past in by[CASH].items() if name == money]
        return max([past.since for past in known], default=BEGINNING)

    def rate(self, money: str, now: pd.Timestamp) -> float:
        """The yearly rate that a money earns after all that was told of it."""
        return self.of[ACCOUNTS[0]][CASH][money].brought(now).rate

    def kept(self, now: pd.Timestamp) -> dict[str, dict[str, dict[str, Past]]]:
        """What a State goes on holding of it: nothing of contracts that have long stood still."""
        since, found = now - REMEMBERED, {}
        for account, kinds in self.of.items():
            cash = {name: past.brought(since) if past.since < since else past for name, past in kinds[CASH].items()}
            held = {
                name: past.brought(since) if past.moves[0].time <= since and past.since < since else past
                for name, past in kinds[HELD].items()
                if past.moves and past.moves[-1].time > since
            }
            kept = {kind: dict(sorted(by.items())) for kind, by in ((CASH, cash), (HELD, held)) if by}
            found.update({account: kept} if kept else {})
        return found
