"""Changes of a model file by key, as a what-if writes them: `Volatility.sharpe=0.5`, `risk.halflife=21`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from optihedge.errors import SpecError
from optihedge.frames import nearest

_LISTS = ("objective", "constraints")
_OWN = ("description", "horizon", "capital", "on_infeasible", "solver")  # keys of a model file, not of its terms


def changed(content: Mapping[str, Any], changes: Iterable[str], file: str = "model") -> dict[str, Any]:
    """The content of a model file (TOML as read) with each change `key=value` made. Raises SpecError that names it.

    key     a top-level key; TABLE.key of risk, betas, universe, lots or checks; TERM.key of an objective or constraint,
            by its type, and where there are several of it by one of its texts too: Neutral[vega].band
    value   as TOML writes it; a bare word is text

    >>> changed({"objective": [{"type": "Volatility", "sharpe": 1.0}]}, ["Volatility.sharpe=0.5"])
    {'objective': [{'type': 'Volatility', 'sharpe': 0.5}]}
    """
    made = _copied(content)
    for change in changes:
        key, sign, text = change.partition("=")
        if not sign or not key.strip():
            raise SpecError(f"--set {change}: write KEY=VALUE, for instance Volatility.sharpe=0.5")
        *path, last = key.strip().split(".")
        if not path:
            _refuse_terms_key(made, last, change)
        _table(made, path, change, file)[last] = value_of(text.strip())
    return made


def _refuse_terms_key(content: Mapping[str, Any], key: str, change: str) -> None:
    """Raise SpecError where a bare key is one of the terms', and none of the file's own."""
    owners = [term for name in _LISTS for term in content.get(name, ()) if key in term]
    if owners and key not in content and key not in _OWN:
        words = [next((str(v) for k, v in term.items() if k != "type" and isinstance(v, str)), "") for term in owners]
        told = [f"{term.get('type')}[{word}].{key}" if word else f"{term.get('type')}.{key}"
                for term, word in zip(owners, words, strict=True)]  # fmt: skip
        raise SpecError(f"--set {change}: {key} belongs to a term; write {' or '.join(told)}")


def numbers_of(text: str) -> dict[str, int | float]:
    """By key, as `changed` takes it, every number of a model file's text: what a page can offer to move."""
    content = tomllib.loads(text)
    found: dict[str, int | float] = {}
    terms = [term for name in _LISTS for term in content.get(name, ())]
    for term in terms:
        same = [other for other in terms if other.get("type") == term.get("type")]
        words = [str(v) for k, v in term.items() if k != "type" and isinstance(v, str)]
        own = [word for word in words if sum(word in map(str, other.values()) for other in same) == 1]
        if len(same) == 1 or own:
            prefix = str(term.get("type")) + ("" if len(same) == 1 else f"[{own[0]}]")
            found |= {f"{prefix}.{key}": value for key, value in term.items() if _is_number(value)}
    for name, table in content.items():
        if isinstance(table, dict):
            found |= {f"{name}.{key}": value for key, value in table.items() if _is_number(value)}
        elif _is_number(table):
            found[name] = table
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def value_of(text: str) -> Any:
    """A value as TOML writes it, or the text itself where it is a bare word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _called(terms: list[dict[str, Any]]) -> list[str]:
    """How a change calls each term: by its type, and by its first text too where several share the type."""
    types = [str(term.get("type", "")) for term in terms]
    return [
        word if types.count(word) == 1 else f"{word}[{next((str(v) for k, v in term.items() if k != 'type'), '')}]"
        for word, term in zip(types, terms, strict=True)
    ]


def _table(content: dict[str, Any], path: list[str], change: str, file: str) -> dict[str, Any]:
    """The table that a path names. A setting's table (checks, lots, universe) is made where there is none."""
    if not path:
        return content
    word, _, of = path[0].partition("[")
    of = of.rstrip("]")
    terms = [term for name in _LISTS for term in content.get(name, ()) if term.get("type") == word]
    if of:
        terms = [term for term in terms if of in [str(item) for item in term.values()]]
    found: Any
    if len(terms) == 1:
        found = terms[0]
    elif terms:
        told = ", ".join(_called(terms))
        raise SpecError(f"--set {change}: {file} has {len(terms)} terms {word}; say which: {told}")
    elif word in ("checks", "lots", "universe"):
        found = content.setdefault(word, {})
    else:
        found = content.get(word)
    if not isinstance(found, dict):
        known = [k for k, v in content.items() if isinstance(v, dict)]
        known += _called([term for name in _LISTS for term in content.get(name, ())])
        raise SpecError(f"--set {change}: {file} has no {path[0]}{nearest(path[0], known)}; it has {', '.join(known)}")
    for part in path[1:]:
        found = found.get(part)
        if not isinstance(found, dict):
            raise SpecError(f"--set {change}: {path[0]} of {file} has no table {part}; leave it out of the key")
    return found
