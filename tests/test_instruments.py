"""Contracts' terms: what each type implies, what is refused, and the formulas of coin settlement and funding."""

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError
from optihedge.market.instruments import (
    TYPES,
    annual_funding,
    check_instruments,
    contracts_of,
    group_codes,
    inverse_profit,
    types_of,
)

AS_OF = pd.Timestamp("2026-01-20T12:00:00Z")
CALL = {
    "instrument": "C", "type": "option", "underlying": "X", "strike": 100.0, "right": "C",
    "expiry": "2026-03-20T20:00:00Z",
}  # fmt: skip


def check(*rows: dict) -> pd.DataFrame:
    return check_instruments(pd.DataFrame(list(rows)), AS_OF, "USD")


def test_a_plain_stock_needs_only_its_name():
    stock = check({"instrument": "NA"}).loc["NA"]
    assert (stock["type"], stock["underlying"], stock["currency"]) == ("equity", "NA", "USD")
    assert (stock["multiplier"], stock["lot"], stock["own_risk"], stock["fee"]) == (1.0, 1.0, 0.0, 0.0)
    assert stock["hedge"]


def test_an_index_is_never_a_hedge():
    assert not check({"instrument": "SPX", "type": "index", "hedge": True}).loc["SPX", "hedge"]


def test_without_a_hedge_column_all_may_be_traded_and_an_empty_field_means_no():
    assert check({"instrument": "A"}, {"instrument": "B"})["hedge"].all()
    marked = check({"instrument": "A", "hedge": "true"}, {"instrument": "B", "hedge": ""})
    assert marked["hedge"].tolist() == [True, False]


def test_an_inverse_contract_settles_in_its_underlying():
    row = check({"instrument": "P", "type": "inverse_perpetual", "underlying": "BTC", "multiplier": 10}).loc["P"]
    assert row["currency"] == "BTC"
    assert types_of(check({**CALL, "type": "inverse_option"}))["inverse"].all()


def test_columns_of_the_desks_own_are_kept_as_given():
    table = check({"instrument": "A", "sector": "Health", "code": "0005"}, {"instrument": "B", "sector": None})
    assert table["sector"].tolist() == ["Health", ""]
    assert table.loc["A", "code"] == "0005"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"instrument": "A"}, {"instrument": "A"}], r"instruments row 2: instrument A appears twice"),
        ([{"instrument": "A", "type": "swap"}], r"instruments row 1: type is 'swap'; write one of equity, spot"),
        ([{**CALL, "expiry": "2026-01-20T11:59:59Z"}], r"2026-01-20 11:59:59\+00:00, the expiry of C, is not after"),
        ([{**CALL, "expiry": None}], r"row 1: expiry of C is empty; give its instant"),
        ([{**CALL, "expiry": "2026-03-20"}], r"expiry 2026-03-20 is a date without an hour; write the instant"),
        ([{**CALL, "strike": None}], r"strike of C is empty; give the strike"),
        ([{**CALL, "strike": -5.0}], r"strike is -5.0; give a number above 0"),
        ([{**CALL, "right": ""}], r"right of C is empty; write C or P"),
        ([{**CALL, "right": "call"}], r"right is 'call'; write one of nothing, C, P"),
        ([{**CALL, "underlying": ""}], r"underlying of C is empty; name the underlying asset"),
        ([{**CALL, "forward": "FZ"}], r"forward of C is FZ, no instrument here; add that future"),
        ([{**CALL, "type": "equity"}], r"type of C is equity, yet it has a strike or right"),
        ([{"instrument": "A", "multiplier": 0}], r"multiplier is 0.0; give a number above 0"),
        ([{"instrument": "A", "lot": float("inf")}], r"lot is inf; write a finite number"),
    ],
)
def test_what_is_wrong_with_an_instrument_is_named(rows, message):
    with pytest.raises(DataError, match=message):
        check(*rows)


def test_every_type_says_whether_it_has_an_expiry_a_strike_and_a_value():
    options = {name for name, kind in TYPES.items() if kind.option}
    assert options == {"option", "inverse_option"}
    assert {name for name, kind in TYPES.items() if kind.signed} == {"future"}
    assert not any(TYPES[name].margined for name in ("equity", "spot", "cash", "option", "inverse_option"))


def test_groups_carry_whole_labels_and_expiries_their_date():
    table = check(
        {**CALL, "sector": "Health"},
        {**CALL, "instrument": "D", "expiry": "2026-06-19T20:00:00Z", "sector": "Banks"},
        {"instrument": "A", "expiry": None, "sector": ""},
    )
    for by, codes, labels in (
        ("expiry", [0, 1, -1], ("2026-03-20", "2026-06-19")), ("sector", [1, 0, -1], ("Banks", "Health"))
    ):  # fmt: skip
        found = group_codes(table, by)
        assert found[0].tolist() == codes and found[1] == labels


def test_inverse_perpetual_profit_in_coin():
    """Long 100 000 USD at 10 000, out at 10 500 and at 9 500."""
    profit = inverse_profit(10_000, 10.0, 10_000.0, np.array([10_500.0, 9_500.0]))
    np.testing.assert_allclose(profit, [0.476190, -0.526316], atol=5e-7)


def test_funding_a_year_depends_on_its_interval():
    np.testing.assert_allclose(annual_funding(1e-4, np.array([8.0, 4.0, 1.0])), [0.1095, 0.2190, 0.8760], rtol=1e-12)


def test_prices_and_intervals_of_zero_are_named_and_missing_ones_stay_missing():
    with pytest.raises(DataError, match=r"row 2: hours is 0.0; give a finite number above zero"):
        annual_funding(1e-4, [8.0, 0.0])
    with pytest.raises(DataError, match=r"leave is 0.0; give a finite number above zero"):
        inverse_profit(1, 10.0, 10_000.0, 0)
    with pytest.raises(DataError, match=r"entry is -1.0"):
        inverse_profit(1, 10.0, -1.0, 10_000.0)
    assert np.isnan(annual_funding(np.array([np.nan, 1e-4]), np.array([8.0, np.nan]))).all()
    assert np.isnan(inverse_profit(1, 10.0, np.nan, 10_000.0))


def test_formulas_refuse_contracts_in_another_order():
    rate, hours = pd.Series({"A": 1e-4, "B": 2e-4}), pd.Series({"B": 8.0, "A": 4.0})
    with pytest.raises(DataError, match="annual_funding: label 1 of rate is A where that of hours is B"):
        annual_funding(rate, hours)
    np.testing.assert_allclose(annual_funding(rate, hours.reindex(rate.index)), [0.2190, 0.2190], rtol=1e-12)
    with pytest.raises(DataError, match="inverse_profit: label 1 of quantity is A where that of entry is B"):
        inverse_profit(rate, 10.0, hours, 5.0)


def test_venue_amounts_become_contracts():
    table = check(
        {"instrument": "P", "type": "inverse_perpetual", "underlying": "BTC", "multiplier": 10},
        {**CALL, "type": "inverse_option", "multiplier": 1.0},
    )
    contracts = contracts_of(pd.Series({"P": 100_000.0, "C": 2.5}), table)
    assert contracts.tolist() == [10_000.0, 2.5]
    with pytest.raises(DataError, match="venue_amount of Q: no such instrument"):
        contracts_of(pd.Series({"Q": 1.0}), table)
