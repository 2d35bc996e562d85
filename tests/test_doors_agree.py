"""The same request by command line, from Python and in a walk gives the same list, byte for byte."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from recorded_desks import RECORDED

import optihedge as oh
from optihedge.backtest.simulate import walk
from optihedge.cli import main
from optihedge.hedge.modelfile import model_names
from optihedge.hedge.report import cost_words

BOOK = "desk"


def write_folder(market: oh.Market, book: pd.Series, folder: Path) -> Path:
    """The market as its files, and the book."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"instruments": market.instruments, "quotes": market.quotes, "drivers": market.drivers}
    for name, table in tables.items():
        table.rename_axis(name[:-1] if name == "drivers" else "instrument").to_csv(folder / f"{name}.csv")
    if len(market.history):
        form = "%Y-%m-%d" if market.history.attrs.get("dates") else "%Y-%m-%dT%H:%M:%S.%fZ"
        market.history.rename_axis("time").to_csv(folder / "history.csv", date_format=form)
    stamp = market.as_of.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    (folder / "market.toml").write_text(
        f'base_currency = "{market.base_currency}"\nas_of = "{stamp}"\non_missing = "{market.on_missing}"\n'
        f"max_crossed = {market.max_crossed}\n"
    )
    book.rename_axis("instrument").rename("quantity").to_csv(folder / "book.csv")
    return folder


def by_python(folder: Path, name: str) -> oh.TradeList | str:
    market = oh.read_market(folder)
    try:
        hedge = oh.load_model(name).hedge(market, oh.read_book(folder / "book.csv", market))
        return oh.trade_list(hedge, book=BOOK)
    except oh.OptihedgeError as error:
        return str(error)


def by_command_line(folder: Path, name: str, out: Path, capsys: pytest.CaptureFixture[str]) -> str | None:
    as_of = oh.read_market(folder).as_of.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    shown = folder.with_name(f"{folder.name}-{name}") / f"{BOOK}.csv"
    shown.parent.mkdir(exist_ok=True)
    shown.write_bytes((folder / "book.csv").read_bytes())
    main(["run", name, "--data", str(folder), "--book", str(shown), "--out", str(out), "--as-of", as_of])
    capsys.readouterr()
    lists = list(out.rglob("trades.csv"))
    assert len(lists) <= 1
    return lists[0].read_bytes().decode() if lists else None


def by_walk(folder: Path, name: str) -> str | None:
    market = oh.read_market(folder)
    book = oh.read_book(folder / "book.csv", market)
    (_, first), *_ = walk(oh.load_model(name), [market], book, name=BOOK)
    listed = first.trades
    assert listed is None or type(listed) is oh.TradeList
    return None if listed is None or listed.held else listed.text()


def costs_agree(out: Path, listed: oh.TradeList) -> None:
    """Every place that tells what the list costs tells the sum of its lines, to the cent, and holding beside it."""
    (result,) = out.rglob("result.json")
    told, (row,) = json.loads(result.read_text()), json.loads(next(out.rglob("summary.json")).read_text())
    table = pd.read_csv(result.with_name("costs.csv"), index_col=0)["cost"]
    trading = pd.read_csv(result.with_name("trades.csv"))["cost"].sum()
    cent = 0.005 + 1e-7 * abs(trading)  # figures of a summary have eight digits
    for place in (told["costs"]["trading"], table["trading"], listed.costs["trading"], listed.hedge.costs["trading"]):
        assert place == pytest.approx(trading, abs=cent)
    whole = trading + told["costs"]["holding"]
    places = [told["cost"], told["costs"]["total"], table["total"], row["cost"], listed.costs["total"]]
    if result.with_name("baselines.csv").exists():
        places.append(pd.read_csv(result.with_name("baselines.csv"), index_col=0).loc["hedge", "cost"])
    for place in places:
        assert place == pytest.approx(whole, abs=cent)
    assert cost_words(listed.costs) in str(listed)


def agree(folder: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether the three doors give one list; the answer is whether there was one."""
    listed = by_python(folder, name)
    ours = None if isinstance(listed, str) or listed.held else listed.text()
    out = tmp_path / f"out-{name}"
    assert by_command_line(folder, name, out, capsys) == ours
    if not isinstance(listed, str) and not listed.held:
        costs_agree(out, listed)
    if not isinstance(listed, str):
        assert by_walk(folder, name) == ours
    return ours is not None


@pytest.mark.parametrize("name", model_names())
def test_three_doors_give_one_list_of_the_example(
    name: str, example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agree(example_folder, name, tmp_path, capsys)


@pytest.mark.parametrize("place", ["coins", "alts"])
def test_three_doors_give_one_list_on_a_recorded_market(
    place: str, recorded: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, make, book_of = RECORDED[place]
    market = make(recorded(data))
    assert agree(write_folder(market, book_of(market), tmp_path / "market"), "delta_neutral", tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("place", RECORDED)
def test_three_doors_give_one_list_on_recorded_markets(
    place: str, recorded: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, make, book_of = RECORDED[place]
    market = make(recorded(data))
    folder = write_folder(market, book_of(market), tmp_path / "market")
    made = {name: agree(folder, name, tmp_path, capsys) for name in model_names()}
    print(place, made)
    assert any(made.values())
