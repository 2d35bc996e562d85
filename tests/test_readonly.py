"""What a frozen value hands out cannot be changed: by no way that pandas or NumPy has, and copies are free."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import optihedge as oh
from optihedge.readonly import kept, read_only

GIVEN = pd.DataFrame(
    {"a": [1.0, np.nan, 3.0], "b": ["x", "y", "z"], "t": pd.to_datetime(["2020", "2021", "2022"], utc=True)},
    index=list("pqr"),
)
WRITES: dict[str, Callable[[pd.DataFrame], object]] = {
    "column": lambda f: f.__setitem__("a", 1.0),
    "new column": lambda f: f.__setitem__("new", 1.0),
    "attribute": lambda f: setattr(f, "a", 1.0),
    "index": lambda f: setattr(f, "index", list("xyz")),
    "columns": lambda f: setattr(f, "columns", list("xyz")),
    "delete": lambda f: f.__delitem__("a"),
    "pop": lambda f: f.pop("a"),
    "insert": lambda f: f.insert(0, "z", 1.0),
    "isetitem": lambda f: f.isetitem(0, 1.0),
    "update": lambda f: f.update(GIVEN),
    "loc": lambda f: f.loc.__setitem__(("p", "a"), 5.0),
    "new row": lambda f: f.loc.__setitem__("new", [1.0, "x", None]),
    "mask": lambda f: f.loc.__setitem__((f["a"] > 1, "a"), 0.0),
    "iloc": lambda f: f.iloc.__setitem__((0, 0), 5.0),
    "at": lambda f: f.at.__setitem__(("p", "a"), 5.0),
    "iat": lambda f: f.iat.__setitem__((0, 0), 5.0),
    "add": lambda f: f.__iadd__(f),
    "fillna": lambda f: f.fillna(0.0, inplace=True),
    "ffill": lambda f: f.ffill(inplace=True),
    "replace": lambda f: f.replace(1.0, 9.0, inplace=True),
    "where": lambda f: f.mask(f.isna(), 0.0, inplace=True),
    "drop": lambda f: f._update_inplace(f.drop(columns="a")),
    "array": lambda f: f["a"].array.__setitem__(0, 9.0),
    "text": lambda f: f["b"].array.__setitem__(0, "q"),
    "instant": lambda f: f["t"].array.__setitem__(0, f["t"].iloc[1]),
    "numpy": lambda f: f["a"].to_numpy().__setitem__(0, 9.0),
    "values": lambda f: f[["a"]].values.__setitem__((0, 0), 9.0),
}


@pytest.mark.parametrize("way", WRITES)
def test_no_way_to_write_changes_a_read_only_table(way: str) -> None:
    table, before = read_only(GIVEN), GIVEN.copy()
    with pytest.raises((oh.DataError, ValueError), match="read-only"):
        WRITES[way](table)
    pd.testing.assert_frame_equal(pd.DataFrame(table), before)
    pd.testing.assert_frame_equal(GIVEN, before)


def test_a_read_only_table_is_no_view_of_the_one_given_and_its_copies_are_free() -> None:
    given = GIVEN.copy()
    given.attrs["unit"] = {"a": "USD"}
    table = read_only(given)
    given.loc["p", "a"] = 7.0
    assert table.loc["p", "a"] == 1.0 and table.attrs == {"unit": {"a": "USD"}} and read_only(table) is table
    free = [table.copy(), copy.copy(table), copy.deepcopy(table), table[["a"]], table.iloc[:2], table.assign(z=1.0)]
    for mine in free:
        assert type(mine) is pd.DataFrame
        mine["a"] = 0.0
        mine.loc["p", "a"] = 1e9
    assert type(table["a"]) is pd.Series and table["a"].tolist()[::2] == [1.0, 3.0]
    again = pickle.loads(pickle.dumps(table))
    with pytest.raises(oh.DataError, match="read-only"):
        again["a"] = 1.0


def test_a_series_is_read_only_too() -> None:
    series = read_only(pd.Series([1.0, 2.0], index=["a", "b"], name="n"))
    for write in (lambda s: s.__setitem__("a", 5.0), lambda s: s.iloc.__setitem__(0, 5.0), lambda s: s.__iadd__(1.0),
                  lambda s: setattr(s, "name", "m"), lambda s: s.to_numpy().__setitem__(0, 5.0),
                  lambda s: s.array.__setitem__(0, 5.0)):  # fmt: skip
        with pytest.raises((oh.DataError, ValueError), match="read-only"):
            write(series)
    assert series.tolist() == [1.0, 2.0] and series.name == "n" and (series + 1).tolist() == [2.0, 3.0]


def writable(value: object, path: str = "") -> list[str]:
    """Every table, array and sparse matrix within a value that could be changed."""
    if isinstance(value, (pd.DataFrame, pd.Series)):
        return [] if type(value) not in (pd.DataFrame, pd.Series) else [path]
    if isinstance(value, np.ndarray):
        return [path] if value.flags.writeable else []
    if sp.issparse(value):
        return [path] if value.data.flags.writeable or value.indices.flags.writeable else []
    if isinstance(value, tuple):
        return [found for i, part in enumerate(value) for found in writable(part, f"{path}[{i}]")]
    if hasattr(value, "__dataclass_fields__"):
        return [found for f in fields(value) for found in writable(getattr(value, f.name, None), f"{path}.{f.name}")]
    return []


def everything(value: object) -> dict[str, object]:
    """Every public attribute that does not need an argument, by name."""
    names = [name for name in dir(type(value)) if name[0] != "_"] + [n for n in vars(value) if n[0] != "_"]
    return {name: getattr(value, name) for name in sorted(set(names)) if not callable(getattr(value, name))}


@pytest.fixture(scope="module")
def hedge(example_folder: Path) -> oh.Hedge:
    market = oh.read_market(example_folder)
    return oh.load_model("beta_hedge").hedge(market, oh.read_book(example_folder / "book.csv"))


def test_no_block_of_a_market_can_be_changed(hedge: oh.Hedge, example_folder: Path) -> None:
    """Whatever it hands out: what the door checked, what it worked out of it, and betas added later."""
    for market in (oh.read_market(example_folder), hedge.market):
        found = everything(market)
        assert {"instruments", "quotes", "history", "trade_cost", "exposures", "loadings", "contracts"} <= set(found)
        made_anew = {"price", "value", "price_delta"}  # a new one at each call
        assert [path for name in found.keys() - made_anew for path in writable(found[name], name)] == []


def test_a_change_that_is_refused_leaves_costs_hash_and_hedge_as_they_were(example_folder: Path) -> None:
    market = oh.read_market(example_folder)
    told, known = market.trade_cost.loc["ES-SEP16"].tolist(), market.hash
    with pytest.raises(oh.DataError, match=r"read-only; change a copy .* replace\(market, quotes="):
        market.quotes.loc["ES-SEP16", ["bid", "ask"]] = [1.0, 9999.0]
    assert market.trade_cost.loc["ES-SEP16"].tolist() == told and oh.read_market(example_folder).hash == known
    quotes = market.quotes.copy()
    quotes.loc["ES-SEP16", ["bid", "ask"]] *= 1.01
    assert replace(market, quotes=quotes).hash != known


def test_no_part_of_a_hedge_that_a_list_is_made_of_can_be_changed(hedge: oh.Hedge) -> None:
    """All but the certificate's tables, which name what is proved and decide nothing."""
    others = {"market", "model", "certificate"}
    for value in (hedge, hedge.problem):
        parts = {name: part for name, part in everything(value).items() if name not in {*others, "answer"}}
        assert [path for name, part in parts.items() for path in writable(part, name)] == []
    parts = {f.name: getattr(hedge.answer, f.name) for f in fields(hedge.answer) if f.name not in others}
    assert [path for name, part in parts.items() for path in writable(part, name)] == []


def test_what_is_kept_with_a_read_only_table_is_worked_out_once_for_these_values_and_anew_for_others() -> None:
    counted: list[int] = []

    def count() -> int:
        counted.append(len(counted))
        return counted[-1]

    plain, frozen, other = pd.DataFrame({"a": [1.0]}), read_only(pd.DataFrame({"a": [1.0]})), object()
    assert [kept(frozen, "n", count, other) for _ in range(2)] == [0, 0]
    assert kept(frozen, "n", count, object()) == 1  # made of something else
    assert [kept(plain, "n", count) for _ in range(2)] == [2, 3]  # a table that may change keeps nothing
    assert [kept(frozen, "m", count, plain) for _ in range(2)] == [4, 5]
    assert kept(frozen.copy(), "n", count, other) == 6
