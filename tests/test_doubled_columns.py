"""A column that stands twice is named, with its table, at every door: nobody can say which of the two holds."""

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.accounts.fills import FILLS, REPORTS, read_reports
from optihedge.cli import main
from optihedge.desk.doctor import doctor
from optihedge.market.book import read_book
from optihedge.market.drivers import DRIVERS
from optihedge.market.events import EVENTS
from optihedge.market.fee_tiers import TIERS
from optihedge.market.folder import FILES, read_market
from optihedge.market.funding import FUNDING
from optihedge.market.instruments import INSTRUMENTS
from optihedge.market.quotes import DEPTH, QUOTES
from optihedge.risk.smile_table import TABLE

HEADERS = {
    "instruments": ("instrument", *INSTRUMENTS), "quotes": ("instrument", *QUOTES), "drivers": ("driver", *DRIVERS),
    "history": ("time", "AAA", "IDX"), "exposures": ("instrument", "beta"),
    "loadings": ("instrument", "driver", "loading"), "depth": tuple(DEPTH), "events": tuple(EVENTS),
    "smile": tuple(TABLE), "fee_tiers": tuple(TIERS), "book": ("instrument", "quantity", "venue_amount", "book"),
}  # fmt: skip
EVERY = [(name, column) for name, header in HEADERS.items() for column in dict.fromkeys(header)]
DAYS = pd.date_range("2026-01-01", periods=120, tz="UTC")


@pytest.fixture(scope="module")
def files():
    """A small market's files and its book, as text."""
    rng = np.random.default_rng(0)
    levels = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (60, 2)), axis=0))
    days = pd.date_range(end="2026-01-19", periods=60, freq="B")
    rows = [f"{day:%Y-%m-%d},{a},{b}\n" for day, (a, b) in zip(days, levels, strict=True)]
    ends = [f"{price * 0.999},{price * 1.001}" for price in levels[-1]]
    return {
        "market.toml": 'base_currency = "USD"\nas_of = "2026-01-20T21:00:00Z"\n',
        "instruments.csv": "instrument,type,underlying,multiplier,expiry,hedge\nAAA,equity,AAA,1,,false\n"
        "IDXF,future,IDX,10,2026-03-20T20:00:00Z,true\n",
        "quotes.csv": f"instrument,bid,ask\nAAA,{ends[0]}\nIDXF,{ends[1]}\n",
        "drivers.csv": "driver,market\nAAA,false\nIDX,true\n",
        "history.csv": "time,AAA,IDX\n" + "".join(rows),
        "book.csv": "instrument,quantity\nAAA,1000\n",
    }


def written(folder, files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def doubled(folder, name, column):
    """The table's file with the column once more at its end; a file that was not there has the column twice alone."""
    path = folder / f"{name}.csv"
    lines = path.read_text().splitlines() if path.exists() else [column, ""]
    more = 1 if column in lines[0].split(",") else 2
    path.write_text("\n".join(line + f",{column if not at else ''}" * more for at, line in enumerate(lines)) + "\n")


def said(name, column):
    return rf"{name}(\.csv)?: column {column} appears twice"


def test_the_law_covers_every_table_of_a_folder():
    assert {*FILES, "book"} == {*HEADERS}


@pytest.mark.parametrize(("name", "column"), EVERY, ids=" ".join)
def test_a_doubled_column_of_any_file_is_named_by_the_market_and_by_the_doctor(tmp_path, files, name, column):
    folder = written(tmp_path / "night", files)
    doubled(folder, name, column)
    with pytest.raises(oh.DataError, match=said(name, column)):
        read_book(folder / "book.csv", read_market(folder))
    found = doctor(folder).findings
    assert ((found["file"] == f"{name}.csv") & found["problem"].str.contains(f"column {column} appears twice")).any()


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_doubled_key_column_is_named_on_the_command_line(tmp_path, files, capsys, name, verb):
    folder = written(tmp_path / "night", files)
    doubled(folder, name, HEADERS[name][0])
    out = (
        ["--out", str(tmp_path / "out"), "--as-of", "2026-01-20T21:00:00Z"]
        if verb == "run"
        else ["--book", str(folder / "book.csv")]
    )
    assert main([verb, "beta_hedge", "--data", str(folder), *out]) not in (0, 6)
    shown = capsys.readouterr()
    assert f"{name}.csv: column {HEADERS[name][0]} appears twice" in " ".join((shown.out + shown.err).split())


@pytest.mark.parametrize("name", [*FILES[:-1], "quotes later", "levels later"])
def test_a_frame_with_a_doubled_column_is_refused_by_name(tmp_path, files, name):
    market = read_market(written(tmp_path / "night", files))
    tables = {"instruments": market.instruments.reset_index(), "quotes": market.quotes.reset_index()}
    fields = {"exposures": "own_exposures", "loadings": "own_loadings"}
    column = HEADERS.get(name, HEADERS["history"] if name.startswith("levels") else HEADERS["quotes"])[0]
    twice = pd.DataFrame([["x", "x"]], columns=[column, column])
    with pytest.raises(oh.DataError, match=rf"column {column} appears twice"):
        if name == "quotes later":
            market.updated(twice, as_of=market.as_of)
        elif name == "levels later":
            market.updated(market.quotes, twice)
        else:
            oh.Market(**{**tables, fields.get(name, name): twice}, base_currency="USD")


@pytest.mark.parametrize("broken", ["instrument,quantity,quantity\nAAA,1,1\n", "instrument,quantity\nAAA,ten\n", '"'])
def test_a_broken_book_of_the_night_before_is_a_finding(tmp_path, files, broken):
    earlier = files["market.toml"].replace("01-20", "01-19")
    before = written(tmp_path / "before", files | {"book.csv": broken, "market.toml": earlier})
    found = doctor(written(tmp_path / "night", files), before=before).findings
    told = found[found["file"] == "the night before"]
    assert len(told) == 1 and "book.csv" in told["problem"].iloc[0]


def test_a_broken_file_of_the_night_before_keeps_its_name(tmp_path, files):
    before = written(tmp_path / "before", files)
    doubled(before, "quotes", "bid")
    found = doctor(written(tmp_path / "night", files), before=before).findings
    told = found[found["file"] == "the night before"]
    assert told["problem"].tolist() == ["quotes.csv: column bid appears twice"]


def walks(columns):
    rng = np.random.default_rng(0)
    levels = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (120, len(columns))), axis=0))
    return pd.DataFrame(levels, DAYS, columns)


def chain(twice):
    columns = {"expiry": ["x"] * 4, "strike": [90.0, 95.0, 100.0, 105.0], "years": 0.5, "right": "C", "forward": 100.0,
               "discount": 1.0, "bid": [11.0, 7.0, 4.0, 2.0], "ask": [11.2, 7.2, 4.2, 2.2]}  # fmt: skip
    table = pd.DataFrame(columns)
    return pd.concat([table, table[[twice]]], axis=1)


FRAMES = {
    "lead_lag": lambda: oh.stats.lead_lag(walks(list("ABCA"))),
    "cointegration": lambda: oh.stats.cointegration(walks(list("ABA")), "B"),
    "cointegrated_pairs": lambda: oh.stats.cointegrated_pairs(walks(list("ABA"))),
    "correlation_breakdown": lambda: oh.stats.correlation_breakdown(walks(list("ABA")), "B"),
    "leptokurtosis": lambda: oh.stats.leptokurtosis(walks(list("ABA"))),
    "basis_drivers": lambda: oh.stats.basis_drivers(walks(["S"])["S"], walks(list("AA")), {"A": "30d"}),
    "find_problems": lambda: oh.risk.find_problems(walks(list("ABA"))),
    "clean": lambda: oh.risk.clean(walks(list("ABA"))),
    "betas": lambda: oh.risk.EwmaRisk(30).fit(walks(list("ABA"))),
    "observed factors": lambda: oh.risk.ObservedFactorRisk(walks(list("AA"))).fit(walks(list("XY"))),
    "fundamental": lambda: oh.risk.FundamentalRisk(pd.DataFrame(1.0, list("XY"), list("AA"))).fit(walks(list("XY"))),
    "draw_shocks": lambda: oh.risk.draw_shocks(walks(["spot", "vol", "term", "skew", "spot"]), 4),
    "parity_forwards": lambda: oh.options.parity_forwards(chain("strike"), "expiry"),
    "fit_surface": lambda: oh.options.fit_surface(chain("expiry")),
    "fills": lambda: oh.policy.read_fills(pd.DataFrame([], columns=[*FILLS, "price"])),
    "reports": lambda: read_reports(pd.DataFrame([], columns=[*REPORTS, "order_id"])),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_of_any_other_door_with_a_doubled_column_is_refused(name):
    with pytest.raises(oh.DataError, match="appears twice"):
        FRAMES[name]()


@pytest.mark.parametrize("column", FUNDING)
def test_doubled_rows_of_funding_are_refused(tmp_path, files, column):
    market = read_market(written(tmp_path / "night", files))
    with pytest.raises(oh.DataError, match=f"funding: column {column} appears twice"):
        oh.explain_pnl(market, market, {"AAA": 1.0}, funding=pd.DataFrame([], columns=[*FUNDING, column]))


@pytest.mark.parametrize(
    ("text", "match"),
    [(",A,A\nA,1,0\nA,0,1\n", "column A appears twice"), ('"', "quotation marks"), ("", "is empty"),
     (",A,B\nA,1,0,5\nB,0,1\n", r"row 2: 4 fields where the header has 3")],
)  # fmt: skip
def test_a_broken_covariance_is_refused_by_name(tmp_path, text, match):
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(oh.DataError, match=match):
        oh.risk.GivenRisk(tmp_path / "own.csv").fit(walks(list("AB")))


def test_a_covariance_that_is_no_file_is_refused(tmp_path):
    for path, match in ((tmp_path, "is a folder"), (tmp_path / "none.csv", "is not there")):
        with pytest.raises(oh.DataError, match=match):
            oh.risk.GivenRisk(path).fit(walks(list("AB")))
