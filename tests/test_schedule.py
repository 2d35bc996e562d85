"""A list over a session: whole lots within their participation, exposures inside their bands all the way."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from optihedge.cli.main import main
from optihedge.errors import SpecError
from optihedge.hedge.modelfile import load_model
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.trades.schedule import Schedule, schedule, slices_text
from optihedge.trades.tradelist import TradeList, trade_list

SLICES = 6


@pytest.fixture(scope="module", params=["beta_hedge", "delta_neutral", "optimal_hedge"])
def listed(request, example_folder) -> TradeList:
    market, book = read_market(example_folder), read_book(example_folder / "book.csv")
    return trade_list(load_model(request.param).hedge(market, book))


def by_line(plan: Schedule) -> pd.DataFrame:
    """Contracts, slice x line."""
    return plan.table.pivot_table(index="slice", columns="instrument", values="quantity", aggfunc="sum").fillna(0.0)


def beyond(task, filled: np.ndarray) -> np.ndarray:
    """How far each limit is outside its band after `filled` contracts of the lines."""
    value = task.before + task.rows @ filled
    return np.maximum(np.maximum(task.lower - value, value - task.upper), 0.0)


def test_slices_and_what_is_left_are_the_list(listed):
    plan = schedule(listed, slices=SLICES)
    total = listed.table.set_index("instrument")["quantity"]
    sums = by_line(plan).sum().reindex(total.index).fillna(0.0) + plan.left.reindex(total.index).fillna(0.0)
    pd.testing.assert_series_equal(sums, total, check_names=False, rtol=1e-12)


def test_each_slice_is_whole_lots_of_the_lists_side_within_its_participation(listed):
    share = 0.05
    plan = schedule(listed, slices=SLICES, session="6h30min", participation=share)
    market = listed.hedge.market
    total = listed.table.set_index("instrument")["quantity"]
    for name, quantities in by_line(plan).items():
        lot = market.instruments.at[name, "lot"]
        assert np.allclose(quantities / lot, np.round(quantities / lot), atol=1e-9)
        assert (quantities * np.sign(total[name]) >= 0).all()
        cap = share * market.quotes.at[name, "volume"] / SLICES  # the session is the example's trading day
        assert (quantities.abs() <= cap + lot).all()  # rounding of sums moves at most one lot between slices


def test_every_limit_stays_in_its_band_but_for_half_a_lot_of_each_line(listed):
    plan = schedule(listed, slices=SLICES)
    half = np.abs(plan.task.rows) @ (plan.task.lot / 2)
    shape = (SLICES + 1, len(plan.task.row_names))
    value = plan.exposures["value"].to_numpy().reshape(shape)
    assert (value >= plan.task.lower - half - 1e-6).all() and (value <= plan.task.upper + half + 1e-6).all()


def test_a_leg_held_back_by_its_volume_holds_back_what_it_hedges(listed):
    """A tenth of the volume: the legs that could be done at once wait where a band would be left."""
    task = schedule(listed, slices=SLICES).task
    if not len(task.row_names):
        pytest.skip("the model has no limit that the list moves")
    plan = schedule(listed, slices=SLICES, participation=0.02)
    last = plan.exposures[plan.exposures["slice"] == SLICES]
    half = np.abs(task.rows) @ (task.lot / 2)
    assert (last["value"].to_numpy() <= task.upper + half + 1e-6).all()
    assert (last["value"].to_numpy() >= task.lower - half - 1e-6).all()


def test_more_urgency_leaves_less_risk_waiting(listed):
    waiting = []
    for urgency in (0.0, 1.0, 100.0):
        plan = schedule(listed, slices=SLICES, urgency=urgency)
        so_far = by_line(plan).reindex(range(1, SLICES + 1)).fillna(0.0).reindex(columns=plan.task.names).fillna(0.0)
        one = schedule(listed, slices=SLICES, urgency=1.0).task
        risk = one.risk_before + so_far.cumsum().to_numpy() @ one.risk.T
        waiting.append(float((risk[:-1] ** 2).sum()))
    assert waiting[0] >= waiting[1] * (1 - 1e-3) >= waiting[2] * (1 - 2e-3)


def walk(plan: Schedule, rng: np.random.Generator) -> None:
    """One session with partial fills and rejections, decided anew at every slice; prices held."""
    task = plan.task
    done = pd.Series(0.0, index=task.names)
    for t in range(1, SLICES + 1):
        now = plan.again(done, t)
        sent = now.table[now.table["slice"] == t].set_index("instrument")["quantity"].reindex(task.names).fillna(0.0)
        part = np.where(rng.random(len(sent)) < 0.2, 0.0, rng.random(len(sent)))  # a fifth is rejected
        filled = np.sign(sent) * np.floor(sent.abs() / task.lot * part + 1e-9) * task.lot
        slack = np.abs(task.rows) @ (sent.abs().to_numpy() + task.lot / 2)
        done = done + filled
        after = beyond(task, done.to_numpy())
        assert (after <= slack + 1e-6).all(), (t, after, slack)
        left = now.table.groupby("instrument")["quantity"].sum().reindex(task.names).fillna(0.0) + now.left.reindex(
            task.names
        ).fillna(0.0)
        np.testing.assert_allclose((done - filled + left).to_numpy(), task.total, rtol=1e-9)  # nothing is forgotten


def test_sessions_with_partial_fills_and_rejections_never_leave_a_band_by_more_than_one_slice(listed):
    plan = schedule(listed, slices=SLICES)
    for seed in range(4):
        walk(plan, np.random.default_rng(seed))


@pytest.mark.slow
def test_a_thousand_sessions_never_leave_a_band_by_more_than_one_slice(listed):
    plan = schedule(listed, slices=SLICES)
    for seed in range(334):
        walk(plan, np.random.default_rng(1000 + seed))


def test_what_cannot_be_is_refused_by_name(listed):
    with pytest.raises(SpecError, match="held"):
        schedule(trade_list(listed.hedge, checks={"total_notional": 1.0}))
    with pytest.raises(SpecError, match="participation"):
        schedule(listed, participation=0.0)
    plan = schedule(listed, slices=3)
    with pytest.raises(SpecError, match="no more than the list asks"):
        plan.again(2 * pd.Series(plan.task.total, index=plan.task.names), 2)
    with pytest.raises(SpecError, match="slice of the session"):
        plan.again(pd.Series(dtype=float), 4)


def test_slices_as_text_are_the_slices(listed):
    plan = schedule(listed, slices=3)
    back = pd.read_csv(io.StringIO(slices_text({"a": plan, "b": plan}, "csv")), parse_dates=["time"])
    for book in "ab":
        mine = back[back["book"] == book].drop(columns="book").reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, plan.table, check_dtype=False)
    told = json.loads(slices_text({"a": plan}, "json"))["a"]
    assert [row["quantity"] for row in told["slices"]] == plan.table["quantity"].tolist()
    assert len(told["exposures"]) == len(plan.exposures) and told["left"] == plan.left.to_dict()
    with pytest.raises(SpecError, match="one of csv, json"):
        slices_text({"a": plan}, "xml")


def test_the_command_line_writes_slices_and_decides_the_rest_again(example_folder, tmp_path, capsys):
    to = tmp_path / "slices.csv"
    call = ["schedule", "beta_hedge", "--data", str(example_folder), "--slices", "4", "--to", str(to)]
    assert main(call) == 0
    plan = pd.read_csv(to)
    assert set(plan["slice"]) == {1, 2, 3, 4} and set(plan["book"]) == {"book"}
    first = plan[plan["slice"] == 1]
    fills = pd.DataFrame({"fill_id": first.index.astype(str), "instrument": first["instrument"], "price": 1.0,
                          "quantity": first["quantity"], "time": first["time"]})  # fmt: skip
    fills.to_csv(tmp_path / "fills.csv", index=False)
    assert main([*call, "--done", str(tmp_path / "fills.csv"), "--from", "2"]) == 0
    rest = pd.read_csv(to)
    assert set(rest["slice"]) == {2, 3, 4}
    sums = [one.groupby("instrument")["quantity"].sum() for one in (plan, pd.concat([first, rest]))]
    pd.testing.assert_series_equal(*sums)
    assert main([*call[:-1], str(tmp_path / "slices.txt")]) == 3
    assert main(["liquidity", "beta_hedge", "--data", str(example_folder), "--share", "0.05"]) == 0
    told = capsys.readouterr().out
    assert "days" in told and "lvar" in told and "book" in told
    assert main(["quote", "beta_hedge", "AAPL", "10", "--data", str(example_folder)]) == 0
    told = capsys.readouterr().out
    assert "+10 AAPL" in told and "-10 AAPL" in told and "charge" in told
