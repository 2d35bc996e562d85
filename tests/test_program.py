"""The Program's door: what is no convex problem, or no problem at all, is named before any solver sees it."""

from dataclasses import fields, replace

import numpy as np
import pytest
import scipy.sparse as sp
from programs import random_program

from optihedge.errors import SpecError
from optihedge.program.arrays import compressed, one_row, times
from optihedge.program.costs import Depth
from optihedge.program.program import Program, objective, risk_value, row_violations
from optihedge.program.volatility import VolatilityLimit

BASE = {"columns": ("a", "b"), "start": [1.0, 0.0], "lower": [-5.0, -5.0], "upper": [5.0, 5.0]}
ROW = {"row_names": ("limit",), "rows": [[1.0, 1.0]]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lower": [-5, np.nan]}, r"lower\[1\] is NaN"),
        ({"upper": [5, np.inf]}, "b: upper is not finite"),
        ({"lower": [6, -5]}, "a: lower bound is above"),
        ({"start": [1.0]}, "start has shape"),
        ({"diagonal": [0, -1e-12]}, "b: variance is negative"),
        ({"buy": [0.1, 0.1], "sell": [0.1, -0.2]}, "b: buying and selling at once"),
        ({"long": [-1.0, 0.0]}, "a: holding long and short at once"),
        ({"power": [-1.0, 0.0]}, "a: market impact is negative"),
        ({"factors": [[np.inf, 0.0]]}, "factors"),
        (ROW | {"row_lower": [np.nan]}, r"row_lower\[0\] is NaN"),
        (ROW | {"row_lower": [2.0], "row_upper": [1.0]}, "limit: lower limit is above"),
        (ROW | {"row_lower": [np.inf]}, "limit: no value can meet"),
        (ROW | {"row_penalty": [-1.0]}, "limit: soft penalty is negative"),
        (ROW | {"rows_on_trades": [[1.0, 0.0]], "row_lower": [0.0]}, "limit: a limit on .* cannot have a lower end"),
        (ROW | {"rows_on_holdings": [[-1.0, 0.0]]}, "must be >= 0"),
        ({"columns": ("a", "a")}, "share a name"),
        ({"factor_offset": [np.inf], "factors": [[1.0, 1.0]]}, "factor_offset is not finite"),
        ({"depth": Depth(column=np.array([0]), side=np.array([1]), beyond=np.array([1.0]), slope=np.array([-1.0]))},
         "depth"),
    ],
)  # fmt: skip
def test_a_wrong_program_is_named_before_it_is_solved(fields, message):
    with pytest.raises(SpecError, match=message):
        Program(**(BASE | fields))


def test_nothing_in_a_program_can_be_written_and_what_it_was_made_of_is_not_shared():
    rows = sp.csr_array([[1.0, 1.0]])
    depth = Depth(column=np.array([0]), side=np.array([1]), beyond=np.array([2.0]), slope=np.array([10.0]))
    limit = VolatilityLimit(
        name="volatility", factors=np.eye(2), factor_offset=np.zeros(2), specifics=sp.csr_array((0, 2)),
        specific_offset=np.zeros(0), diagonal=np.ones(2), limit=1.0,
    )  # fmt: skip
    p = Program(**BASE, row_names=("limit",), rows=rows, specifics=np.eye(2), depth=depth, volatility_limit=limit)
    rows.data[:] = 0.0
    assert p.rows.data.tolist() == [1.0, 1.0]
    seen = 0
    for value in (p, p.depth, p.volatility_limit, replace(p, linear=np.ones(2))):
        for field in fields(value):
            one = getattr(value, field.name)
            for array in (one.data, one.indices, one.indptr) if sp.issparse(one) else (one,):
                if isinstance(array, np.ndarray):
                    seen += 1
                    assert not array.flags.writeable, field.name
    assert seen > 60
    with pytest.raises(ValueError, match="read-only"):
        p.rows.data[:] = 0.0
    assert np.shares_memory(replace(p, linear=np.ones(2)).rows.data, p.rows.data)  # nothing is copied twice


def test_costs_are_what_the_book_pays():
    depth = Depth(column=np.array([0]), side=np.array([1]), beyond=np.array([2.0]), slope=np.array([10.0]))
    p = Program(**BASE, buy=[1, 0], sell=[2, 3], quadratic=[0.5, 0], power=[0, 4.0], short=[0, 7.0], depth=depth)
    np.testing.assert_allclose(p.trading(np.array([3.0, -4.0])), [3 + 4.5 + 10, 12 + 4 * 8])
    np.testing.assert_allclose(p.holding(np.array([3.0, -4.0])), [0, 28])


def test_a_soft_row_pays_its_penalty_and_a_hard_one_only_reports():
    soft = Program(**BASE, **ROW, row_upper=[1.0], row_penalty=[5.0])
    hard = Program(**BASE, **ROW, row_upper=[1.0])
    h = np.array([2.0, 1.0])
    assert objective(soft, h) == pytest.approx(10.0)
    assert objective(hard, h) == 0.0
    np.testing.assert_allclose(row_violations(hard, h), [2.0])


def test_rows_see_positions_sizes_and_trades():
    p = Program(**BASE, row_names=("r",), rows=[[1, 0]], rows_on_holdings=[[0, 2]], rows_on_trades=[[3, 0]],
                row_upper=[0.0])  # fmt: skip
    assert row_violations(p, np.array([0.0, -1.0])) == pytest.approx([0 + 2 + 3])


def test_compressed_matrices_and_whole_programs_are_what_the_door_makes_of_the_same() -> None:
    dense = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]])
    door = sp.csr_array(dense)
    made = compressed(door.data.copy(), door.indices.copy(), door.indptr.copy(), (2, 3))
    np.testing.assert_array_equal((made @ made.T).toarray(), dense @ dense.T)
    np.testing.assert_array_equal(times(2.0, made).toarray(), 2 * dense)
    np.testing.assert_array_equal(one_row(dense[1]).toarray(), dense[1:])
    asked = Program(
        columns=("a", "b", "c"), start=np.zeros(3), lower=-np.ones(3), upper=np.ones(3), row_names=("x", "y"), rows=door
    )  # fmt: skip
    given = {field.name: getattr(asked, field.name) for field in fields(Program)}
    whole = Program.whole(**given)
    assert all(getattr(whole, name) is value for name, value in given.items())
    for wrong, said in (({"lower": np.full(3, 2.0)}, "above the upper"), ({"buy": -np.ones(3)}, "earn money"),
                        ({"row_penalty": -np.ones(2)}, "penalty is negative"), ({"long": np.full(3, np.nan)}, "NaN"),
                        ({"columns": ("a", "a", "b")}, "share a name")):  # fmt: skip
        with pytest.raises(SpecError, match=said):
            Program.whole(**given | wrong)


def test_bands_beside_a_limit_on_trades_are_whole_and_a_limit_on_trades_with_a_lower_end_is_refused() -> None:
    asked = Program(
        columns=("a", "b"), start=np.zeros(2), lower=-np.ones(2), upper=np.ones(2), row_names=("band", "turnover"),
        rows=[[1.0, 2.0], [0.0, 0.0]], rows_on_trades=[[0.0, 0.0], [1.0, 1.0]], row_lower=[-0.5, -np.inf],
        row_upper=[0.5, 1.0],
    )  # fmt: skip
    given = {field.name: getattr(asked, field.name) for field in fields(Program)}
    assert Program.whole(**given).rows is asked.rows
    with pytest.raises(SpecError, match=r"turnover: a limit on .* cannot have a lower end"):
        Program.whole(**given | {"row_lower": np.array([-0.5, 0.0])})


@pytest.mark.parametrize("seed", range(4))
def test_a_program_of_scaled_risk_is_the_one_that_is_made_anew(seed: int) -> None:
    p = random_program(np.random.default_rng(seed))
    root, factor = np.sqrt(7.0), 7.0
    told = {name: root * getattr(p, name) for name in ("factors", "factor_offset", "specifics", "specific_offset")}
    anew, made = replace(p, **told, diagonal=factor * p.diagonal, constant=3.0), p.risk_scaled(factor, 3.0)
    for h in (p.start, p.lower, 0.3 * p.lower + 0.7 * p.upper):
        assert objective(made, h) == objective(anew, h)
        assert risk_value(made, h) == pytest.approx(factor * risk_value(p, h), rel=1e-12)
        np.testing.assert_array_equal(row_violations(made, h), row_violations(anew, h))
    with pytest.raises(SpecError, match=r"diagonal.* is NaN"):
        p.risk_scaled(np.nan, 0.0)
