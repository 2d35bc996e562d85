"""What a timeline notes on its way: money that moved, and contracts that turned into their underlying."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flow:
    """Money that moved in an account, and the part of the P&L it is."""

    account: str
    instrument: str
    part: str
    money: str
    amount: float


@dataclass
class Delivery:
    """A contract that was turned into its underlying: what was received and what was paid for it."""

    account: str
    origin: str
    instrument: str
    contracts: float  # in units of the start's contract
    quantity: float
    paid: float
    money: str
