"""Doors of data: columns that a table does not know, files that are none, steering marks, doubled drivers."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.batch.books import read_books
from optihedge.cli import main
from optihedge.desk.deskfile import read_desk
from optihedge.frames import plain_text, read_raw, visible
from optihedge.hedge.modelfile import parse_model
from optihedge.market.door import TABLES, admit
from optihedge.market.folder import read_market
from optihedge.market.importers.mapped import read_map
from optihedge.market.instruments import check_instruments
from optihedge.market.margin import read_margin_rules

AS_OF = pd.Timestamp("2026-01-20T21:00:00Z")
DAYS = pd.date_range("2025-10-01", periods=80, freq="B")
SETTINGS = 'base_currency = "USD"\nas_of = "2026-01-20T21:00:00Z"\n'
HEAD = "instrument,type,underlying,multiplier,expiry,strike,right,hedge\n"
INSTRUMENTS = HEAD + "AAA,equity,AAA,1,,,,false\nIDXF,future,IDX,10,2026-03-20T20:00:00Z,,,true\n"
QUOTES = "instrument,bid,ask\nAAA,99.9,100.1\nIDXF,49.9,50.1\n"
DRIVERS = "driver,market\nAAA,false\nIDX,true\n"
MODEL = 'description = "d"\n[[objective]]\ntype = "SpreadCost"\n'


def history(seed=0, rows=80):
    rng = np.random.default_rng(seed)
    days = pd.date_range(end="2026-01-19", periods=rows, freq="B")
    market = rng.normal(0, 0.01, rows)
    own = 0.9 * market + rng.normal(0, 0.01, rows)
    levels = np.exp(np.cumsum(np.column_stack([own, market]), axis=0))
    levels = levels / levels[-1] * [100.0, 50.0]
    lines = [f"{day:%Y-%m-%d},{a:.4f},{b:.4f}" for day, (a, b) in zip(days, levels, strict=True)]
    return "time,AAA,IDX\n" + "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path):
    """A market of one stock and one future, with a book."""
    files = {
        "market.toml": SETTINGS, "instruments.csv": INSTRUMENTS, "quotes.csv": QUOTES, "drivers.csv": DRIVERS,
        "history.csv": history(), "book.csv": "instrument,quantity\nAAA,1000\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# ---- columns that an open table does not know ------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["side", "Side", "direction", "LONG_SHORT", "buy/sell"])
def test_a_book_with_a_column_for_the_side_is_refused_by_name(folder, column):
    (folder / "book.csv").write_text(f"instrument,quantity,{column}\nAAA,200,SHORT\n")
    with pytest.raises(oh.DataError, match=rf"column {column} is not known.*sign of quantity"):
        oh.read_book(folder / "book.csv")


@pytest.mark.parametrize(
    ("column", "meant"), [("Book", "book"), ("account", "book"), ("boook", "book"), ("venue amount", "venue_amount")]
)
def test_a_books_column_near_a_known_name_is_refused(folder, column, meant):
    (folder / "book.csv").write_text(f"instrument,quantity,{column}\nAAA,200,1\n")
    with pytest.raises(oh.DataError, match=rf"column {column} is not known \(did you mean {meant}\?\)"):
        oh.read_book(folder / "book.csv")


@pytest.mark.parametrize(
    ("column", "meant"),
    [("contract_size", "multiplier"), ("mult", "multiplier"), ("ccy", "currency"), ("Exercise", "exercise"),
     ("exercise_style", "exercise"), ("expiration", "expiry"), ("put_call", "right"), ("lot size", "lot"),
     ("commission", "fee"), ("TICK", "tick"), ("settlement_windows", "settlement_window")],
)  # fmt: skip
def test_a_column_of_instruments_near_a_known_name_is_refused(column, meant):
    table = pd.DataFrame({"instrument": ["A"], "underlying": ["A"], column: ["1"]})
    quotes = pd.DataFrame({"instrument": ["A"], "bid": [1.0], "ask": [1.1]})
    with pytest.raises(oh.DataError, match=rf"column {column} is not known \(did you mean {meant}\?\)"):
        oh.Market(table, quotes, "USD", as_of=AS_OF)


@pytest.mark.parametrize("column", ["sector", "rating", "trader", "region", "desk"])
def test_a_column_of_the_desks_own_stays(column):
    table = pd.DataFrame({"instrument": ["A"], "underlying": ["A"], column: ["x"]})
    quotes = pd.DataFrame({"instrument": ["A"], "bid": [1.0], "ask": [1.1]})
    assert oh.Market(table, quotes, "USD", as_of=AS_OF).instruments.at["A", column] == "x"


def test_columns_that_differ_by_case_alone_are_refused():
    table = pd.DataFrame({"instrument": ["A"], "underlying": ["A"], "Underlying": ["B"]})
    quotes = pd.DataFrame({"instrument": ["A"], "bid": [1.0], "ask": [1.1]})
    with pytest.raises(oh.DataError, match="columns underlying and Underlying differ by case alone"):
        oh.Market(table, quotes, "USD", as_of=AS_OF)


@pytest.mark.parametrize("called", ["Date", "date", "timestamp", "Datetime", "TIME"])
def test_the_time_of_history_under_another_name_is_told(folder, called):
    edit(folder / "history.csv", "time,AAA", f"{called},AAA")
    with pytest.raises(oh.DataError, match=rf"column time is missing \(did you mean {called}\?\)"):
        read_market(folder)


def test_a_fault_that_leaving_out_does_not_mend_is_refused_at_once(folder):
    """Without its key column a table keeps all its rows: the same fault comes again."""
    edit(folder / "instruments.csv", "instrument,type", "intruerument,type")
    edit(folder / "instruments.csv", "AAA,equity,AAA,1,,,,false", "AAA,equity,AAA,1,AAA,,,false")
    asked = []

    def check(tables):
        asked.append(tables)
        return check_instruments(tables["instruments"], AS_OF, "USD")

    with pytest.raises(oh.DataError):
        admit(check, dict.fromkeys(TABLES) | {"instruments": read_raw(folder / "instruments.csv")})
    assert len(asked) <= 2


def test_a_doubled_header_is_refused(folder):
    edit(folder / "history.csv", "time,AAA,IDX", "time,AAA,AAA")
    with pytest.raises(oh.DataError, match="column AAA appears twice"):
        read_market(folder)


# ---- quantities ------------------------------------------------------------------------------------------------------


def inverse_market():
    table = pd.DataFrame(
        {"instrument": ["F"], "type": ["inverse_perpetual"], "underlying": ["BTC"], "multiplier": [10.0]}
    )
    drivers = pd.DataFrame({"driver": ["BTC"], "currency": ["USD"]})
    quotes = pd.DataFrame({"instrument": ["F"], "bid": [9e4], "ask": [9.001e4], "underlying_price": [9e4]})
    return oh.Market(table, quotes, "USD", as_of=AS_OF, drivers=drivers)


def test_quantity_and_venue_amount_must_agree():
    market = inverse_market()
    agreeing = pd.DataFrame({"instrument": ["F"], "quantity": [-5.0], "venue_amount": [-50.0]})
    assert oh.read_book(agreeing, market)["F"] == -5
    with pytest.raises(oh.DataError, match=r"quantity of F is -50\.0, .*venue_amount says another"):
        oh.read_book(agreeing.assign(quantity=-50.0), market)
    with pytest.raises(oh.DataError, match="needs the market's multipliers"):
        oh.read_book(agreeing)


@pytest.mark.parametrize("kind", ["future", "inverse_future", "option"])
@pytest.mark.parametrize("column", ["multiplier,", ""])
def test_an_option_or_future_of_a_file_needs_its_multiplier(folder, kind, column):
    strike = "100,C" if kind == "option" else ","
    value = "," if column else ""
    text = f"instrument,type,underlying,{column}expiry,strike,right\n"
    text += f"X,{kind},AAA,{value}2026-03-20T20:00:00Z,{strike}\n"
    (folder / "instruments.csv").write_text(text)
    with pytest.raises(oh.DataError, match="row 2: multiplier of X is empty"):
        read_market(folder)


def test_a_minimum_notional_never_turns_a_position():
    """A holding below the venue's minimum is closed as a whole, or left alone, on either side of zero."""
    rng = np.random.default_rng(3)
    prices = pd.DataFrame(np.exp(np.cumsum(rng.normal(0, 0.01, (100, 2)), 0)), DAYS[:1].append(DAYS[1:]).append(
        pd.date_range(DAYS[-1], periods=21, freq="B")[1:]), ["A", "B"])  # fmt: skip
    last = prices.iloc[-1].to_numpy()
    table = pd.DataFrame({"instrument": ["A", "B"], "min_notional": [10.0, 10.0], "lot": 1.0})
    quotes = pd.DataFrame({"instrument": ["A", "B"], "bid": last * 0.9999, "ask": last * 1.0001})
    market = oh.Market(table, quotes, "USD", history=prices)
    model = oh.HedgeModel(risk=oh.EwmaRisk(63), objective=(oh.Variance(10.0), oh.SpreadCost()))
    for held in (5.0, -5.0, 1.0, -9.0, 3.0):
        listed = oh.trade_list(model.hedge(market, {"A": held}))
        left = held + listed.hedge.trades["A"]
        assert left * held >= 0
        assert listed.hedge.trades["A"] in (0.0, -held)


# ---- two drivers for one key -----------------------------------------------------------------------------------------


def perpetuals(**fields):
    table = pd.DataFrame(
        {"instrument": ["P1", "P2"], "type": "perpetual", "underlying": "BTC", "venue": ["one", "two"]}
    )
    quotes = pd.DataFrame({"instrument": ["P1", "P2"], "bid": [100.0, 101.0], "ask": [100.1, 101.1]})
    rows = {"driver": ["BTC", "b1", "b2"], "kind": ["price", "basis", "basis"], "underlying": "BTC",
            "tenor": ["", "perpetual", "perpetual"]}  # fmt: skip
    days = pd.date_range("2026-01-01", periods=15)
    levels = pd.DataFrame(
        {"BTC": np.linspace(90, 100, 15), "b1": np.linspace(1, 1.01, 15), "b2": np.linspace(1, 1.02, 15)}
    )
    return oh.Market(
        table, quotes, "USD", as_of=AS_OF, drivers=pd.DataFrame({**rows, **fields}), history=levels.set_index(days)
    )


def test_two_drivers_of_one_basis_are_refused_unless_they_name_whom_they_speak_for():
    with pytest.raises(oh.DataError, match="b1 and b2 are both the basis of BTC at tenor perpetual"):
        perpetuals()
    for field, values in (("instrument", ["", "P1", "P2"]), ("venue", ["", "one", "two"])):
        loadings = perpetuals(**{field: values}).loadings.matrix.toarray()
        assert (loadings[1] != 0).tolist() == [True, False]
        assert (loadings[2] != 0).tolist() == [False, True]


def test_a_driver_for_an_instrument_that_is_not_there_is_named():
    with pytest.raises(oh.DataError, match=r"b2 speaks for P3, no instrument here \(did you mean P[12]\?\)"):
        perpetuals(instrument=["", "P1", "P3"])


def test_two_vols_of_one_tenor_are_refused_unless_they_name_their_venue():
    end = "2026-03-20T20:00:00Z"
    table = pd.DataFrame({"instrument": ["S", "C1", "C2"], "type": ["equity", "option", "option"], "underlying": "S",
                          "multiplier": 1.0, "strike": [np.nan, 100, 100], "right": ["", "C", "C"],
                          "expiry": [None, end, end], "venue": ["", "one", "two"]})  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["S", "C1", "C2"], "bid": [99.9, 3.9, 4.1], "ask": [100.1, 4.0, 4.2]})
    rows = {"driver": ["S", "v1", "v2"], "kind": ["price", "vol", "vol"], "underlying": "S"}
    levels = pd.DataFrame(
        {"S": np.linspace(90, 100, 15), "v1": np.linspace(0.2, 0.3, 15), "v2": np.linspace(0.2, 0.4, 15)}
    )
    levels = levels.set_index(pd.date_range("2026-01-01", periods=15))
    left = oh.Market(table, quotes, "USD", as_of=AS_OF, drivers=pd.DataFrame(rows), history=levels).left_out
    assert {*left} == {"v1", "v2", "C1", "C2"} and "v1 and v2 are both the vol of S" in left["C1"]
    own = oh.Market(
        table, quotes, "USD", as_of=AS_OF, drivers=pd.DataFrame({**rows, "venue": ["", "one", "two"]}), history=levels
    )
    spoken = own.shares.vol.toarray() > 0
    assert spoken[1].tolist() == [False, True, False]
    assert spoken[2].tolist() == [False, False, True]


def test_basis_drivers_of_one_tenor_name_their_instruments():
    spot = pd.Series([100.0, 101.0, 102.0], name="BTC")
    futures = pd.DataFrame({"P1": spot * 1.001, "P2": spot * 1.002, "F": spot * 1.01})
    table, _ = oh.basis_drivers(spot, futures, {"P1": "perpetual", "P2": "perpetual", "F": "2026-03-27"})
    assert table["instrument"].tolist() == ["P1", "P2", ""]
    perpetuals(instrument=["", *table["instrument"][:2]])


def test_basis_without_a_driver_is_told_in_money_like_vega():
    market = perpetuals(kind=["price", "price", "price"], underlying=["BTC", "b1", "b2"], tenor="")
    model = oh.HedgeModel(risk=oh.EwmaRisk(63), objective=(oh.Variance(1e-3), oh.SpreadCost()))
    notes = " ".join(model.hedge(market, {"P1": 10.0}).problem.notes)
    bare = abs(10.0 * market.unmodelled.at["P1", "basis"])
    assert f"basis of 2 contracts in play has no basis driver (the book holds {bare:,.6g} USD per basis point" in notes


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["history.csv", "drivers.csv", "quotes.csv", "book.csv", "market.toml", "depth.csv"])
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_there_and_no_regular_file_is_refused_at_once(folder, name, kind):
    path = folder / name
    path.unlink(missing_ok=True)
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(oh.DataError, match=rf"{name} is (a folder|no regular file)"):
        market = read_market(folder)
        oh.read_book(path, market)


def test_a_table_larger_than_any_is_refused_unread(folder):
    with (folder / "quotes.csv").open("r+b") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(oh.DataError, match="more than 1,073,741,824"):
        read_market(folder)


def test_a_model_file_that_is_a_pipe_is_refused(folder):
    os.mkfifo(folder / "m.toml")
    with pytest.raises(oh.SpecError, match="no regular file"):
        oh.load_model(folder / "m.toml")


def test_many_books_in_one_file_are_read_in_linear_time(folder):
    """Four times the books take about four times the time: a scan of the whole file for each would take sixteen."""
    market = read_market(folder)

    def seconds(count):
        rows = "\n".join(f"AAA,1,b{i}" for i in range(count))
        (folder / "many.csv").write_text(f"instrument,quantity,book\n{rows}\n")
        began = time.process_time()
        books, failed = read_books([folder / "many.csv"], market)
        assert len(books) == count and not failed
        return time.process_time() - began

    seconds(200)
    assert min(seconds(3200) for _ in range(2)) < 8 * min(seconds(800) for _ in range(2))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a = " + "[" * 5000 + "]" * 5000, "nested too deep"), ("max_crossed = " + "9" * 5000, "market.toml"),
     ('as_of = "9999-12-31"', "out of range"), ('as_of = "1066-10-14"', "out of range"),
     ('max_age = "1e400d"', "max_age"), ('max_age = "99999999999999d"', "max_age"), ("as_of = 2026-01-20", "")],
    ids=["deep", "huge", "far", "early", "long", "longer", "date"],
)  # fmt: skip
def test_settings_beyond_any_use_are_refused_by_name(folder, text, message):
    (folder / "market.toml").write_text(f'base_currency = "USD"\n{text}\n')
    if not message:
        assert read_market(folder).as_of == pd.Timestamp("2026-01-20T23:59:59Z")
        return
    with pytest.raises(oh.DataError, match=message):
        read_market(folder)


@pytest.mark.parametrize("read", [read_desk, read_margin_rules, read_map], ids=lambda read: read.__name__)
@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "9" * 5000, "a = [", "\ufeffa = ["])
def test_a_file_of_wishes_that_cannot_be_read_is_named(tmp_path, read, text):
    (tmp_path / "wish.toml").write_text(text)
    with pytest.raises(oh.SpecError, match=r"wish\.toml: cannot be read"):
        read(tmp_path / "wish.toml")
    (tmp_path / "wish.toml").write_text("\ufeffsaid = 1")
    with pytest.raises(oh.SpecError, match="said"):
        read(tmp_path / "wish.toml")


def test_files_of_toml_are_read_at_one_door():
    """Depth, digits, marks, size and what is no file are refused there; texts of a key, by `hedge/changes.py`."""
    package = Path(oh.__file__).parent
    reading = [p.relative_to(package).as_posix() for p in package.rglob("*.py") if "tomllib" in p.read_text("utf-8")]
    assert sorted(reading) == ["frames/reading.py", "hedge/changes.py"]


def test_a_byte_order_mark_changes_nothing(folder, capsys):
    """Editors of one system write one before every text: tables, settings and models are read as without it."""
    out, model = folder / "out", folder / "m.toml"
    model.write_text(MODEL)
    lists = []
    for mark in ("", "\ufeff"):
        for path in [*folder.glob("*.csv"), *folder.glob("*.toml")]:
            path.write_text(mark + path.read_text())
        words = ["run", str(model), "--data", str(folder), "--book", str(folder / "book.csv"), "--out", str(out / mark)]
        assert main([*words, "--as-of", "2026-01-20T21:00:00Z"]) == 0
        lists.append([path.read_bytes() for path in sorted((out / mark).rglob("trades.csv"))])
    assert lists[0] == lists[1] and lists[0]


def test_a_row_with_a_field_too_many_or_too_few_stops_its_contract_alone(folder):
    edit(folder / "instruments.csv", "AAA,equity", "BBB,equity,AAA,1,,,,true\nAAA,equity")
    edit(folder / "quotes.csv", "AAA,99.9", "BBB,49.9,50.1\nAAA,99.9")
    whole = read_market(folder)
    for text in ("BBB,49.9", "BBB,49,9,50.1"):
        edit(folder / "quotes.csv", "BBB,49.9,50.1", text)
        market = read_market(folder)
        assert {*market.left_out} == {"BBB"} and "quotes.csv row 2: " in market.left_out["BBB"]
        assert market.names.tolist() == ["AAA", "IDXF"] and market.price.equals(whole.price.drop("BBB"))
        edit(folder / "quotes.csv", text, "BBB,49.9,50.1")
    (told,) = [str(one) for one in oh.risk.find_contradictions(market) if one.kind == "left out"]
    assert told.startswith("warning: BBB is left out of the market: quotes.csv row 2: ") and "nobody trades it" in told
    with pytest.raises(oh.DataError, match=r"BBB was left out of the market: quotes\.csv row 2: 4 fields"):
        edit(folder / "quotes.csv", "BBB,49.9,50.1", "BBB,49,9,50.1")
        oh.read_book({"BBB": 1.0}, read_market(folder))
    edit(folder / "history.csv", "2026-01-19,", "2026-01-19,,")
    with pytest.raises(oh.DataError, match=r"history\.csv row 81: 4 fields where the header has 3"):
        read_market(folder)


def test_quotes_of_no_instrument_are_told_by_their_own_rows_and_another_markets_are_refused(folder):
    with (folder / "quotes.csv").open("a") as file:
        file.write("X1,1,2\nAAAA,1,2\n")
    left = read_market(folder).left_out
    assert left["X1"].startswith("quotes.csv row 4: X1 is no known instrument")
    assert left["AAAA"].startswith("quotes.csv row 5: AAAA is no known instrument (did you mean AAA?)")
    (folder / "quotes.csv").write_text("instrument,bid,ask\nX1,1,2\nX2,1,2\n")
    with pytest.raises(oh.DataError, match=r"row 2: X1 is no known instrument; .* \(so are all others of quotes.csv\)"):
        read_market(folder)


def test_a_long_value_is_cut_short_in_its_message(folder):
    edit(folder / "quotes.csv", "99.9", "9" * 50 + "x" * 5000)
    assert len(read_market(folder).unread["AAA"]) < 250


# ---- models and calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [("solver = []", "solver is an empty list"), ('solver = "isolated:isolated:piqp"', "write isolated:NAME once"),
     ('solver = "' + "isolated:" * 400 + 'piqp"', "write isolated:NAME once"), ("capital = 1" + "0" * 400, "capital"),
     ("x = " + "[" * 5000, "nested too deep")],
    ids=["empty", "nested", "deeper", "huge", "deep"],
)  # fmt: skip
def test_a_model_that_no_solver_should_see_is_refused(line, message):
    with pytest.raises(oh.SpecError, match=message):
        parse_model(line + "\n" + MODEL)


def test_workers_beyond_the_machine_are_wrong_usage(folder, capsys):
    assert main(["run", "beta_hedge", "--data", str(folder), "--out", str(folder / "out"), "--workers", "1000000"]) == 2
    assert "more than this machine serves" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_covariance_without_labels_is_refused():
    with pytest.raises(oh.DataError, match="names no drivers"):
        oh.Risk.from_covariance(np.eye(2))


def test_the_problems_of_a_market_are_those_of_its_history(folder):
    market = read_market(folder)
    assert oh.find_problems(market).equals(oh.find_problems(market.history, market.drivers["kind"].to_dict()))
    with pytest.raises(oh.DataError, match="history is a list"):
        oh.find_problems([1.0])


def test_the_pair_without_a_level_is_named_and_not_the_quoted_coin():
    table = pd.DataFrame({"instrument": ["BTC", "EURC", "COIN"], "type": ["spot", "cash", "cash"],
                          "underlying": ["BTC", "", ""], "currency": ["USD", "EUR", "BTC"]})  # fmt: skip
    drivers = pd.DataFrame({"driver": ["BTC", "EURUSD"], "kind": ["price", "fx"], "underlying": ["BTC", "EUR"],
                            "currency": "USD"})  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["BTC"], "bid": [5e4], "ask": [5.001e4]})
    with pytest.raises(oh.DataError, match="driver EURUSD, the price of EUR in USD, has no level"):
        oh.Market(table, quotes, "EUR", as_of=AS_OF, drivers=drivers)


# ---- what is shown and kept ------------------------------------------------------------------------------------------

STEERING = ["\x1b[31m", "\x07", "\x9b2J", "\u202e", "\u2066", "\u200f", "\u061c", "\u2028", "\x00"]


@pytest.mark.parametrize("mark", STEERING, ids=ascii)
def test_marks_that_steer_a_terminal_never_reach_it(folder, capsys, mark):
    assert visible(f"a{mark}b").isprintable()
    name = "A" + mark.replace("\x00", "\x01")
    (folder / "book.csv").write_text(f'instrument,quantity\n"{name}",1000\n', encoding="utf-8")
    main(["run", "beta_hedge", "--data", str(folder), "--out", str(folder / "out")])
    main(["run", name, "--data", str(folder), "--out", str(folder / "out"), "--send", name])
    shown = capsys.readouterr()
    assert not [c for c in shown.out + shown.err if not (c.isprintable() or c == "\n")]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@A", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20A", " =1", "\u3000=1"], ids=ascii
)
def test_no_text_of_a_list_is_computed_by_a_spreadsheet(text):
    assert plain_text(text).startswith("'")
    assert plain_text("AAPL = x") == "AAPL = x"


def test_a_parquet_that_is_none_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "quotes.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(oh.DataError, match=r"quotes\.parquet is no parquet file"):
        read_raw(tmp_path / "quotes.parquet")
