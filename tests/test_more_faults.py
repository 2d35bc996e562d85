"""Three more faults of each kind that met desks: of numbers, doors and small markets, with figures of our own."""

import os
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from test_contradictions import AS_OF, DAYS, chain, kinds, levels, stocks

import optihedge as oh

# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_soft_bands_that_cost_nothing_to_meet_are_proved_at_zero(seed):
    """A perpetual and three twins of it, free to trade: the optimum is 0, whatever the size of the book."""
    rng = np.random.default_rng(seed)
    names = ["BOOK", "P1", "P2", "P3"]
    price = np.round(rng.uniform(1, 90_000, 4), 1)
    table = pd.DataFrame({"instrument": names, "type": "equity"})
    market = oh.Market(table, pd.DataFrame({"instrument": names, "bid": price, "ask": price}), "USD", as_of=AS_OF)
    model = oh.HedgeModel(
        objective=(oh.SpreadCost(),), universe=tuple(names[1:]),
        constraints=(oh.Neutral("delta", soft=10.0 ** rng.integers(-3, 4), band=float(rng.uniform(0, 5))),),
    )  # fmt: skip
    hedge = model.hedge(market, {"BOOK": float(rng.integers(1, 10) * 10 ** rng.integers(0, 7))})
    assert hedge.certificate.optimal and hedge.certificate.primal == pytest.approx(0, abs=1e-6 * hedge.problem.size)


def test_a_list_has_the_same_lots_whatever_the_order_of_the_instruments_table():
    legs = {"A": (100.0, 1.0), "B": (37.0, 5.0), "C": (251.0, 0.1), "D": (12.5, 10.0)}
    found = set()
    for order in permutations(legs):
        names = ["HELD", *order]
        price = np.array([640.0, *(legs[name][0] for name in order)])
        table = pd.DataFrame({"instrument": names, "type": "equity", "lot": [1.0, *(legs[n][1] for n in order)]})
        quotes = pd.DataFrame({"instrument": names, "bid": price * 0.999, "ask": price * 1.001})
        market = oh.Market(table, quotes, "USD", as_of=AS_OF)
        model = oh.HedgeModel(
            objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta", band=3.0),), universe=tuple(order)
        )
        whole = oh.round_to_lots(model.hedge(market, {"HELD": 7.0}))
        found.add(tuple(whole.trades[list(legs)].round(9)))
    assert len(found) == 1


@pytest.mark.parametrize("names", [59, 60, 61])
def test_shrinkage_with_as_many_names_as_rows_keeps_the_size_of_a_book(names):
    """Independent moves of one size, 60 rows: the volatility of an equal-weighted book is that size over root n."""
    moves = pd.DataFrame(np.random.default_rng(names).normal(0, 0.02, (60, names)))
    covariance = oh.SampleRisk(oh.AnalyticalShrinkage(), window=60).fit(moves).risk_.covariance().to_numpy()
    weights = np.full(names, 1 / names)
    assert np.sqrt(weights @ covariance @ weights) == pytest.approx(0.02 / np.sqrt(names), rel=0.25)
    assert np.linalg.eigvalsh(covariance).min() > 0


# ---- doors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [[0], [-1], [-2, -1], [100, 101, 102, 200]])
@pytest.mark.parametrize("name", ["A", "MKT"])
def test_gaps_at_either_end_of_a_held_column_leave_a_hedge_near_that_of_the_whole(name, rows):
    book = {"A": 1_000.0, "B": -300.0}
    whole = oh.load_model("beta_hedge").hedge(stocks(levels()), book).trades["MKT"]
    holed = levels()
    holed.iloc[rows, holed.columns.get_loc(name)] = np.nan
    quoted = levels().iloc[-1]
    hedge = oh.load_model("beta_hedge").hedge(stocks(holed, quoted, on_missing="freeze"), book)
    assert hedge.trades["MKT"] == pytest.approx(whole, rel=0.1)


def test_two_vol_drivers_of_one_underlying_and_tenor_are_refused_unless_they_say_whose_they_are():
    history = levels().assign(**{"vol A": 0.2, "other vol A": 0.3})
    history[["vol A", "other vol A"]] += np.random.default_rng(1).normal(0, 0.01, (len(history), 2))
    said = {"kind": ["price"] * 5 + ["vol"] * 2, "underlying": [*history.columns[:5], "A", "A"],
            "tenor": [""] * 5 + ["30d"] * 2}  # fmt: skip
    market = stocks(history, drivers=said)
    assert {*market.left_out} == {"vol A", "other vol A"} and "are both the vol of A" in market.left_out["vol A"]


@pytest.mark.parametrize("name", ["events.csv", "drivers.csv", "depth.csv", "history.csv", "quotes.csv"])
@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_a_table_that_is_no_file_is_a_data_error_at_once(example_folder, tmp_path, name, what):
    for path in example_folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir() if what == "folder" else os.mkfifo(tmp_path / name)
    with pytest.raises(oh.DataError, match=name):
        oh.read_market(tmp_path)


# ---- small markets ---------------------------------------------------------------------------------------------------


def test_a_future_quoted_in_cents_beside_a_spot_in_dollars_is_named_and_held():
    table = pd.DataFrame({"instrument": ["CORN", "ZC"], "type": ["spot", "future"], "underlying": "CORN",
                          "multiplier": [1.0, 5_000.0], "expiry": [pd.NaT, AS_OF + pd.Timedelta("60D")],
                          "hedge": [False, True]})  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["CORN", "ZC"], "bid": [4.40, 441.0], "ask": [4.41, 441.25]})
    market = oh.Market(table, quotes, "USD", as_of=AS_OF)
    assert ("against spot", "ZC") in kinds(market, "severe")
    listed = oh.trade_list(oh.load_model("delta_neutral").hedge(market, {"CORN": 50_000.0}))
    assert any("against spot of ZC" in reason for reason in listed.reasons)


@pytest.mark.parametrize("factor", [7.0, 1 / 7])
def test_a_seven_for_one_split_that_only_the_strikes_know_is_named(factor):
    assert ("strikes and spot", "S") in kinds(chain(move=factor), "severe")


@pytest.mark.parametrize("column", ["side", "Side", "direction", "buy_sell", "long_short"])
def test_a_book_whose_sign_stands_in_a_column_of_its_own_is_refused_by_name(tmp_path, column):
    (tmp_path / "book.csv").write_text(f"instrument,quantity,{column}\nA,200,SHORT\n")
    with pytest.raises(oh.DataError, match=f"column {column}"):
        oh.read_book(tmp_path / "book.csv", stocks(levels()))


def test_a_market_column_that_rolls_twice_is_named_at_both_rolls():
    history = levels(3)
    for day in (80, 170):
        history.loc[DAYS[day] :, "MKT"] *= 0.85
    found = [str(one) for one in oh.risk.find_contradictions(stocks(history)) if one.kind == "market jump"]
    assert len(found) == 2 and all(f"{DAYS[day]:%Y-%m-%d}" in " ".join(found) for day in (80, 170))
