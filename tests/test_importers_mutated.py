"""Files with one thing wrong: nothing breaks, nothing held is lost, turned or resized without being named."""

import gzip
import json
import random
import re
from pathlib import Path

import pandas as pd
import pytest
from mutated_messages import mutations, told_otherwise, wrapped
from test_importers_every_file import FOLDERS

from optihedge.market.importers.holdings import LATER, books_at
from optihedge.market.importers.imported import Imported
from optihedge.market.importers.sources import import_files, import_values

NOW = pd.Timestamp("2026-12-01T00:00Z")
TABLES = ("instruments", "quotes", "depth", "books", "fills", "events")


def holdings(found: Imported) -> tuple[dict[str, float], set[str]]:
    """Contracts by label, and every problem."""
    told = found.books["time"].max()
    at = NOW if told is pd.NaT else told
    books, problems = books_at(found.books, at, at + LATER, [])
    return books.groupby("instrument")["quantity"].sum().round(10).to_dict(), {*found.problems, *problems}


def texts(found: Imported, name: str) -> list:
    return getattr(found, name).astype(str).to_numpy().tolist()


def judged(source: str, path: Path, rounds: int, rng: random.Random) -> list[str]:
    """What is wrong with the imports of one file's mutations, in words."""
    value = json.loads(path.read_text())
    whole = import_values(source, {path.name: value}, as_of=NOW)
    held, known = holdings(whole)
    faults = []
    for _ in range(rounds if held else 1):
        for how, field, changed in mutations(value, rng):
            found = import_values(source, {path.name: changed}, as_of=NOW)
            now, problems = holdings(found)
            where = f"{path.name}: {field} {how}"
            if how in ("unknown field", "number as text"):
                faults += [f"{where}: other {name}" for name in TABLES if texts(found, name) != texts(whole, name)]
            unread = not found.used.get(path.name) and path.name in set(found.rejected["file"])
            renamed = how == "word" and any("abc" in label for label in now)
            if now != held and not (problems - known or unread or renamed):
                faults.append(f"{where}: {held} became {now} without a word")
    return faults


def messages(recorded, source: str) -> list[Path]:
    """The smaller messages of a source that are JSON, in the order of their names."""
    folders = [
        recorded("venue_messages") / place for place, name in FOLDERS["venue_messages"].items() if name == source
    ]
    folders += [recorded("broker_files") / "ib_tws"] if source == "ibkr" else []
    found = [p for folder in folders if folder.is_dir() for p in folder.rglob("*.json")]
    return sorted(p for p in found if p.stat().st_size < 60_000 and _whole(p))


def _whole(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text()))
    except ValueError:
        return False


SOURCES = ("deribit", "okx", "bybit", "binance_usdm", "binance", "hyperliquid", "tardis", "ibkr")


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_held_is_lost_or_changed_without_a_word(recorded, source):
    rng = random.Random(11)
    paths = messages(recorded, source)
    chosen = [p for p in paths if any(word in p.name for word in ("position", "account", "wallet", "balance"))] or paths
    faults = [fault for path in rng.sample(chosen, min(3, len(chosen))) for fault in judged(source, path, 2, rng)]
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_nothing_of_any_message_is_lost_or_changed_without_a_word(recorded, source):
    rng = random.Random(12)
    faults = [fault for path in messages(recorded, source) for fault in judged(source, path, 12, rng)]
    assert not faults, "\n".join(faults)


def differences(source: str, path: Path) -> list[str]:
    """What the other ways of saying one message change, in words."""
    value, faults = json.loads(path.read_text()), []
    whole = import_values(source, {path.name: value}, as_of=NOW)
    for how, other in told_otherwise(value):
        found = import_values(source, {path.name: other}, as_of=NOW)
        faults += [
            f"{path.name} {how}: other {name}"
            for name in TABLES if sorted(map(str, texts(found, name))) != sorted(map(str, texts(whole, name)))
        ]  # fmt: skip
    for how, other in wrapped(value):
        found = import_values(source, {path.name: other}, as_of=NOW)
        same = all(texts(found, name) == texts(whole, name) for name in TABLES)
        if not same and not set(found.rejected["file"]) and not found.problems:
            faults.append(f"{path.name} {how}: neither read nor named")
    return faults


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_facts_said_otherwise_are_the_same_facts(recorded, source):
    paths = messages(recorded, source)
    chosen = random.Random(13).sample(paths, min(5, len(paths)))
    faults = [fault for path in chosen for fault in differences(source, path)]
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_the_same_facts_of_any_message_said_otherwise_are_the_same_facts(recorded, source):
    faults = [fault for path in messages(recorded, source) for fault in differences(source, path)]
    assert not faults, "\n".join(faults)


PACKED = (
    ("databento", "vendor_samples/databento", "*.zst"), ("deribit", "venue_messages/deribit_20210722", "*.json.gz"),
    ("ibkr", "broker_files/ibkr_flex", "*.xml"), ("deribit", "deribit_btc_2026", "futures.parquet"),
)  # fmt: skip


@pytest.mark.parametrize(("source", "folder", "pattern"), PACKED)
def test_a_file_that_ends_too_early_is_named_wherever_it_ends(recorded, tmp_path, source, folder, pattern):
    """Torn at a drawn byte: a problem that names the file, or fewer records that were whole; never another error."""
    top, _, rest = folder.partition("/")
    paths = sorted((recorded(top) / rest).rglob(pattern), key=lambda p: (p.stat().st_size, p.name))[:4]
    rng = random.Random(5)
    assert paths
    for path in paths:
        data = path.read_bytes()
        for _ in range(6):
            torn = tmp_path / path.name
            torn.write_bytes(data[: rng.randrange(1, len(data) - 1)])
            found = import_files(source, [torn])
            assert torn.name in set(found.rejected["file"]) or found.used.get(torn.name)
            assert any(text.startswith(torn.name) for text in found.problems) or found.used.get(torn.name)


def test_a_torn_file_of_positions_is_a_problem_and_a_torn_line_of_a_stream_is_not(tmp_path):
    whole = json.dumps({"result": [{"instrument_name": "BTC-PERPETUAL", "size": 10.0, "direction": "buy"}]})
    line = json.dumps({"instrument_name": "BTC-PERPETUAL", "timestamp": 1768652000000, "best_bid_price": 1.0})
    (tmp_path / "positions.json").write_text(whole[:-4])
    (tmp_path / "stream.jsonl").write_text(f"{line}\n{line[:-9]}\n")
    found = import_files("deribit", [tmp_path])
    assert [text.partition(":")[0] for text in found.problems] == ["positions.json"]
    assert set(found.rejected["file"]) >= {"positions.json", "stream.jsonl"}


@pytest.mark.parametrize("count", [1768652000, 1768652000_000, 1768652000_000_000, 1768652000_000_000_000])
def test_the_size_of_a_count_says_its_unit(tmp_path, count):
    told = {"instrument_name": "BTC-PERPETUAL", "timestamp": count, "best_bid_price": 1.0, "best_ask_price": 2.0}
    (tmp_path / "ticker.json.gz").write_bytes(gzip.compress(json.dumps(told).encode()))
    (quote,) = import_files("deribit", [tmp_path]).quotes.to_dict("records")
    assert quote["time"] == pd.Timestamp("2026-01-17T12:13:20Z")


TEXTS = ("ibkr_flex/flex_17.xml", "csv_exports/ibkr-trades-export.csv", "csv_exports/trading212-export.csv",
         "csv_exports/revolut-invest-export.csv", "csv_exports/avanza-export.csv", "csv_exports/etoro-export.csv",
         "csv_exports/xtb-export.csv")  # fmt: skip


def told(found: Imported) -> tuple[dict, dict, set]:
    """What is held, what was filled, and everything that is named."""
    held, problems = holdings(found)
    filled = {name: sorted(rows.round(9)) for name, rows in found.fills.groupby("instrument")["quantity"]}
    left = set(zip(found.rejected["what"], found.rejected["why"], found.rejected["count"], strict=True))
    return held, filled, problems | left | set(found.notes)


def changed_text(text: str, rng: random.Random) -> str:
    """The text cut short, or with a line doubled or cut, or one of its fields another word or empty."""
    how = rng.choice(("cut", "line doubled", "line cut", "word", "empty"))
    if how == "cut":
        return text[: rng.randrange(len(text))]
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    line = lines[at]
    if how == "line doubled":
        lines.insert(at, line)
    elif how == "line cut":
        lines[at] = line[: rng.randrange(len(line) + 1)]
    else:
        word = "abc" if how == "word" else ""
        fields = list(re.finditer(r'(?<==")[^"]*', line)) or list(re.finditer(r"[^,]+", line)) or [re.match("", line)]
        one = rng.choice(fields)
        lines[at] = line[: one.start()] + word + line[one.end() :]
    return "\n".join(lines)


def text_faults(recorded, tmp_path, rounds: int, seed: int) -> list[str]:
    faults, rng = [], random.Random(seed)
    for name in TEXTS:
        path = recorded("broker_files") / name
        source = path.name.partition("-")[0] if path.suffix == ".csv" else "ibkr"
        text = path.read_text(encoding="utf-8-sig")
        held, filled, known = told(import_files(source, [path]))
        for number in range(rounds):
            changed = tmp_path / path.name
            changed.write_text(changed_text(text, rng), encoding="utf-8")
            now, fills, named = told(import_files(source, [changed]))
            shorter = len(changed.read_text(encoding="utf-8")) < len(text) - 200  # a table cut at a row's end is whole
            if (now, fills) != (held, filled) and not (named - known or shorter or "abc" in str((now, fills))):
                faults.append(f"{name} {number}: another holding or fill, and nothing said")
    return faults


def test_nothing_of_a_brokers_file_is_lost_or_changed_without_a_word(recorded, tmp_path):
    assert not text_faults(recorded, tmp_path, 4, 3)


@pytest.mark.slow
def test_nothing_of_any_brokers_file_is_lost_or_changed_without_a_word(recorded, tmp_path):
    assert not text_faults(recorded, tmp_path, 60, 4)
