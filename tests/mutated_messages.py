"""Messages with one thing wrong: a field dropped, empty, of another kind, never seen before, a row more or less."""

import copy
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

KEYED = ("mids", "markets", "openPositions")  # objects whose fields are labels: another field is another contract


class Mutated(NamedTuple):
    """What was done, to which field, and the message after it."""

    how: str
    field: str
    value: Any


def mutations(value: Any, rng: random.Random) -> Iterator[Mutated]:
    """One of each kind at places drawn at random."""
    paths = list(_paths(value))
    objects = [p for p in paths if isinstance(_at(value, p), dict) and _at(value, p)]
    lists = [p for p in paths if isinstance(_at(value, p), list) and _at(value, p)]
    if objects:
        path = rng.choice(objects)
        field = rng.choice(list(_at(value, path)))
        told = _at(value, path)[field]
        for how, other in (("null", None), ("word", "abc"), ("list", [1]), ("empty", ""), ("dropped", None)):
            changed = copy.deepcopy(value)
            _at(changed, path)[field] = other
            if how == "dropped":
                del _at(changed, path)[field]
            yield Mutated(how, field, changed)
        if isinstance(told, (int, float)) and not isinstance(told, bool):
            changed = copy.deepcopy(value)
            _at(changed, path)[field] = str(told)
            yield Mutated("number as text", field, changed)
        if not path or path[-1] not in KEYED:
            changed = copy.deepcopy(value)
            _at(changed, path)["never_seen"] = {"deep": [1, None]}
            yield Mutated("unknown field", "never_seen", changed)
    if lists:
        path = rng.choice(lists)
        row = rng.randrange(len(_at(value, path)))
        changed = copy.deepcopy(value)
        _at(changed, path).append(copy.deepcopy(_at(value, path)[row]))
        yield Mutated("row doubled", str(path[-1:]), changed)
        changed = copy.deepcopy(value)
        _at(changed, path)[row] = None
        yield Mutated("row null", str(path[-1:]), changed)


def told_otherwise(value: Any) -> Iterator[tuple[str, Any]]:
    """The same facts as another client or release of the venue would write them."""
    yield (
        "fields in another order",
        _each(value, lambda one: dict(reversed(one.items())) if isinstance(one, dict) else one),
    )
    yield "numbers as text", _each(value, lambda one: str(one) if type(one) in (int, float) else one)
    yield "texts as numbers", _each(value, lambda one: float(one) if _decimal(one) else one)
    yield "fields never seen", _each(value, lambda one: {**one, "né☃": {"deep": [1, None]}} if _row(one) else one)


def wrapped(value: Any) -> Iterator[tuple[str, Any]]:
    """The message in envelopes that recorders and gateways put around one."""
    yield "in a list", [value]
    yield "as a result", {"jsonrpc": "2.0", "id": 7, "result": value}
    yield "as data of a stream", {"ts": 1700000000000, "stream": "x", "data": value}


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return change({key: _each(inner, change) for key, inner in value.items()})
    return [_each(inner, change) for inner in value] if isinstance(value, list) else change(value)


def _decimal(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"-?\d{1,9}\.\d{1,6}", value) is not None


def _row(value: Any) -> bool:
    """An object whose fields are named by the venue: at least three of them, and none by a contract or coin."""
    return (
        isinstance(value, dict)
        and len(value) > 2
        and not any(isinstance(v, dict) for v in value.values())
        and all(key[0].islower() and not key.isupper() for key in value)
    )


def _paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    if isinstance(value, (dict, list)):
        yield path
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(inner, (*path, key))


def _at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value
