"""Messages with one thing wrong: a field dropped, empty, of another kind, never seen before, a row more or less."""

import copy
import random
from collections.abc import Iterator
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


def _paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    if isinstance(value, (dict, list)):
        yield path
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(inner, (*path, key))


def _at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value
