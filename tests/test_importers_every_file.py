"""Every recorded file of venues, brokers and vendors is read, or named with the reason."""

from pathlib import Path

import pytest

from optihedge.market.importers.sources import SOURCES, import_files

FOLDERS = {
    "venue_messages": {
        "deribit_20210722": "deribit", "okx_20220513": "okx", "bybit_20210417": "bybit", "dydx_v3_20211028": "dydx",
        "binance_usdm_20210722": "binance_usdm", "binance_coinm_20210722": "binance_coinm", "bitcom_20240107": "bitcom",
        "gateio_futures_20230524": "gateio", "coinbase_spot_20210417": "coinbase",
        "hyperliquid_20250126": "hyperliquid", "fixtures/deribit": "deribit", "fixtures/okx": "okx",
        "fixtures/bybit": "bybit", "fixtures/binance/futures": "binance_usdm", "fixtures/binance/spot": "binance",
        "fixtures/binance_legacy": "binance_usdm", "fixtures/hyperliquid": "hyperliquid", "fixtures/tardis": "tardis",
    },
    "broker_files": {
        "ibkr_flex": "ibkr", "ib_tws": "ibkr", "fix": "fix", "csv_exports/ibkr": "ibkr", "csv_exports/avanza": "avanza",
        "csv_exports/etoro": "etoro", "csv_exports/investimental": "investimental", "csv_exports/xtb": "xtb",
        "csv_exports/revolut": "revolut", "csv_exports/trading212": "trading212",
    },
    "vendor_samples": {"tardis": "tardis", "databento": "databento"},
}  # fmt: skip


@pytest.mark.parametrize(("root", "least", "read"), [("venue_messages", 373, 220), ("broker_files", 34, 31),
                                                     ("vendor_samples", 44, 33)])  # fmt: skip
def test_every_file_is_read_or_named_with_the_reason(recorded, root, least, read):
    """`least` files are there, `read` of them at least give records; what else there is says why it does not."""
    files = sorted(p for p in recorded(root).rglob("*") if p.is_file() and p.name != "README.md")
    assert len(files) >= least
    together: dict[tuple[str, Path], list[Path]] = {}
    for path in files:
        inside = path.relative_to(recorded(root)).as_posix()
        (name,) = {name for place, name in FOLDERS[root].items() if inside.startswith((f"{place}/", f"{place}-"))}
        together.setdefault((name, path.parent), []).append(path)
    used = 0
    for (name, _), paths in together.items():
        found = import_files(name, paths)
        named = found.rejected.set_index("file")["why"]
        assert (named != "").all()
        for path in paths:
            used += bool(found.used.get(path.name))
            assert found.used.get(path.name) or path.name in named.index, path
        unknown = named == "no shape that is known"
        assert unknown.sum() <= 2, (name, named[unknown])
    assert used >= read, f"{used} of {len(files)}"


def test_every_source_reads_some_recorded_file(recorded):
    """What no recorded file shows is tested from messages as its documentation has them."""
    elsewhere = {"ccxt", "csv", "chains", "bybit_spot"}
    shown = {name for folders in FOLDERS.values() for name in folders.values()}
    assert shown | elsewhere == set(SOURCES)
