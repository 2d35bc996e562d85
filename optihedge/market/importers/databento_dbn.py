"""Databento's binary encoding, DBN: definitions, best bid and offer, ten levels, settlement prices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import require_extra
from optihedge.market.importers.books import book
from optihedge.market.importers.intake import Intake

_SCALE = 1e-9
_UNDEFINED = 2**63 - 1
_CLASSES = {"F": "future", "C": "option", "P": "option", "K": "equity"}
_TOPS = ("BBOMsg", "CBBOMsg", "MBP1Msg", "CMBP1Msg")
_WHY = {
    "TradeMsg": "trades of others", "OHLCVMsg": "bars of trades", "MBOMsg": "single orders",
    "StatusMsg": "trading status", "ImbalanceMsg": "auction imbalances",
}  # fmt: skip


def read_dbn(data: bytes, intake: Intake) -> None:
    """Put the records of a DBN file (zstd) into the intake. Raises SpecError without the package databento-dbn."""
    try:
        import databento_dbn as dbn
    except ImportError:
        raise require_extra("databento-dbn", "databento") from None
    decoder: Any = dbn.DBNDecoder(compression=dbn.Compression.ZSTD)  # type: ignore[arg-type]
    try:
        decoder.write(data)
        metadata, *records = decoder.decode()
    except dbn.DBNError as error:
        intake.reject("the file", f"no whole DBN ({error})")
        return
    intake.names |= _names(metadata)
    groups: dict[str, list[Any]] = {}
    for record in records:
        groups.setdefault(type(record).__name__, []).append(record)
    if not records:
        intake.reject("the file", "a header without records")
    for kind, rows in groups.items():
        if kind == "InstrumentDefMsg":
            _definitions(rows, intake)
        elif kind in _TOPS:
            _tops(rows, intake)
        elif kind == "MBP10Msg":
            for label, record in {_name(record, intake): record for record in rows}.items():
                book(label, _time(record.ts_recv), _levels(record, "bid"), _levels(record, "ask"), intake)
        elif kind == "StatMsg":
            _statistics(rows, dbn.StatType.SETTLEMENT_PRICE, intake)
        else:
            intake.reject(
                kind, f"{_WHY.get(kind, 'another kind')}: no part of a market at one instant", count=len(rows)
            )
            continue
        intake.used[intake.file] = intake.used.get(intake.file, 0) + len(rows)


def _names(metadata: Any) -> dict[str, str]:
    """Instrument ids to symbols, as the metadata map them."""
    found = {}
    for symbol, intervals in getattr(metadata, "mappings", {}).items():
        for interval in intervals:
            found[str(interval["symbol"])] = str(symbol)
    return found


def _name(record: Any, intake: Intake) -> str:
    number = str(record.instrument_id)
    return intake.names.get(number, f"id:{number}")


def _price(value: int) -> float:
    return math.nan if value == _UNDEFINED else value * _SCALE


def _time(nanoseconds: int) -> pd.Timestamp:
    return pd.Timestamp(nanoseconds, unit="ns", tz="UTC")


def _levels(record: Any, side: str) -> list[tuple[float, float]]:
    """Price and size of the levels of a side that are there."""
    levels = [(_price(getattr(level, f"{side}_px")), float(getattr(level, f"{side}_sz"))) for level in record.levels]
    return [level for level in levels if not math.isnan(level[0])]


def _definitions(rows: Iterable[Any], intake: Intake) -> None:
    """Contracts. A point is unit_of_measure_qty; where tick and tick value say otherwise, the contract is named."""
    facts = []
    for r in rows:
        family = _CLASSES.get(str(r.instrument_class))
        symbol = str(r.raw_symbol)
        intake.names[str(r.instrument_id)] = symbol
        if family is None:
            intake.reject(f"definition of {symbol}", f"class {r.instrument_class}: a spread or another kind")
            continue
        tick, value = _price(r.min_price_increment), _price(r.min_price_increment_amount)
        size, factor = _price(r.unit_of_measure_qty), _price(r.display_factor)
        point = value / factor / tick if family == "future" and value > 0 and tick > 0 and factor > 0 else math.nan
        if not math.isnan(point) and not math.isclose(point, size, rel_tol=1e-6):
            intake.reject(
                f"definition of {symbol}", f"a point is {size:g} by its unit and {point:g} by its tick's value"
            )
            continue
        option = family == "option"
        facts.append({
            "instrument": symbol, "type": family, "underlying": str(r.underlying) if option else symbol,
            "currency": str(r.currency), "multiplier": 1.0 if family == "equity" else size, "lot": 1.0,
            "expiry": pd.NaT if family == "equity" else _time(r.expiration), "symbol": symbol, "tick": tick,
            "strike": _price(r.strike_price) if option else np.nan, "right": str(r.instrument_class) if option else "",
            "venue": str(r.exchange).strip().lower(),
            "min_quantity": float(r.min_trade_vol) if family != "equity" else 1.0,
            "exercise": "american" if str(r.cfi)[2:3] == "A" else "european" if str(r.cfi)[2:3] == "E" else "",
        })  # fmt: skip
    intake.add("instruments", pd.DataFrame(facts))


def _tops(rows: Iterable[Any], intake: Intake) -> None:
    seen = [(_name(r, intake), _time(r.ts_recv), _price(r.levels[0].bid_px), _price(r.levels[0].ask_px),
             float(r.levels[0].bid_sz), float(r.levels[0].ask_sz)) for r in rows]  # fmt: skip
    intake.quotes(pd.DataFrame(seen, columns=["instrument", "time", "bid", "ask", "bid_size", "ask_size"]))


def _statistics(rows: Iterable[Any], settlement: Any, intake: Intake) -> None:
    seen = [(_name(r, intake), _time(r.ts_recv), _price(r.price)) for r in rows if r.stat_type == settlement]
    others = sum(r.stat_type != settlement for r in rows)
    intake.quotes(pd.DataFrame(seen, columns=["instrument", "time", "mark"]))
    if others:
        intake.reject("statistic", "no settlement price", count=others)
