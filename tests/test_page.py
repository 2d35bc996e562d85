"""The page of a list and the index of a run: a verdict first, every text escaped, nothing fetched, numbers as told."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.batch.job import Outcome, plan
from optihedge.batch.record import FIGURES
from optihedge.batch.summary import write_index, write_summary
from optihedge.cli import main
from optihedge.desk.doctor import doctor
from optihedge.display.page import section
from optihedge.display.svg import bands_svg, heat_svg, lines_svg
from optihedge.hedge.explain import shares
from optihedge.hedge.pictures import vega_ladder
from optihedge.risk.contradictions import find_contradictions
from optihedge.trades.page import _tightest, limit_used, lines_table, page_of, totals
from optihedge.trades.panels import panels
from optihedge.trades.scenario_panels import scenario_tables, spot_vol_pictures, tails

HOSTILE = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Tags, their attributes, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def listed(example_folder: Path) -> oh.TradeList:
    market = oh.read_market(example_folder)
    model = oh.HedgeModel(name="plain", risk=oh.EwmaRisk(63), betas=oh.Beta(),
                          objective=(oh.Variance(1e-5), oh.SpreadCost(), oh.FeeCost()),
                          constraints=(oh.Neutral("beta:SPX", band=1e5), oh.Neutral("vega", band=5e3)))  # fmt: skip
    return oh.trade_list(model.hedge(market, oh.read_book(example_folder / "book.csv")), book="main")


@pytest.fixture(scope="module")
def held(listed: oh.TradeList) -> oh.TradeList:
    return oh.trade_list(replace(listed.hedge, model=replace(listed.hedge.model, checks={"total_notional": 1.0})))


def test_the_verdict_comes_first_and_says_why(listed: oh.TradeList, held: oh.TradeList) -> None:
    for made, word in ((listed, "SEND"), (held, "HELD")):
        page = page_of(made)
        assert page.index(f"<strong>{word}</strong>") < page.index("Trade list")
    assert "above total_notional" in page_of(held)
    assert 'id="csv-text"' not in page_of(held), "what is held cannot be saved as a list"


def test_a_page_needs_nothing_else(listed: oh.TradeList, tmp_path: Path) -> None:
    listed.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for tag, attributes in Reader(page).tags:
        for name in ("src", "href", "action", "data"):
            assert not str(attributes.get(name) or "").startswith(("http", "//")), (tag, attributes)
        assert tag not in ("link", "img", "iframe", "object")
    assert "url(" not in page and "@import" not in page


def test_hostile_names_are_text(example_folder: Path) -> None:
    market = oh.read_market(example_folder)
    table = market.instruments.rename(index={"QUAL": HOSTILE}).assign(venue='"><img src=x onerror=alert(1)>')
    market = replace(market, instruments=table, quotes=market.quotes.rename(index={"QUAL": HOSTILE}))
    model = oh.HedgeModel(name=HOSTILE, risk=oh.EwmaRisk(63), objective=(oh.Variance(1e-5), oh.SpreadCost()))
    made = oh.trade_list(model.hedge(market, oh.read_book(example_folder / "book.csv")), book=HOSTILE)
    page = page_of(made)
    assert HOSTILE not in page and "<img" not in page and "&lt;script&gt;alert(1)" in page
    assert sum(tag == "script" for tag, _ in Reader(page).tags) == 1


def test_totals_are_the_lines_sums_and_positions_add_up(listed: oh.TradeList) -> None:
    lines = lines_table(listed)
    assert lines["cost"].sum() == pytest.approx(listed.costs["trading"], abs=0.005)
    assert np.allclose(lines["before"] + lines["quantity"], lines["after"])
    for total in totals(lines).values():
        assert total["cost"].sum() == pytest.approx(lines["cost"].sum())
        assert total["lines"].sum() == len(listed)


def test_tails_are_of_the_recorded_moves(listed: oh.TradeList) -> None:
    table = tails(listed.hedge)
    market, after = listed.hedge.market, listed.hedge.after
    losses = np.sort(-(oh.scenario_pnl(market, oh.replay(market), after.index) @ after).to_numpy())[::-1]
    worst = round(0.05 * len(losses))
    assert table.loc["value at risk 95%, recorded moves", "after"] == pytest.approx(losses[worst - 1])
    assert table.loc["expected shortfall 95%, recorded moves", "after"] == pytest.approx(losses[:worst].mean())
    deep = [table.loc[f"{what} 99%, recorded moves"] for what in ("value at risk", "expected shortfall")]
    assert (deep[1] >= deep[0]).all()


def test_the_slowest_lines_to_close_are_told_with_the_book(listed: oh.TradeList) -> None:
    hedge = listed.hedge
    (told,) = (one["frames"][0] for one in panels(listed, [], []) if one["title"] == "Liquidity")
    volume = hedge.market.quotes["volume"][hedge.after.index]
    days = (hedge.after.abs() / (0.1 * volume)).dropna().sort_values(ascending=False)
    assert told["days"].iloc[:-1].to_numpy() == pytest.approx(days.iloc[: len(told) - 1].to_numpy())
    assert told.index[-1] == "book" and told.loc["book", "days"] == pytest.approx(days.iloc[0])


def test_factors_are_named_by_what_loads_on_them(listed: oh.TradeList) -> None:
    """By drivers, and by sectors where the instruments have them; what is no factor keeps its name."""
    hedge = listed.hedge
    by_driver = shares(hedge).factor
    assert (
        not [name for name in by_driver.index if re.fullmatch(r"factor \d+", str(name))]
        and "specific" in by_driver.index
    )
    risk = oh.Risk(np.array([[0.01, 0.02, -0.01, 0.0], [0.0, 0.0, 0.0, 0.3]]), np.zeros(4), pd.Index(list("ABCD")))
    prices = pd.DataFrame(10.0 + np.arange(20).reshape(5, 4) % 7, pd.date_range("2026-01-01", periods=5, tz="UTC"))
    market = oh.Market.from_prices(prices.set_axis(list("ABCD"), axis=1), base_currency="USD")
    sectors = market.instruments.assign(sector=["energy", "energy", "utilities", ""])
    model = oh.HedgeModel(risk=risk, objective=(oh.Variance(1e-3),))
    for table, name in ((market.instruments, "B, A against C"), (sectors, "energy against utilities")):
        found = shares(model.hedge(replace(market, instruments=table), {"A": 1.0, "D": 2.0})).factor
        assert list(found.index[:2]) == [name, "D"]


def test_the_payoffs_are_of_the_book_and_of_book_and_hedge(listed: oh.TradeList) -> None:
    """The line of a picture ends where revaluation ends."""
    hedge = listed.hedge
    now = next(picture for picture in spot_vol_pictures(hedge) if "a move of spot, now" in picture)
    pnl = oh.scenario_pnl(hedge.market, oh.shock_grid({"spot": np.linspace(-0.25, 0.25, 41)}), hedge.after.index)
    for kind, held in (("before", hedge.before), ("after", hedge.after)):
        path = re.search(rf"<polyline points='([^']*)' class='line {kind}'", now)
        assert path is not None
        heights = np.array([float(point.split(",")[1]) for point in path[1].split()])
        assert abs(np.corrcoef(heights, -(pnl @ held))[0, 1]) > 1 - 1e-4


def test_the_vega_ladder_sums_to_the_books_vega(listed: oh.TradeList) -> None:
    hedge = listed.hedge
    for when, table in vega_ladder(hedge).items():
        assert table.to_numpy().sum() == pytest.approx(hedge.exposures.loc["vega", when])
        options = hedge.market.instruments["expiry"].dt.strftime("%Y-%m-%d")
        assert set(table.index) <= set(options.dropna())


def test_pictures_say_what_they_show_and_hold_no_infinity(listed: oh.TradeList) -> None:
    bands = pd.DataFrame(
        {"before": [5.0, -3.0], "after": [1.0, 0.0], "lower": [-np.inf, -1.0], "upper": [2.0, 1.0]}, index=["a", "<b>"]
    )
    grid = pd.DataFrame([[1.0, -2.0], [0.0, 3.0]], index=["x", "y"], columns=["u", "v"])
    line = pd.DataFrame({"book": [1.0, -1.0, 2.0], "both": [0.0, 0.1, 0.2]}, index=[-0.1, 0.0, 0.1])
    for picture in (bands_svg(bands, "t"), heat_svg(grid, "t"), lines_svg(line, "t", "USD")):
        assert picture.startswith("<svg") and picture.endswith("</svg>") and "aria-label='t'" in picture
        assert "inf" not in picture and "nan" not in picture and "<b>" not in picture
    assert page_of(listed).count("<svg") == page_of(listed).count("</svg>") >= 2


def test_a_runs_index_links_the_pages_that_are_there(example_folder: Path, tmp_path: Path, capsys) -> None:
    main(["run", "beta_hedge", "quantitative", "--send", "beta_hedge", "--data", str(example_folder), "--out",
          str(tmp_path), "--as-of", "2016-06-30T20:00:00Z"])  # fmt: skip
    capsys.readouterr()
    (index,) = tmp_path.rglob("index.html")
    links = [a["href"] for tag, a in Reader(index.read_text(encoding="utf-8")).tags if tag == "a"]
    assert len(links) == 2 and all((index.parent / link).is_file() for link in links)


def test_stresses_and_heat_map_are_those_of_the_model_s_own_sources():
    from test_smile_risk import smile

    from optihedge.risk.sources import Grid, Stresses, scenario_table

    axes = {"spot": (-0.3, 0.0, 0.07), "vol": (-0.03, 0.13)}
    book = {"U-C100-30": -50.0, "U-P95-60": 30.0}
    shipped = oh.load_model("stress_limited")
    grid = oh.WorstCase(pnl=Grid(axes=axes), share=5.0, name="grid")
    listed = oh.trade_list(replace(shipped, constraints=(*shipped.constraints, grid)).hedge(smile(), book))
    told = " ".join(Reader(page_of(listed)).text)
    for word in ("spot -30%", "spot +7%", "vol -3", "vol +13", "worst of grid", "basis blown"):
        assert word in told, word
    assert "spot -20%" not in told
    hedge = listed.hedge
    ours = scenario_table(hedge.market, Stresses(), hedge.before, hedge.trades)
    own = next(frame for frame in scenario_tables(hedge) if "worst case" in str(frame.index.name))
    assert own["after"].iloc[0] == pytest.approx(ours["both"].min())


def test_the_doctors_findings_are_the_panel_of_the_page(listed: oh.TradeList) -> None:
    """The same rows, escaped, each with its remedy; a night without any says so, and nobody asked says nothing."""
    row = {"file": "quotes.csv", "row": 7, "subject": HOSTILE, "problem": "ask is 3", "remedy": "renew the quote"}
    page = page_of(listed, quality=pd.DataFrame([row]))
    said = "".join(Reader(page).text)
    assert all(str(value) in said for value in row.values()) and HOSTILE not in page
    assert "The doctor found nothing." in page_of(listed, quality=pd.DataFrame(columns=list(row)))


def test_a_page_from_python_has_what_its_market_contradicts(listed: oh.TradeList) -> None:
    market = listed.hedge.market
    said = "".join(Reader(page_of(listed)).text).split("Data quality")[-1]
    assert all(finding.detail in said and finding.remedy in said for finding in find_contradictions(market))
    sides = ["bid", "ask", "mark"]
    doubled = market.quotes.copy()
    doubled.loc["QUAL", sides] = 2.0 * doubled.loc["QUAL", sides].astype(float)
    lost = replace(market, quotes=doubled)
    made = oh.trade_list(listed.hedge.model.hedge(lost, listed.hedge.before))
    said = "".join(Reader(page_of(made)).text)
    assert "QUAL" in said.split("Data quality")[-1] and "of the market's own checks" in said


def test_a_run_shows_what_the_doctor_says_of_its_night(example_folder: Path, tmp_path: Path) -> None:
    data = shutil.copytree(example_folder, tmp_path / "data")
    rows = (data / "history.csv").read_text().splitlines()
    column = rows[0].split(",").index("KO")
    for at in range(len(rows) - 40, len(rows)):
        cells = rows[at].split(",")
        cells[column] = f"{float(cells[column]) / 2:.4f}"
        rows[at] = ",".join(cells)
    (data / "history.csv").write_text("\n".join(rows) + "\n")
    finding = doctor(data).findings.set_index("subject").loc["KO"]
    assert "split 2:1" in finding["problem"] and finding["row"] == len(rows) - 39
    out = tmp_path / "out"
    main(["run", "beta_hedge", "--data", str(data), "--out", str(out), "--as-of", "2016-06-30T20:00:00Z"])
    for name in ("index.html", "book/beta_hedge/report.html"):
        said = "".join(Reader((out / "2016-06-30T200000Z" / name).read_text()).text)
        assert finding["problem"] in said and finding["remedy"] in said


def test_the_index_has_every_reason_whole_and_folds_what_holds_nothing_back(tmp_path: Path) -> None:
    why = " ".join(f"reason{place}" for place in range(60))
    rows = [{"book": status, "model": "m", "status": status, "note": why} for status in ("failed", "held", "idle")]
    write_index(tmp_path, pd.DataFrame(rows), figures=())
    page = (tmp_path / "index.html").read_text()
    assert page.count(why) == 3 and page.count("<details><summary>reason0") == 1


def test_the_index_says_what_changed_since_the_instant_before(tmp_path: Path) -> None:
    """Of the same book and model; what is new has no change, and the first instant no such columns."""
    for place, (instant, cost) in enumerate((("2026-01-20T160000Z", 10.0), ("2026-01-21T160000Z", 12.5))):
        figures = {**dict.fromkeys(FIGURES, 1.0), "cost": cost, "volatility_after": 5.0 - place}
        outcomes = [Outcome(book, "m", "done", list_name="trades.csv", figures=figures) for book in "ab"[: place + 1]]
        (tmp_path / instant).mkdir()
        write_index(tmp_path / instant, write_summary(tmp_path / instant, outcomes))
    first, second = ((tmp_path / f"2026-01-2{day}T160000Z" / "index.html").read_text() for day in (0, 1))
    assert "since" not in first and "cost since 2026-01-20" in second
    rows = re.findall(r"<tr><th scope=\"row\">(\w)</th>(.*?)</tr>", second, flags=re.DOTALL)
    last = {book: re.findall(r"data-v=\"([^\"]*)\"", cells)[-2:] for book, cells in rows}
    assert last == {"a": ["2.5", "-1"], "b": ["nan", "nan"]}


def test_pages_are_of_twenty_books_or_of_all_that_are_asked_for() -> None:
    model = oh.HedgeModel(objective=(oh.SpreadCost(),))
    for count, reports, paged in ((20, False, True), (21, False, False), (21, True, True)):
        books = {str(number): pd.Series({"A": 1.0}) for number in range(count)}
        assert {job.page for job in plan(books, {"m": model}, reports=reports)} == {paged}


def test_the_share_of_a_limit_that_is_used_is_of_its_half_width_or_of_its_size() -> None:
    rows = {"half": (5.0, -10.0, 10.0), "most": (6.0, -np.inf, 8.0), "target": (0.0, 0.0, 0.0)}
    limits = pd.DataFrame.from_dict(rows, orient="index", columns=["after", "lower", "upper"])
    limits = limits.assign(kind="hard", violation=0.0)
    assert limit_used(limits) == pytest.approx(0.75) and limit_used(limits.loc[["half"]]) == pytest.approx(0.5)
    assert np.isnan(limit_used(limits.loc[["target"]]))


def test_no_text_of_a_large_book_is_in_powers_of_ten(example_folder: Path) -> None:
    """What a desk reads of a book of billions has its digits: list, hedge, page and reasons."""
    market, book = oh.read_market(example_folder), oh.read_book(example_folder / "book.csv")
    model = oh.HedgeModel(risk=oh.EwmaRisk(63), betas=oh.Beta(),
                          objective=(oh.Variance(1e-9), oh.SpreadCost(), oh.FeeCost()),
                          constraints=(oh.Neutral("beta:SPX", band=1e7),), checks={"total_notional": 1.0})  # fmt: skip
    made = oh.trade_list(model.hedge(market, 1234.0 * book))
    assert made.held
    page = "".join(Reader(page_of(made)).text).split("Proof and provenance")[0]
    for told in (page, str(made), str(made.hedge).split("aversion")[0], *made.reasons, *made.notes):
        assert not re.findall(r"\S*\de\+\d\d", told)


def test_a_page_has_its_parts_in_the_order_in_which_a_desk_asks(listed: oh.TradeList) -> None:
    """Verdict, figures, exposures, trades; what is left and could happen; why; the past; data; the proof."""
    past = [section("Since the last run", sentences=["equity is 1"])]
    page = page_of(listed, past=past)
    parts = ["<strong>SEND", 'aria-label="key figures"', "Exposures against their bands", "Trade list", "by side",
             "by venue", "by reason", "Costs", "Vega ladder", "Greeks by underlying", "Spot and vol", "Stresses",
             "Tails", "Surface: rich and cheap", "Where risk is left", "Why, and what each limit costs",
             "Against simple hedges", "What was not traded, and notes", "Since the last run", "Data quality", "Rolls",
             "Proof and provenance"]  # fmt: skip
    body = re.sub(r"<nav.*?</nav>", "", page, flags=re.DOTALL)
    places = [body.find(part) for part in parts]
    assert -1 not in places and places == sorted(places)
    for said in ("volatility a day", "cost, all of it", "lines", "tightest limit", "worst stress", "data problems"):
        assert f"<span>{said}</span>" in body
    for column in ("side", "before", "after", "limit price", "% of volume", "cost", "venue", "reason"):
        assert f'<button type="button">{column}</button>' in body
    assert 'id="filter-list"' in body and 'id="csv-list"' in body


def test_the_tightest_limit_is_one_that_a_hedge_moves_where_such_a_one_is_missed() -> None:
    """A name without a contract of its own misses its band by more, whatever is traded: it does not hide the other."""
    limits = pd.DataFrame({"after": [101.0, 7.0], "lower": -1.0, "upper": [1.0, 2.0], "violation": [100.0, 5.0],
                           "kind": ["hard, no hedge", "hard"]}, index=["delta[A]", "delta[B]"])  # fmt: skip
    assert _tightest(limits) == ("delta[B]", "missed by 5")
    assert _tightest(limits.assign(kind="hard, no hedge")) == ("delta[A]", "missed by 100; no hedge moves it")
