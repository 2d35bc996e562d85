"""Small Programs by PIQP and the exact answer of the pieces it ends on: proved to the last digit, or left to others."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from random_programs import random_program

from optihedge.program.candidate import Candidate
from optihedge.program.certificate import Proved, judge, judge_clean
from optihedge.program.chain import solve
from optihedge.program.costs import Depth
from optihedge.program.general import small
from optihedge.program.general.pieces import form_of
from optihedge.program.general.small import Small
from optihedge.program.program import Program, objective
from optihedge.program.solvers import default_chain

EXACT = 1e-11  # of the scale


def book(seed: int = 0, n: int = 12, **fields: object) -> Program:
    """Contracts of one factor and own risk, costs that leave some untraded, two limits that hold."""
    r = np.random.default_rng(seed)
    cost = r.uniform(0.02, 0.2, n)
    given = {
        "columns": tuple(f"c{i}" for i in range(n)), "start": r.normal(size=n), "lower": np.full(n, -4.0),
        "upper": np.full(n, 4.0), "lot": np.full(n, 0.01), "factors": r.normal(size=(1, n)),
        "diagonal": r.uniform(0.05, 0.3, n), "buy": cost, "sell": cost, "row_names": ("net", "first"),
        "rows": np.array([np.ones(n), np.arange(n) < n // 2], dtype=float), "row_lower": [0.0, -0.1],
        "row_upper": [0.0, 0.1],
    }  # fmt: skip
    return Program(**given | fields)


@pytest.mark.parametrize("seed", range(80))
def test_an_answer_is_proved_to_rounding_and_as_good_as_the_structured_solvers(seed):
    p = random_program(seed, largest=60)
    found = Small().solve(p)
    assert found.status in ("optimal", "failed", "declined")
    if found.status != "optimal":
        return
    verdict = judge(p, Candidate(found.h, found.multipliers, found.status))
    assert verdict.status == "optimal" and abs(verdict.gap) <= EXACT * verdict.scale
    other = solve(p, solver="structured")
    assert objective(p, found.h) == pytest.approx(other.certificate.primal, abs=1e-9 * verdict.scale)


def test_most_random_programs_without_powers_are_answered():
    programs = [random_program(seed, largest=60) for seed in range(200)]
    plain = [p for p in programs if default_chain(p)[0] == "small"]
    answered = sum(Small().solve(p).status == "optimal" for p in plain)
    assert len(plain) > 50 and answered >= 0.9 * len(plain)


@pytest.mark.parametrize("counts", ["rows_on_trades", "rows_on_holdings"])
def test_a_limit_on_sizes_that_holds_is_met_exactly(counts):
    p = book()
    net = {"rows": np.array([np.ones(12), np.zeros(12)]), "row_names": ("net", "size"), "row_lower": [0.0, -np.inf]}
    sizes = {counts: np.array([np.zeros(12), np.ones(12)])}
    size = lambda h: float(np.abs(h - (p.start if counts == "rows_on_trades" else 0.0)).sum())  # noqa: E731
    least = float(np.abs(p.start.sum())) if counts == "rows_on_trades" else 0.0
    tight = 0.5 * (least + size(Small().solve(book(**net, row_upper=[0.0, np.inf])).h))
    found = Small().solve(book(**net, **sizes, row_upper=[0.0, tight]))
    assert found.status == "optimal" and found.multipliers[1] > 0
    assert size(found.h) == pytest.approx(tight, rel=1e-13)


def test_what_does_not_pay_to_trade_is_left_exactly_where_it_was():
    p = book()
    h = Small().solve(p).h
    assert 0 < (h == p.start).sum() < len(h)


def test_limits_that_say_the_same_twice_are_met_and_priced_once():
    p = book()
    thrice = replace(
        p, row_names=("net", "first", "second", "again"), rows=sp.csr_array(p.rows.toarray()[[0, 1, 0, 0]]
        - [[0.0], [0.0], [1.0], [0.0]] * p.rows.toarray()[[1]]), row_lower=[0.0, -0.1, -0.1, -np.inf],
        row_upper=[0.0, 0.1, 0.1, 0.0], row_fixed=None, row_limit=None, row_penalty=None, row_tier=None,
        rows_on_holdings=None, rows_on_trades=None,
    )  # fmt: skip
    found, one = Small().solve(thrice), Small().solve(p)
    assert found.status == one.status == "optimal"
    np.testing.assert_allclose(found.h, one.h, atol=1e-12)


def test_a_soft_limit_gives_way_at_its_penalty():
    p = book(row_penalty=[np.inf, 1e-3], linear=np.where(np.arange(12) < 6, -1.0, 0.0))
    found = Small().solve(p)
    assert found.status == "optimal" and found.h[:6].sum() > 0.1 + 1e-3
    assert found.multipliers[1] == pytest.approx(1e-3, rel=1e-12)
    below = Small().solve(replace(p, linear=-p.linear))
    assert below.status == "optimal" and below.h[:6].sum() < -0.1 - 1e-3
    assert below.multipliers[1] == pytest.approx(-1e-3, rel=1e-12)


def test_a_trade_ends_where_the_next_level_of_depth_is_too_dear():
    level = Depth(column=np.arange(12), side=np.ones(12), beyond=np.full(12, 0.25), slope=np.full(12, 50.0))
    p = book(depth=level, linear=np.full(12, -20.0), row_lower=[-np.inf] * 2, row_upper=[np.inf] * 2)
    found = Small().solve(p)
    assert found.status == "optimal"
    assert (found.h == p.start + 0.25).sum() > 6


@pytest.mark.parametrize("counted", [False, True])
def test_selling_and_going_short_from_nothing_are_one_kink(counted):
    sizes = {"rows_on_trades": np.eye(2, 12), "rows_on_holdings": np.eye(2, 12, 1), "row_lower": [-np.inf, -np.inf]}
    p = book(start=np.zeros(12), short=np.full(12, 0.1), factor_offset=[1.0], **(sizes if counted else {}))
    assert len(form_of(p).column) == 12
    assert len(form_of(replace(p, start=np.full(12, 0.1))).column) == 24
    found, other = Small().solve(p), solve(p, solver="structured")
    assert found.status == "optimal" and 0 < (found.h == 0.0).sum() < 12
    np.testing.assert_allclose(found.h, other.h, atol=1e-9)


def test_columns_that_cannot_move_stay_and_count():
    p = book()
    fixed = np.arange(12) % 3 == 0
    pinned = replace(p, lower=np.where(fixed, 1.0, p.lower), upper=np.where(fixed, 1.0, p.upper))
    found = Small().solve(pinned)
    assert found.status == "optimal" and (found.h[fixed] == 1.0).all()
    assert abs(found.h.sum()) < 1e-9


def test_what_it_does_not_state_is_declined():
    p = book()
    assert Small().solve(replace(p, power=np.ones(12))).status == "declined"
    assert Small().solve(p.boxed(p.start, p.start)).status == "declined"


def test_a_warm_start_is_declined_only_where_it_saves_more():
    for n, word in ((12, "optimal"), (90, "declined")):
        p = book(n=n)
        again = Small().solve(p, warm=Small().solve(p))
        assert again.status == word
        if word == "optimal":
            np.testing.assert_array_equal(again.h, Small().solve(p).h)
        found = solve(p, warm=solve(p).candidate)
        assert found.certificate.optimal and found.certificate.chain[-1].startswith(
            "small" if n == 12 else "structured"
        )


def with_wrong_pieces(monkeypatch):
    """From now on no column rests at a kink: what does is told as sold, or short."""
    rough = small._rough

    def spoilt(form):
        found = rough(form)
        on = found.pieces
        return found._replace(pieces=on._replace(turning=np.zeros_like(on.turning), opened=on.opened | on.turning))

    monkeypatch.setattr(small, "_rough", spoilt)


@pytest.mark.parametrize("seed", range(10))
def test_pieces_told_wrong_are_read_again_from_their_own_answer(monkeypatch, seed):
    p = book(seed)
    right = Small().solve(p)
    with_wrong_pieces(monkeypatch)
    found = Small().solve(p)
    assert right.status == found.status == "optimal"
    np.testing.assert_allclose(found.h, right.h, atol=1e-12)
    monkeypatch.setattr(small, "_TURNS", 1)
    assert Small().solve(p).status == "failed"


def test_wrong_pieces_are_no_answer_and_the_chain_goes_on(monkeypatch):
    p = book()
    assert solve(p).certificate.chain[0].startswith("small: optimal")
    with_wrong_pieces(monkeypatch)
    monkeypatch.setattr(small, "_TURNS", 1)
    assert Small().solve(p).status == "failed"
    found = solve(p)
    assert found.certificate.optimal
    assert [step.split(":")[0] for step in found.certificate.chain] == ["small", "structured"]


def test_a_verdict_belongs_to_the_arrays_it_was_given_for():
    p = book()
    found = Small().solve(p)
    assert isinstance(found, Proved)
    assert judge_clean(p, found)[1] is found.verdict
    moved = replace(found, h=found.h + 0.5)
    assert judge_clean(p, moved)[1].status == "failed"
    assert judge_clean(replace(p, linear=np.ones(12)), found)[1].status == "failed"
    assert judge_clean(p, replace(found, verdict=replace(found.verdict, gap=1.0)))[1].gap < 1e-9


def test_piqp_without_an_answer_is_no_answer(monkeypatch):
    kept = small._solver
    monkeypatch.setattr(small, "_solver", lambda: (kept()[0], SimpleNamespace()))
    assert Small().solve(book()).status == "failed"
