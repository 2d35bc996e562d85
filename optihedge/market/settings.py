"""market.toml: what a folder says of its market as a whole."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from optihedge.errors import DataError
from optihedge.frames import nearest, read_toml

_KEYS: dict[str, tuple[tuple[type, ...], str]] = {
    "base_currency": ((str,), 'text such as "USD"'),
    "as_of": ((str, date), 'an instant such as "2026-01-20T21:00:00Z"'),
    "on_missing": ((str,), '"error" or "freeze"'),
    "max_crossed": ((int, float), "a fraction of the price such as 0.001"),
    "max_age": ((str,), 'a duration such as "1d"'),
    "traded": ((dict,), "a table of what was traded by venue, base currency, such as binance = 5e6"),
}


def read_settings(path: Path) -> dict[str, Any]:
    """The keys of market.toml, as keywords of Market. Raises DataError for one that is unknown or missing.

    `traded` is as it was written: an amount that is none spoils the fees of its venue alone (`market.fee_tiers`).
    """
    if not path.exists():
        raise DataError(f'{path} is not there; write a line such as base_currency = "USD" into it')
    settings = read_toml(path)
    for key in settings:
        if key not in _KEYS:
            raise DataError(f"market.toml: key {key} is not known{nearest(key, _KEYS)}; rename or remove it")
        kinds, wanted = _KEYS[key]
        if not isinstance(settings[key], kinds) or isinstance(settings[key], bool):
            raise DataError(f"market.toml: {key} is {settings[key]!r}; write {wanted}")
    if "base_currency" not in settings:
        raise DataError('market.toml: base_currency is missing; write a line such as base_currency = "USD"')
    return settings
