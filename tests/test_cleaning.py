"""Dirty histories: thirty planted corruptions are each named by driver and date, and every policy does what it says."""

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.errors import DataError, SpecError
from optihedge.market.snapshot import Market
from optihedge.risk.cleaning import clean
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.problems import ALL, Thresholds, describe, find_problems

DAYS = pd.bdate_range("2020-01-01", periods=300, tz="UTC")
KINDS = pd.Series({"VOL": "vol", "RATE": "rate"})  # as market.drivers["kind"] has them


def history(seed: int = 0) -> pd.DataFrame:
    """Ten prices with a common market and fat tails, a vol and a rate; no problem in them."""
    rng = np.random.default_rng(seed)
    market = 0.01 * rng.standard_normal((300, 1))
    returns = market * rng.uniform(0.5, 1.5, 10) + 0.008 * rng.standard_t(5, (300, 10))
    frame = pd.DataFrame(100 * np.exp(returns.cumsum(axis=0)), DAYS, [f"S{i}" for i in range(10)])
    frame["VOL"] = 0.2 + 0.1 * np.exp(np.cumsum(0.02 * rng.standard_normal(300)))
    frame["RATE"] = 0.02 + np.cumsum(0.0003 * rng.standard_normal(300))
    return frame


def scale(column: str, factor: float, start: int, stop: int | None = None):
    def plant(frame: pd.DataFrame) -> pd.DataFrame:
        frame.iloc[start:stop, frame.columns.get_loc(column)] *= factor
        return frame

    return plant


def put(column: str, value: float, start: int, stop: int | None = None):
    def plant(frame: pd.DataFrame) -> pd.DataFrame:
        frame.iloc[start : stop or start + 1, frame.columns.get_loc(column)] = value
        return frame

    return plant


def stale(column: str, start: int, stop: int | None = None):
    def plant(frame: pd.DataFrame) -> pd.DataFrame:
        frame.iloc[start:stop, frame.columns.get_loc(column)] = frame[column].iloc[start]
        return frame

    return plant


def copy(make):
    return lambda frame: frame.assign(COPY=make(frame))


def again(row: int, **changes: float):
    return lambda frame: pd.concat([frame.iloc[: row + 1], frame.iloc[[row]].assign(**changes), frame.iloc[row + 1 :]])


NAN = np.nan
PLANTED = {
    "x100 on a day": (scale("S1", 100, 150, 151), "S1", 150, "wrong units"),
    "x100 for a month": (scale("S2", 100, 150, 171), "S2", 150, "wrong units"),
    "x100 to the end": (scale("S3", 100, 200), "S3", 200, "wrong units"),
    "pence for pounds at the start": (scale("S4", 100, 0, 40), "S4", 0, "wrong units"),
    "/1000 on a day": (scale("S5", 0.001, 99, 100), "S5", 99, "wrong units"),
    "x10 on a day": (scale("S6", 10, 120, 121), "S6", 120, "wrong units"),
    "vol in percent": (scale("VOL", 100, 130, 131), "VOL", 130, "wrong units"),
    "vol in percent to the end": (scale("VOL", 100, 290), "VOL", 290, "wrong units"),
    "split 2 for 1": (scale("S1", 0.5, 180), "S1", 180, "unadjusted split"),
    "split 3 for 1": (scale("S2", 1 / 3, 180), "S2", 180, "unadjusted split"),
    "split 4 for 1": (scale("S3", 0.25, 30), "S3", 30, "unadjusted split"),
    "reverse split 1 for 5": (scale("S4", 5, 181), "S4", 181, "unadjusted split"),
    "split 3 for 2": (scale("S5", 2 / 3, 100), "S5", 100, "unadjusted split"),
    "negative price": (scale("S6", -1, 77, 78), "S6", 77, "sign"),
    "negative prices for a week": (scale("S7", -1, 77, 82), "S7", 77, "sign"),
    "a column of negative prices": (scale("S8", -1, 0), "S8", 0, "sign"),
    "rate with the wrong sign": (scale("RATE", -1, 140, 141), "RATE", 140, "sign"),
    "zero price": (put("S9", 0.0, 60), "S9", 60, "zero"),
    "infinite price": (put("S9", np.inf, 61), "S9", 61, "not a number"),
    "text": (
        lambda f: f.astype(object).where(f.index.to_series() != DAYS[50], "n/a"),
        "S0",
        50,
        "not a number",
    ),
    "gap of a day": (put("S0", NAN, 44), "S0", 44, "gap"),
    "gap of three weeks": (put("S1", NAN, 44, 59), "S1", 44, "gap"),
    "late listing": (put("S2", NAN, 0, 120), "S2", 0, "late listing"),
    "delisting": (put("S3", NAN, 250, 300), "S3", 250, "delisting"),
    "stale for six days": (stale("S4", 200, 206), "S4", 201, "stale"),
    "stale to the end": (stale("S5", 280), "S5", 281, "stale"),
    "a date twice": (again(70), ALL, 70, "duplicated date"),
    "a date twice with another price": (again(70, S6=50.0), "S6", 70, "duplicated date"),
    "the same column twice": (copy(lambda f: f["S7"]), "COPY", 0, "look-alike"),
    "a column in cents": (copy(lambda f: 100 * f["S8"]), "COPY", 0, "look-alike"),
    "a column a day late": (copy(lambda f: f["S8"].shift(1).bfill()), "COPY", 0, "look-alike"),
    "a column upside down": (copy(lambda f: 1e4 / f["S8"]), "COPY", 0, "look-alike"),
    "a bad print up": (scale("S9", 1.25, 111, 112), "S9", 111, "spike"),
    "a bad print down": (scale("S9", 0.7, 111, 112), "S9", 111, "spike"),
    "three weeks missing": (lambda f: f.drop(DAYS[100:115]), ALL, 115, "missing rows"),
    "rows out of order": (lambda f: f.iloc[[*range(20), 21, 20, *range(22, 300)]], ALL, 20, "unsorted dates"),
}


def test_a_clean_history_has_no_problem() -> None:
    for seed in range(10):
        findings = find_problems(history(seed), KINDS)
        assert findings.empty, describe(findings)
    cleaned = clean(history(), KINDS)
    pd.testing.assert_frame_equal(cleaned.levels, history())
    assert str(cleaned) == "no problems found"


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_corruption_is_named_with_driver_and_date(name: str) -> None:
    plant, driver, row, problem = PLANTED[name]
    findings = find_problems(plant(history()), KINDS)
    assert (
        (findings["driver"] == driver) & (findings["date"] == DAYS[row]) & (findings["problem"] == problem)
    ).any(), describe(findings)
    assert len(findings["driver"].unique()) <= (13 if name == "text" else 2), describe(findings)
    if problem != "late listing":
        with pytest.raises(DataError, match=f"(?s){driver.replace('(', '.').replace(')', '.')}.*{problem}"):
            clean(plant(history()), KINDS)


def test_a_zero_or_text_never_becomes_a_move_of_zero() -> None:
    frame = put("S9", 0.0, 60)(stale("S4", 200, 206)(history()))
    cleaned = clean(frame, KINDS, policy="freeze")
    assert np.isnan(cleaned.levels["S9"].iloc[60])
    assert cleaned.levels["S4"].iloc[201:206].isna().all()
    assert not (cleaned.levels.diff() == 0).any().any()


def test_freezing_keeps_what_is_good_and_lists_what_is_untrusted_today() -> None:
    frame = scale("S1", 0.5, 180)(scale("S3", 100, 200)(put("S5", NAN, 250, 300)(history())))
    cleaned = clean(frame, KINDS, policy="freeze")
    assert cleaned.frozen == ("S3", "S5")
    clean_moves, moves = history().pct_change(), cleaned.levels.pct_change(fill_method=None)
    good = moves.notna()
    assert (~good["S1"]).sum() == 3
    np.testing.assert_allclose(moves[good], clean_moves[good], rtol=1e-9)
    assert set(cleaned.findings["action"]) == {"freeze"}


def test_exclusion_and_proxies_do_what_they_say() -> None:
    frame = put("S2", NAN, 0, 120)(put("S3", NAN, 250, 300)(put("VOL", NAN, 10, 12)(history())))
    frame = scale("S7", 10, 80, 81)(frame)
    policy = {"late listing": "proxy", "delisting": "exclude", "other": "proxy"}
    cleaned = clean(frame, KINDS, policy=policy, proxies={"S2": "S0", "S7": "S1", "VOL": "RATE"})
    assert cleaned.excluded == ("S3",)
    assert "S3" not in cleaned.levels
    assert not cleaned.levels.isna().any().any()
    moves = cleaned.levels.pct_change()
    np.testing.assert_allclose(moves["S2"].iloc[1:121], frame["S0"].pct_change().iloc[1:121])
    assert moves["S7"].iloc[80] == pytest.approx(frame["S1"].pct_change().iloc[80])
    assert cleaned.levels["VOL"].diff().iloc[10] == pytest.approx(frame["RATE"].diff().iloc[10])
    with pytest.raises(SpecError, match="proxy of VOL"):
        clean(frame, KINDS, policy=policy, proxies={"S2": "S0", "S7": "S1"})


@pytest.mark.parametrize("policy", ["freeze", "proxy"])
def test_a_month_in_other_units_leaves_no_jump_and_no_frozen_name(policy: str) -> None:
    frame = scale("S2", 100, 150, 171)(scale("S3", 0.5, 80)(history()))
    cleaned = clean(frame, KINDS, policy=policy, proxies={"S2": "S0", "S3": "S1"})
    assert len(cleaned.findings) == 2
    assert cleaned.frozen == ()
    moves, other = cleaned.moves.iloc[:, :10], history().pct_change().iloc[1:, :10]
    if policy == "proxy":
        assert moves["S2"].iloc[149] == pytest.approx(moves["S0"].iloc[149])
        assert moves["S2"].iloc[170] == pytest.approx(moves["S0"].iloc[170])
        assert moves["S3"].iloc[79] == pytest.approx(moves["S1"].iloc[79])
        moves = moves.drop(index=moves.index[[79, 149, 170]])
    good = moves.notna()
    np.testing.assert_allclose(moves[good], other.loc[moves.index][good], rtol=1e-9)
    assert good["S2"].sum() == (295 if policy == "freeze" else 296)


def test_a_move_the_desk_knows_is_kept_and_still_reported() -> None:
    frame = scale("S1", 0.5, 180)(history())
    cleaned = clean(frame, KINDS, accepted=[("S1", DAYS[180])])
    pd.testing.assert_frame_equal(cleaned.levels, frame)
    assert list(cleaned.findings["action"]) == ["keep"]
    assert f"S1, {DAYS[180].date()}: unadjusted split" in str(cleaned)


def test_the_last_level_is_compared_with_the_quote() -> None:
    frame = history()
    quotes = frame.iloc[-1].copy()
    quotes["S4"] *= 100
    quotes["S5"] *= 2
    findings = find_problems(frame, KINDS, reference=quotes)
    assert dict(zip(findings["driver"], findings["problem"], strict=True)) == {"S4": "wrong units", "S5": "jump"}


def test_later_rows_change_no_level_cleaned_before_them() -> None:
    frame = scale("S1", 0.5, 180)(put("S5", NAN, 100, 110)(history()))
    later = frame.copy()
    later.iloc[260:, :10] *= np.random.default_rng(3).uniform(0.9, 1.1, 10)
    first = clean(frame.iloc[:250], KINDS, policy="freeze").levels
    second = clean(later.iloc[:250], KINDS, policy="freeze").levels
    pd.testing.assert_frame_equal(first, second)


def test_a_cleaned_history_makes_a_market() -> None:
    frame = scale("S1", 0.5, 180)(history()).drop(columns=["VOL", "RATE"])
    cleaned = clean(frame, policy="proxy", proxies={"S1": "S0"})
    moves = Market.from_prices(cleaned.levels, base_currency="USD").moves()
    np.testing.assert_allclose(moves, cleaned.moves, rtol=1e-10)
    assert list(moves.index) == list(cleaned.moves.index)
    assert moves["S1"].abs().max() < 0.2


def test_a_frozen_name_keeps_a_risk() -> None:
    frame = put("S3", NAN, 250, 300)(scale("S1", 0.5, 180)(history()))
    risk, before = (
        EwmaRisk(halflife=1000).fit(clean(f, KINDS, policy="freeze").moves).risk_ for f in (frame, history())
    )
    np.testing.assert_allclose(risk.volatility(), before.volatility(), rtol=0.1)
    assert (risk.volatility() > 0).all()


def test_a_frozen_name_keeps_its_position_and_its_risk_in_a_hedge() -> None:
    frame = put("S3", NAN, 250, 300)(scale("S1", 0.5, 180)(put("S2", NAN, 0, 120)(history())))
    cleaned = clean(frame.drop(columns=["VOL", "RATE"]), policy="freeze")
    levels = cleaned.levels
    last = levels.iloc[-1]
    quotes = pd.DataFrame({"bid": last * 0.999, "ask": last * 1.001}).rename_axis("instrument")
    market = Market(
        pd.DataFrame({"type": "equity", "hedge": [n not in cleaned.frozen for n in levels]}, index=quotes.index),
        quotes, "USD", history=levels, on_missing="freeze",
    )  # fmt: skip
    assert cleaned.frozen == ("S3",)
    assert market.moves().shape == (299, 10)
    book = pd.Series(1e4 / last.fillna(100.0), index=levels.columns)
    hedge = oh.HedgeModel(risk=EwmaRisk(halflife=200), objective=(oh.Variance(aversion=1e-3),)).hedge(market, book)
    assert hedge.trades.get("S3", 0.0) == 0.0
    assert hedge.after["S3"] == book["S3"]
    own = EwmaRisk(halflife=200).fit(market.moves()).risk_.volatility()["S3"]
    value = book["S3"] * levels["S3"].dropna().iloc[-1]
    assert 0.3 * own * value < hedge.risk.loc["volatility", "after"] < own * value * 1.05  # the rest is hedged away


def test_wrong_policies_and_frames_are_named() -> None:
    with pytest.raises(SpecError, match="'drop'; write one of fail, freeze"):
        clean(put("S0", NAN, 44)(history()), KINDS, policy="drop")
    frame = history()
    with pytest.raises(DataError, match="driver S0 appears twice"):
        find_problems(pd.concat([frame, frame[["S0"]]], axis=1))


def test_thresholds_can_be_the_desks_own() -> None:
    frame = stale("S4", 200, 204)(history())
    assert find_problems(frame, KINDS).empty
    assert list(find_problems(frame, KINDS, thresholds=Thresholds(stale=4))["problem"]) == ["stale"]


def test_the_broken_stocks_of_a_recorded_market_are_found(recorded) -> None:
    folder = recorded("sp500_daily_2012_2017")
    daily = pd.read_parquet(folder / "ohlcv.parquet", columns=["date", "symbol", "close"])
    closes = daily.pivot(index="date", columns="symbol", values="close").astype(float)
    sectors = pd.read_csv(folder / "symbols_sectors.csv")
    broken = set(sectors.loc[sectors["suspect_adjustment"], "symbol"])
    findings = find_problems(closes.set_axis(closes.columns.astype(str), axis=1))
    breaks = findings[findings["problem"].isin(["wrong units", "unadjusted split", "spike", "jump"])]
    found = set(breaks["driver"])
    print(f"{len(broken & found)} of {len(broken)} broken stocks found; false alarms: {sorted(found - broken)}")
    assert broken <= found
    assert len(found - broken) <= 5  # of 486 names and 1 258 days


@pytest.mark.parametrize("rows", [120, 299])
def test_a_copy_is_a_look_alike_however_late_listed_or_gappy(rows: int) -> None:
    own = history().iloc[: rows + 1].drop(columns=["VOL", "RATE"])
    days = np.arange(len(own))
    copies = {
        "a row late": own["S3"].shift(1),
        "listed later": 3 * own["S3"].where(days >= 20),
        "with gaps": own["S3"].where(days % 17 != 5),
        "both with gaps": 1e4 / own["S3"].where(days % 13 != 4),
    }
    for name, copy in copies.items():
        frame = own.assign(COPY=copy, S3=own["S3"].where(days % 19 != 6) if name == "both with gaps" else own["S3"])
        found = find_problems(frame)
        found = found[found["problem"] == "look-alike"]
        assert found["driver"].tolist() == ["COPY"] and "S3" in found["detail"].iloc[0], name
        assert found["detail"].str.contains("a row late").all() == (name == "a row late")


def test_drivers_that_share_a_few_rows_are_no_look_alikes() -> None:
    frame = history()
    early, late = frame["S1"].where(np.arange(300) < 160), frame["S1"].where(np.arange(300) >= 145)
    found = find_problems(frame.drop(columns="S1").assign(EARLY=early, LATE=late))
    assert "look-alike" not in set(found["problem"])


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_a_move_is_accepted_by_its_day_whatever_the_zone_of_the_index(zone: str | None) -> None:
    frame = scale("S2", 0.5, 150)(history()).tz_localize(None).tz_localize(zone)
    day = frame.index[150]
    for date in (day, str(day), day.date(), str(day.date())):
        assert clean(frame, KINDS, accepted=[("S2", date)]).findings["action"].tolist() == ["keep"]
    for wrong in (("S2", frame.index[151].date()), ("S1", day)):
        with pytest.raises(DataError, match="S2"):
            clean(frame, KINDS, accepted=[wrong])


def test_a_plain_date_accepts_a_move_at_the_close_of_that_day() -> None:
    frame = scale("S2", 0.5, 150)(history())
    frame.index = frame.index + pd.Timedelta(hours=21)
    assert clean(frame, KINDS, accepted=[("S2", str(DAYS[150].date()))]).findings["action"].tolist() == ["keep"]


def test_a_move_is_accepted_by_its_row_where_rows_are_numbered() -> None:
    frame = scale("S2", 0.5, 150)(history()).reset_index(drop=True)
    assert clean(frame, KINDS, accepted=[("S2", 150)]).findings["action"].tolist() == ["keep"]
    with pytest.raises(DataError, match="S2, 150"):
        clean(frame, KINDS, accepted=[("S2", 151)])


@pytest.mark.parametrize("wrong", [1, 40])
def test_of_units_that_change_once_the_shorter_side_is_wrong(wrong: int) -> None:
    first = find_problems(scale("S4", 100.0, 0, wrong)(history()), KINDS)
    last = find_problems(scale("S4", 100.0, 300 - wrong)(history()), KINDS)
    spans = [(f["date"].item(), f["until"].item(), f["problem"].item()) for f in (first, last)]
    assert spans[0] == (DAYS[0], DAYS[wrong - 1], "wrong units")
    assert spans[1] == (DAYS[300 - wrong], DAYS[-1], "wrong units")


def test_wrong_units_at_the_start_freeze_nothing_and_cost_only_the_moves_beside_the_break() -> None:
    truth, frame = history(), scale("S4", 100.0, 0, 40)(history())
    kept = clean(frame, KINDS, policy="freeze")
    assert kept.frozen == ()
    moves = truth["S4"].pct_change().iloc[1:]
    assert np.flatnonzero(kept.moves["S4"].isna()).tolist() == [39, 40]
    by_proxy = clean(frame, KINDS, policy="proxy", proxies={"S4": "S5"}).moves["S4"]
    np.testing.assert_allclose(by_proxy.drop(DAYS[40]), moves.drop(DAYS[40]), atol=1e-12)
    np.testing.assert_allclose(by_proxy[DAYS[40]], truth["S5"].pct_change()[DAYS[40]], atol=1e-12)


def test_a_history_without_rows_or_drivers_is_refused_by_name() -> None:
    for empty in (history().iloc[:0], history()[[]]):
        with pytest.raises(DataError, match=r"history: \d+ rows of \d+ drivers"):
            find_problems(empty)


def test_a_jump_of_a_rate_from_zero_is_a_jump() -> None:
    frame = history()
    frame.loc[DAYS[149], "RATE"] = 0.0
    frame.loc[DAYS[150:], "RATE"] += 0.5
    found = find_problems(frame, KINDS)
    assert ((found["driver"] == "RATE") & (found["date"] == DAYS[150]) & (found["problem"] == "jump")).any()


def test_splits_and_payouts_are_of_shares_alone():
    """A tenth paid out of S1, too small for a break, and S2 halved: named in shares, a plain jump in a coin."""
    calm = history().assign(**{f"S{i}": 100 * (history()[f"S{i}"] / 100) ** 0.3 for i in range(10)})
    frame = scale("S2", 0.5, 200)(scale("S1", 0.9, 150)(calm))
    shares = find_problems(frame, KINDS, types=dict.fromkeys(frame.columns, "equity"))
    named = {(row.driver, row.date): row.problem for row in shares.itertuples()}
    assert named == {("S1", DAYS[150]): "missing payout", ("S2", DAYS[200]): "unadjusted split"}
    coins = find_problems(frame, KINDS, types=dict.fromkeys(frame.columns, "perpetual"))
    assert [(row.driver, row.problem) for row in coins.itertuples()] == [("S2", "jump")]


@pytest.mark.parametrize(("start", "stop"), [(150, 170), (150, 151), (0, 40)], ids=["a while", "one row", "at first"])
def test_a_wrong_unit_of_a_share_is_told_once(start, stop):
    frame = scale("S1", 100.0, start, stop)(history())
    found = find_problems(frame, KINDS, types=dict.fromkeys(frame.columns, "equity"))
    assert found["driver"].tolist() == ["S1"] and found["problem"].iloc[0] in ("wrong units", "spike")
