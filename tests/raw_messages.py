"""Raw messages as a venue sends them, made from recorded tickers: what an importer's tests read."""

import json
from pathlib import Path

import pandas as pd

PERPETUAL = 32503708800000  # Deribit's expiration of what never expires


def millis(time: pd.Timestamp) -> int:
    return int(time.value // 10**6)


def _plain(row: dict) -> dict:
    """Without what the recorder left empty; numbers as JSON has them."""
    kept = {k: v for k, v in row.items() if not (isinstance(v, float) and pd.isna(v))}
    return {k: v.item() if hasattr(v, "item") else v for k, v in kept.items()}


def deribit_instrument(row: pd.Series) -> dict:
    """One element of get_instruments, from a recorded row of an option or future."""
    option = "strike" in row.index
    perpetual = pd.isna(row["expiration"])
    facts = {
        "instrument_name": row["instrument_name"], "kind": "option" if option else "future", "is_active": True,
        "base_currency": "BTC", "quote_currency": "BTC" if option else "USD", "counter_currency": "USD",
        "settlement_currency": "BTC", "instrument_type": "reversed", "price_index": "btc_usd",
        "expiration_timestamp": PERPETUAL if perpetual else millis(row["expiration"]),
        "settlement_period": "perpetual" if perpetual else "month", "contract_size": row["contract_size"],
        "min_trade_amount": row["min_trade_amount"] if option else row["contract_size"],
        "tick_size": row["tick_size"], "tick_size_steps": [],
        "taker_commission": row["taker_commission"], "maker_commission": row["maker_commission"],
    }  # fmt: skip
    if option:
        facts |= {"option_type": str(row["option_type"]), "strike": float(row["strike"])}
    return _plain(facts)


def deribit_ticker(row: pd.Series) -> dict:
    """The answer of public/ticker, from a recorded row."""
    same = ("instrument_name", "best_bid_price", "best_ask_price", "best_bid_amount", "best_ask_amount", "mark_price",
            "index_price", "open_interest", "mark_iv", "underlying_price", "funding_8h", "current_funding")  # fmt: skip
    data = {name: row[name] for name in same if name in row.index}
    data |= {"timestamp": millis(row["time"]), "state": "open"}
    stats = {"volume": row["stats_volume"], "volume_usd": row["stats_volume_usd"]}
    if "delta" in row.index:
        data["greeks"] = _plain({name: row[name] for name in ("delta", "gamma", "vega", "theta", "rho")})
    return {"jsonrpc": "2.0", "result": {**_plain(data), "stats": _plain(stats)}, "testnet": False}


def write_deribit(source: Path, folder: Path, snapshot: int, positions: list[dict], account: dict) -> pd.Timestamp:
    """instruments.json, tickers.jsonl, positions.json, account.json of one recorded snapshot; its last instant."""
    tables = [pd.read_parquet(source / name) for name in ("options.parquet", "futures.parquet")]
    label = sorted(tables[0]["snapshot"].unique())[snapshot]
    rows = [row for table in tables for _, row in table[table["snapshot"] == label].iterrows()]
    as_of = max(row["time"] for row in rows)
    folder.mkdir(parents=True, exist_ok=True)
    seen = {"usOut": millis(as_of) * 1000, "jsonrpc": "2.0"}
    write = {"instruments": [deribit_instrument(row) for row in rows], "positions": positions, "account": account}
    for name, result in write.items():
        (folder / f"{name}.json").write_text(json.dumps({**seen, "result": result}))
    (folder / "tickers.jsonl").write_text("\n".join(json.dumps(deribit_ticker(row)) for row in rows))
    return as_of
