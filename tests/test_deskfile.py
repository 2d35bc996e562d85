"""desk.toml: what a desk is, paths relative to it, every mistake named at once; checks that only tighten."""

import copy
import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from optihedge.desk.deskfile import _Checks, read_desk
from optihedge.errors import SpecError
from optihedge.trades.checks import Checks

WHOLE = """
base_currency = "USDT"
[store]
path = "kept"
[ledger]
url = "sqlite:///ledger.db"
on_open_orders = "cancel"
[run]
out = "results"
deadline = "5m"
[checks]
line_notional = 3e6
[venues.binance]
total_notional = 1e7
[models]
neutral = "delta_neutral"
own = "models/own.toml"
[policy]
type = "Any"
of = [{type = "Band", exposure = "delta", by = "underlying", width = 2e4}, {type = "Clock", every = "2d"}]
[books.carry]
model = "neutral"
positions = "carry.csv"
challengers = ["own"]
[books.slow]
model = "own"
positions = "slow.csv"
holds = "account"
policy = {type = "Clock", every = "5d"}
"""


def read(folder: Path, text: str):
    (folder / "desk.toml").write_text(text)
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "own.toml").write_text(
        'description = "No more than its costs."\nobjective = [{type = "SpreadCost"}]'
    )
    return read_desk(folder / "desk.toml")


def test_a_desk_is_read_with_paths_relative_to_its_file(tmp_path):
    desk = read(tmp_path, WHOLE)
    assert (desk.store, desk.out, desk.outbox) == (tmp_path / "kept", tmp_path / "results", tmp_path / "outbox")
    assert desk.ledger == f"sqlite:///{tmp_path}/ledger.db" and desk.deadline == 300.0 and desk.folder is None
    assert desk.books["carry"].challengers == ("own",) and desk.books["carry"].holds == "client"
    assert desk.books["slow"].policy == {"type": "Clock", "every": "5d"} != desk.books["carry"].policy
    assert desk.models["own"].model.name == "own" and desk.models["neutral"].text.startswith("description")
    assert desk.venues == {"binance": {"total_notional": 1e7}}


def test_every_mistake_is_named_at_once(tmp_path):
    text = WHOLE.replace('on_open_orders = "cancel"', 'on_open_orders = "wait"').replace(
        "[store]\npath", "[store]\npth"
    )
    text = text.replace('deadline = "5m"', 'deadline = "soon"\nworker = 2').replace(
        "line_notional = 3e6", "line_notional = -1.0"
    )
    text = text.replace('"delta_neutral"', '"delta_neutrl"').replace('every = "2d"', 'evry = "2d"')
    text = text.replace('challengers = ["own"]', 'challengers = ["own"]').replace('positions = "slow.csv"\n', "")
    with pytest.raises(SpecError) as error:
        read(tmp_path, text + "[outbx]\nx = 1\n")
    told = str(error.value)
    for part in (
        "[store] there is no pth (did you mean path?)", "[ledger] on_open_orders is 'wait'", "[run] there is no worker",
        "did you mean workers", "[checks] line_notional is -1.0", "there is no model 'delta_neutrl' (did you mean",
        "Clock has no evry (did you mean every?)", 
        "[books.slow] positions is missing", "there is no outbx",
    ):  # fmt: skip
        assert part in told, f"{part}\n{told}"
    assert all(line.startswith("desk.toml: ") for line in told.splitlines())


WRONG = ["", " ", "a\x00b", 0, -1, 1.5, float("nan"), float("inf"), True, [], [1], {}, {"a": 1}, 10**20, "-5m", [[]]]


def written(value: object) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def test_whatever_stands_for_a_value_is_read_or_named_and_nothing_is_left_empty(tmp_path):
    """Every key of a whole desk file with every wrong value, and without it: a desk that says all, or a SpecError."""
    whole = tomllib.loads(WHOLE)
    keys = [(table, key) for table, held in whole.items() if isinstance(held, dict) for key in held]
    keys += [(name,) for name in whole] + [("books", "carry", key) for key in whole["books"]["carry"]]
    keys += [("policy", "of"), ("books", "slow", "policy", "type")]
    for *outer, key in keys:
        for value in (*WRONG, None):
            desk = copy.deepcopy(whole)
            table = desk
            for name in outer:
                table = table[name]
            table[key] = value
            if value is None:
                del table[key]
            try:
                read_it = read(tmp_path, "\n".join(f"{name} = {written(held)}" for name, held in desk.items()))
            except SpecError as error:
                assert all(line.startswith("desk.toml: ") for line in str(error).splitlines())
                continue
            paths = (read_it.store, read_it.out, read_it.halt, read_it.outbox)
            assert read_it.books and read_it.base_currency.strip() and tmp_path not in paths, (outer, key, value)


def test_a_desk_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        read_desk(tmp_path / "none.toml")
    with pytest.raises(SpecError, match="cannot be read"):
        read(tmp_path, "[books")
    with pytest.raises(SpecError, match="deadline is 'soon'"):
        read(tmp_path, WHOLE.replace('"5m"', '"soon"'))


def test_a_desk_says_what_becomes_of_lines_beyond_their_checks(tmp_path):
    said = 'participation = {"4h" = 0.1}\non_failure = {price_band = "hold", max_age = "park"}\nprice_band = 0.02'
    desk = read(tmp_path, WHOLE.replace("line_notional = 3e6", said))
    both = Checks(participation=0.05).tightened(desk.checks, desk.venues)
    assert both.participations == {"1d": 0.05, "4h": 0.1}
    assert [both.failure(one) for one in ("price_band", "max_age", "volume")] == ["hold", "park", "limit"]
    for wrong in ('on_failure = "wait"', 'on_failure = {price = "hold"}', 'participation = {"soon" = 0.1}'):
        with pytest.raises(SpecError, match=r"desk.toml: \[checks\]"):
            read(tmp_path, WHOLE.replace("line_notional = 3e6", wrong))


def test_checks_of_a_desk_tighten_those_of_a_model_and_never_loosen_them(tmp_path):
    own = Checks(max_age="2h", displayed=0.5, volume=None, line_notional=None, total_notional=1e6, worth=False)
    both = own.tightened({"max_age": "1d", "displayed": 1.0, "volume": 0.2, "line_notional": 5.0, "worth": True}, {})
    assert both == Checks(max_age="2h", displayed=0.5, volume=0.2, line_notional=5.0, total_notional=1e6, worth=True)
    assert own.tightened({}, {}) == own
    lists = replace(own, restricted=("A",), lots_cost=0.1).tightened({"restricted": ["B"], "lots_cost": 0.4}, {})
    assert lists.restricted == ("A", "B") and lists.lots_cost == 0.1
    assert replace(own, contradictions=False).tightened({}, {}).contradictions is False
    assert replace(own, contradictions=False).tightened({"contradictions": True}, {}).contradictions
    loosens = {"accept", "venues"}  # venues have a table of their own
    assert set(_Checks.model_fields) == {one.name for one in fields(Checks)} - loosens
    for key, value in (("worth", "false"), ("displayed", "false")):
        with pytest.raises(SpecError, match=key):
            read(tmp_path, WHOLE.replace("line_notional = 3e6", f"{key} = {value}"))
