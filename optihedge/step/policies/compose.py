"""Policies of policies: any of several, all of them, or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from optihedge.errors import SpecError
from optihedge.step.policies.base import Decision, Memory, Policy, View


@dataclass(frozen=True)
class Any:
    """Act where one of them does.

    >>> import optihedge as oh
    >>> oh.policy.Any((oh.policy.Clock("1d"), oh.policy.RollDue())).of[1].days
    5.0
    """

    of: tuple[Policy, ...]

    def __post_init__(self) -> None:
        _several(self, self.of)

    def decide(self, view: View, memory: Memory) -> Decision:
        """All are asked, so that each keeps its memory."""
        return _joined(self.of, view, memory, any, " or ")


@dataclass(frozen=True)
class All:
    """Act where every one of them does.

    >>> import optihedge as oh
    >>> oh.policy.All((oh.policy.Clock("1d"), oh.policy.RollDue())).of[0].every
    '1d'
    """

    of: tuple[Policy, ...]

    def __post_init__(self) -> None:
        _several(self, self.of)

    def decide(self, view: View, memory: Memory) -> Decision:
        """All are asked, so that each keeps its memory."""
        return _joined(self.of, view, memory, all, " and ")


@dataclass(frozen=True)
class Not:
    """Act where another policy waits.

    >>> import optihedge as oh
    >>> oh.policy.Not(oh.policy.Clock("1d"))
    Not(of=(Clock(every='1d'),))
    """

    of: tuple[Policy, ...]

    def __post_init__(self) -> None:
        if len(_several(self, self.of)) != 1:
            raise SpecError(f"Not: `of` names {len(self.of)} policies; give one")

    def decide(self, view: View, memory: Memory) -> Decision:
        """The other way round."""
        inner = _joined(self.of, view, memory, all, "")
        return Decision(not inner.act, f"not ({inner.why})", inner.memory, inner.on_sent)


def _several(owner: object, of: tuple[Policy, ...]) -> tuple[Policy, ...]:
    if not isinstance(of, tuple):
        object.__setattr__(owner, "of", of := tuple(of) if isinstance(of, list) else (of,))
    if not of or not all(hasattr(policy, "decide") for policy in of):
        raise SpecError(f"{type(owner).__name__}: `of` needs policies, one or more")
    return of


def _joined(
    of: tuple[Policy, ...], view: View, memory: Memory, rule: Callable[[Iterable[bool]], bool], word: str
) -> Decision:
    each = [policy.decide(view, memory.get(str(i), {})) for i, policy in enumerate(of)]
    act = rule(one.act for one in each)
    told = [one.why for one in each if one.act == act] or [one.why for one in each]
    kept = {str(i): {**memory.get(str(i), {}), **one.memory} for i, one in enumerate(each)}
    sent = {str(i): {**kept[str(i)], **one.on_sent} for i, one in enumerate(each)}
    return Decision(act, word.join(told), kept, sent)
