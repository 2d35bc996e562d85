"""Mutated inputs and command lines end in a market, a DataError or a SpecError, in bounded time and memory."""

import random
import resource
import time

import pandas as pd
import pytest

import optihedge as oh
from optihedge.cli import main
from optihedge.frames import read_raw
from optihedge.hedge.modelfile import models_folder, parse_model
from optihedge.market.dividends import expected_dividends
from optihedge.market.door import admit, changed_by_events
from optihedge.market.drivers import check_drivers
from optihedge.market.folder import read_market
from optihedge.market.instruments import check_instruments
from optihedge.market.levels import known_history, read_history
from optihedge.market.quotes import check_depth, check_quotes
from optihedge.market.settings import read_settings

FILES = {
    "market.toml": 'base_currency = "USD"\nas_of = "2026-01-20T21:00:00Z"\nmax_age = "1d"\n',
    "instruments.csv": "instrument,type,underlying,currency,multiplier,expiry,strike,right,lot,tick,fee,hedge\n"
    "AAA,equity,AAA,USD,1,,,,1,0.01,0.0001,false\nIDXF,future,IDX,USD,10,2026-03-20T20:00:00Z,,,1,0.25,0,true\n"
    "OPT,option,AAA,USD,100,2026-03-20T20:00:00Z,100,C,1,0.05,0,true\nP,perpetual,BTC,USD,1,,,,0.001,0.1,0,true\n",
    "quotes.csv": "instrument,bid,ask,time,underlying_price,volume,funding_rate,funding_hours\n"
    "AAA,99.9,100.1,2026-01-20T20:59:00Z,,100000,,\nIDXF,49.9,50.1,2026-01-20T20:59:00Z,,5000,,\n"
    "OPT,4.9,5.1,2026-01-20T20:59:00Z,100.4,300,,\nP,90000,90010,2026-01-20T20:59:00Z,90004,900,0.0001,8\n",
    "drivers.csv": "driver,kind,underlying,tenor,market,known_at\nAAA,price,,,false,16:00 America/New_York\n"
    "IDX,price,,,true,\nBTC,price,,,false,\nAAA vol,vol,AAA,30d,false,\nb,basis,BTC,perpetual,false,\n",
    "history.csv": "time,AAA,IDX,BTC,AAA vol,b\n"
    + "".join(
        f"2025-12-{d:02d},{95 + d * 3 % 7},{48 + d * 5 % 3},{89000 + d * 37 % 900},{0.2 + d % 5 / 100},{d % 7 / 1e4}\n"
        for d in range(1, 31)
    ),
    "depth.csv": "instrument,side,price,size\nIDXF,bid,49.9,3\nIDXF,ask,50.1,4\nIDXF,ask,50.2,9\n",
    "events.csv": "event_id,time,kind,instrument,value,money\n1,2026-02-10T14:30:00Z,dividend,AAA,0.5,USD\n",
    "book.csv": "instrument,quantity\nAAA,1000\nOPT,-3\nP,0.5\n",
}
ODD = (
    "", "nan", "inf", "-1", "0", "1e308", "1e-320", "9" * 400, "=1+1", "\u202eabc", "\x1b[31m", "\uff1d1", "\x00",
    "true",
    "2026-02-30", "9999-12-31", "1066-10-14T00:00:00Z", "2026-01-20 21:00", "1,5", '"', "'", ",", ";", "\n", "\ufeff",
    "C",
    "AAA", "IDX", "perpetual", "option", "\U0001f4a3", "-0", "0x10", "1_000", "None", "[]", "None,None",
    "16:00 Mars/Base",
)  # fmt: skip


def mutated(text, rng):
    """The text with one to three faults: a field replaced, a row, column or byte doubled, cut or swapped."""
    for _ in range(rng.randint(1, 3)):
        lines = text.split("\n")
        row = rng.randrange(len(lines))
        fields = lines[row].split(",")
        kind = rng.randrange(9)
        if kind < 4:
            fields[rng.randrange(len(fields))] = rng.choice(ODD)
            lines[row] = ",".join(fields)
        elif kind == 4:
            lines.insert(rng.randrange(len(lines)), lines[row])
        elif kind == 5:
            del lines[row]
        elif kind == 6:
            lines[row] = ",".join([*fields, rng.choice(fields)])
        elif kind == 7 and text:
            at = rng.randrange(len(text))
            lines = (text[:at] + rng.choice(ODD) + text[at + rng.randint(0, 3) :]).split("\n")
        else:
            rng.shuffle(fields)
            lines[row] = ",".join(fields)
        text = "\n".join(lines)
    return text


def written(folder, rng):
    """The files of a market, one of them mutated, and which."""
    chosen = rng.choice(sorted(FILES))
    for name, text in FILES.items():
        write(folder / name, mutated(text, rng) if name == chosen else text)
    return chosen


def write(path, text):
    path.write_text(text, encoding="utf-8", errors="surrogatepass")


def own_doors(clean, raw):
    """By file, the check that it meets first: what is refused there needs no whole market to be refused."""
    said = {"on_missing": "error", "max_crossed": 0.0, "max_age": pd.Timedelta("1D")}
    return {
        "instruments.csv": lambda frame: check_instruments(frame, clean.as_of, "USD"),
        "drivers.csv": lambda frame: check_drivers(frame, raw, clean.instruments, "USD"),
        "quotes.csv": lambda frame: check_quotes(frame, clean.instruments, clean.as_of, **said),
        "depth.csv": lambda frame: check_depth(frame, clean.names, clean.as_of, **said),
        "events.csv": lambda frame: (changed_by_events(frame), expected_dividends(frame, clean.as_of)),
        "history.csv": lambda frame: known_history(*read_history(frame), clean.drivers, clean.as_of),
    }


def one_file(folder, name, doors, tables, clean):
    """A mutated file through its own door, left out there as a market would, and then in a whole market."""
    if name == "book.csv":
        oh.read_book(folder / name, clean)
    elif name == "market.toml":
        read_settings(folder / name)
    else:
        frame = read_raw(folder / name)
        admit(lambda given: doors[name](given[name[:-4]]), {**tables, name[:-4]: frame})
    read_market(folder)


def through_the_doors(folder, seeds):
    """Every seed's mutated file or model through its doors: what else came out, how many were read, how long."""
    models = [path.read_text(encoding="utf-8") for path in sorted(models_folder().glob("*.toml"))]
    for name, text in FILES.items():
        write(folder / name, text)
    clean = read_market(folder)
    tables = {name[:-4]: read_raw(folder / name) for name in FILES if name.endswith(".csv") and name != "book.csv"}
    doors = own_doors(clean, read_history(tables["history"])[0])
    strange, read, slowest = [], 0, 0.0
    for seed in seeds:
        rng = random.Random(seed)
        began = time.process_time()
        name = rng.choice(sorted(FILES))
        try:
            if seed % 10 == 0:
                parse_model(mutated(rng.choice(models), rng))
                continue
            write(folder / name, mutated(FILES[name], rng))
            one_file(folder, name, doors, tables, clean)
            read += 1
        except (oh.DataError, oh.SpecError):
            pass
        except Exception as error:
            strange.append((seed, type(error).__name__, str(error)[:200]))
        finally:
            write(folder / name, FILES[name])
        slowest = max(slowest, time.process_time() - began)
    return strange, read, slowest


def test_a_clean_market_passes(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    market = read_market(tmp_path)
    assert len(oh.read_book(tmp_path / "book.csv", market)) == 3 and not market.left_out


def test_mutated_inputs_end_in_an_error_of_ours(tmp_path):
    strange, read, slowest = through_the_doors(tmp_path, range(200))
    assert not strange
    assert 0 < read < 200 and slowest < 30  # seconds of processor: a hang, not a slow machine


COMMANDS = {  # what each verb does when nothing is wrong with it: {data} and {out} are folders
    "run": ["beta_hedge", "--data", "{data}", "--as-of", "2026-01-20T21:00:00Z", "--out", "{out}"],
    "check": ["delta_neutral", "beta_hedge", "--data", "{data}"],
    "doctor": ["--data", "{data}", "--model", "beta_hedge"],
    "explain": ["delta_neutral", "--data", "{data}"],
    "evaluate": ["--data", "{data}", "--start", "20", "--refit", "9"],
    "import": ["ibkr", "{data}/quotes.csv", "--to", "{out}"],
    "record": ["{data}", "--store", "{out}/store"],
    "compare": ["delta_neutral", "beta_hedge", "--data", "{data}"],
    "scenario": ["delta_neutral", "--data", "{data}"],
}
WORDS = (
    "--data", "--book", "--out", "--as-of", "--workers", "--deadline", "--send", "--allow", "--store", "--model",
    "--plot",
    "--hedge", "beta_hedge", "nothing", "1000000", "-1", "5m", "x", "\x1b[2J", "\u202e", "2026-01-20", "9999-01-01",
    "0",
    "a/b", "--help", "--json", "--", "isolated:isolated:piqp", "1e400d", "",
)  # fmt: skip


def command(rng, folder, out):
    """A verb's own line with none to three words dropped, doubled, replaced or put in."""
    verb = rng.choice(sorted(COMMANDS))
    words = [word.format(data=folder, out=out) for word in COMMANDS[verb]]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        at = rng.randrange(len(words) + 1)
        words[at : at + rng.randrange(2)] = rng.choice(
            ([], [rng.choice(WORDS)], [rng.choice(WORDS)], words[at : at + 1] * 2)
        )
    return [verb, *words]


def lines_run(tmp_path, monkeypatch, seeds):
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    codes = []
    for seed in seeds:
        rng = random.Random(seed)
        for name, text in FILES.items():
            write(folder / name, text)
        if rng.random() < 0.4:
            written(folder, rng)
        codes.append((seed, main(command(rng, folder, tmp_path / "out"))))
    return codes


def test_command_lines_end_without_an_internal_error(tmp_path, monkeypatch, capsys):
    codes = lines_run(tmp_path, monkeypatch, range(40))
    assert not [one for one in codes if one[1] == 6]
    shown = capsys.readouterr()
    assert not [mark for mark in shown.out + shown.err if not (mark.isprintable() or mark in "\n\t")]


@pytest.mark.slow
def test_a_hundred_thousand_mutated_inputs(tmp_path):
    strange, read, slowest = through_the_doors(tmp_path, range(1000, 101_000))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{read} read, slowest {slowest:.2f} s, {memory:.0f} MB")
    assert not strange, strange[:10]
    assert slowest < 30 and memory < 4096


@pytest.mark.slow
def test_a_thousand_command_lines(tmp_path, monkeypatch):
    codes = lines_run(tmp_path, monkeypatch, range(1000, 2000))
    assert not [one for one in codes if one[1] == 6]
