"""Hyperliquid: perpetual and spot meta with contexts, books, mids, accounts, own fills.

One contract is one coin, margined in USDC. Its published rules, in no message: funding is paid hourly, an order is at
least 10 USDC, a price has five significant figures (whole prices always pass) and at most 6 - szDecimals decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.books import book, levels_of
from optihedge.market.importers.coins import add_contracts, add_index, finish_coins, label_of, own_fills
from optihedge.market.importers.envelope import listed, read_messages, received
from optihedge.market.importers.fields import Fields, tens
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile

FUNDING_HOURS, LEAST_COST, FIGURES, DECIMALS = 1.0, 10.0, 5, 6
MONEY = "USDC"


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Hyperliquid's into the intake."""
    read_messages(raw, intake, "Hyperliquid's", _unwrapped, SHAPES)


def finish(intake: Intake) -> None:
    """Fees; USDC is what it reckons in."""
    intake.money = intake.money or MONEY
    if len(intake.frame("instruments")):
        intake.note("funding intervals (1 hour), the least order (10 USDC) and price steps (five figures) are "
                    "Hyperliquid's published rules; no message says them")  # fmt: skip
    finish_coins(intake)


def _unwrapped(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    for place, value, seen in received(values, intake):
        if isinstance(value, dict) and "channel" in value and "data" in value:
            value = value["data"]
        if isinstance(value, list) and len(value) == 2 and _is_meta(value[0]) and isinstance(value[1], list):
            names = [asset.get("name", "") for asset in value[0]["universe"]]
            contexts = [{"coin": n, "_seen": seen, **c} for n, c in zip(names, value[1], strict=False)]
            yield from listed(place, value[0]["universe"])
            yield from listed(place, contexts)
            continue
        if isinstance(value, dict) and "tokens" in value and "universe" in value:
            yield place, {"spot_meta": value}
        elif isinstance(value, dict) and _is_meta(value):
            yield from listed(place, value["universe"])
        elif isinstance(value, list) and value and all(_is_meta(v) for v in value):
            for meta in value:
                yield from listed(place, meta["universe"], collateralToken=meta.get("collateralToken"))
        elif isinstance(value, dict) and isinstance(value.get("fills"), list):
            yield from listed(place, value["fills"])
        elif isinstance(value, dict) and isinstance(value.get("mids"), dict):
            for coin, mid in value["mids"].items():
                yield place, {"coin": coin, "mid": mid, "_seen": seen}
        elif isinstance(value, dict) and isinstance(value.get("balances"), list):
            yield from listed(place, value["balances"])
        else:
            yield from listed(place, value)


def _is_meta(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("universe"), list)


def _perpetuals(f: Fields, intake: Intake) -> None:
    name, digits = f.text("name"), f.number("szDecimals", needed=True)
    other = f.number("collateralToken").fillna(0) != 0
    gone = f.flag("isDelisted")
    if other.any():
        intake.reject("perpetual", "margined in a token that its message names by number only", count=int(other.sum()))
    if gone.any():
        intake.reject("perpetual", "delisted", count=int(gone.sum()))
    rows = pd.DataFrame({
        "symbol": name, "family": "perpetual", "base": name, "quote": "USD", "settle": MONEY, "size": 1.0,
        "lot": tens(-digits), "least": tens(-digits), "tick": tens(digits - DECIMALS),
        "tick_steps": [_price_steps(least) for least in tens(digits - DECIMALS)], "min_notional": LEAST_COST,
        "max_leverage": f.number("maxLeverage"),
    })  # fmt: skip
    add_contracts(intake, rows[~other & ~gone])


def _price_steps(least: float) -> list[dict]:
    """Five significant figures as steps: above 10^k a price moves by 10^(k - 4), by 1 at most."""
    steps = [(float(f"1e{k}"), float(f"1e{k - FIGURES + 1}")) for k in range(-6, FIGURES)]
    return [{"above_price": above, "tick_size": step} for above, step in steps if step > least]


def _contexts(f: Fields, intake: Intake) -> None:
    """Contexts of perpetuals: mark, oracle, the hourly funding rate, the day's volume."""
    head = {"instrument": label_of(intake.venue, f.text("coin")), "time": f.time("_seen")}
    oracle = f.number("oraclePx")
    intake.quotes(pd.DataFrame(head | {"mark": f.number("markPx"), "underlying_price": oracle}))
    rate = f.number("funding")
    intake.quotes(
        pd.DataFrame(head | {"funding_rate": rate, "funding_hours": np.where(rate.notna(), FUNDING_HOURS, np.nan)})
    )
    intake.quotes(pd.DataFrame(head | {"volume": f.number("dayBaseVlm")}))
    add_index(intake, f.text("coin"), pd.Series(MONEY, index=oracle.index), head["time"], oracle)


def _spot(f: Fields, intake: Intake) -> None:
    for meta in f.raw("spot_meta"):
        tokens = {t["index"]: t for t in meta["tokens"] if isinstance(t, dict) and "index" in t}
        rows = []
        for pair in meta["universe"]:
            ends = [tokens[number] for number in pair.get("tokens", []) if number in tokens]
            if len(ends) == 2:
                base, quote = ends
                lot = float(tens(-float(base["szDecimals"])))
                rows.append({"symbol": pair["name"], "family": "spot", "base": base["name"], "quote": quote["name"],
                             "settle": "", "size": 1.0, "lot": lot, "least": lot, "tick": 1e-8 / lot})  # fmt: skip
            else:
                intake.reject(f"pair {pair.get('name')}", "its tokens are not in the message")
        if rows:
            add_contracts(intake, pd.DataFrame(rows))
        else:
            intake.reject("spot meta", "tokens without pairs")


def _books(f: Fields, intake: Intake) -> None:
    for coin, when, levels in zip(f.text("coin"), f.time("time", needed=True), f.raw("levels"), strict=True):
        if isinstance(levels, list) and len(levels) == 2:
            book(f"{intake.venue}:{coin}", when, levels_of(levels[0]), levels_of(levels[1]), intake)


def _mids(f: Fields, intake: Intake) -> None:
    rows = {"instrument": label_of(intake.venue, f.text("coin")), "time": f.time("_seen"), "mark": f.number("mid")}
    intake.quotes(pd.DataFrame(rows))


def _account(f: Fields, intake: Intake) -> None:
    """clearinghouseState: positions, and the account's value as USDC (futures have no value of their own)."""
    rows = []
    for positions, when in zip(f.raw("assetPositions"), f.time("time"), strict=True):
        for item in positions if isinstance(positions, list) else []:
            position = item.get("position", {}) if isinstance(item, dict) else {}
            if not (position.get("coin") and position.get("szi")):
                intake.lose(
                    f"position of {position.get('coin', 'what is not said')}", "its coin or size (szi) is missing"
                )
                continue
            size = float(position["szi"])
            rows.append((f"{intake.venue}:{position['coin']}", size, when, "positions"))
    value = f.number("marginSummary.accountValue").fillna(f.number("crossMarginSummary.accountValue"))
    rows += [(MONEY, v, when, "balance perpetuals") for v, when in zip(value, f.time("time"), strict=True)]
    frame = pd.DataFrame(rows, columns=["instrument", "quantity", "time", "scope"])
    intake.add("books", frame.assign(book=intake.account))


def _spot_balances(f: Fields, intake: Intake) -> None:
    timeless = pd.Series(pd.NaT, index=f.frame.index)
    intake.holds(f.text("coin"), f.number("total", needed=True), timeless, "balance spot")


def _fills(f: Fields, intake: Intake) -> None:
    side = f.text("side").replace({"B": "buy", "A": "sell"})
    own_fills(f, intake, fill="tid", order="oid", symbol="coin", size="sz", side=side, price="px", fee=f.number("fee"),
              money=f.text("feeToken"), time="time")  # fmt: skip


SHAPES = (
    shape("perpetual", "name szDecimals maxLeverage", _perpetuals),
    shape("context", "coin markPx oraclePx funding", _contexts),
    shape("spot meta", "spot_meta", _spot),
    shape("order book", "coin levels time", _books),
    shape("own fill", "coin px sz side oid fee", _fills),
    shape("trade", "coin px sz side tid", why="a trade of others: no part of a market at one instant"),
    shape("mid", "coin mid", _mids),
    shape("account", "assetPositions", _account, holds="assetPositions marginSummary"),
    shape("spot balance", "coin total", _spot_balances, holds="total hold entryNtl"),
    shape("funding paid", "coin fundingRate", why="past funding without the mark it was paid on"),
    shape("contexts", "ctxs", why="contexts without the names they belong to: save metaAndAssetCtxs"),
    shape("plain value", "value", why="no market data"),
)  # fmt: skip
