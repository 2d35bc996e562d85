"""Words that decide are an enum; a text decides nothing."""

import numpy as np
import pytest
from programs import random_program

from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify
from optihedge.program.program import Program
from optihedge.program.status import Status, told


def test_a_word_equals_its_text():
    assert all(status == status.value == str(status) for status in Status)
    assert told(Status.FAILED, "deadline") == "failed: deadline"
    assert told(Status.OPTIMAL, "") == "optimal"


@pytest.mark.parametrize("word", ["solved", "failed: no time", "optimal-ish", "", "declined: too large"])
def test_a_word_that_no_one_knows_is_rough_and_stands_in_why(word):
    candidate = Candidate(np.zeros(1), np.zeros(0), word)
    assert (candidate.status, candidate.why) == (Status.ROUGH, word)
    assert Candidate(np.zeros(1), np.zeros(0), "optimal").status is Status.OPTIMAL


def test_only_an_optimum_and_a_proof_of_none_settle_the_question():
    assert {status for status in Status if status.proved} == {Status.OPTIMAL, Status.INFEASIBLE}


def test_no_candidate_has_no_quantities_and_says_why():
    p = random_program(np.random.default_rng(0), n=5)
    none = Candidate.none(p, Status.DECLINED, "too large")
    assert (none.status, none.why) == (Status.DECLINED, "too large")
    assert np.isnan(none.h).all() and not none.multipliers.any()


def test_the_verdict_does_not_read_what_a_solver_says():
    p = Program(columns=("a",), start=[0.0], lower=[-1.0], upper=[1.0], lot=[0.1], diagonal=[1.0], linear=[0.5])
    for word in ("optimal", "failed", "rough", "nonsense"):
        assert certify(p, Candidate(np.array([-0.5]), np.zeros(0), word)).status is Status.OPTIMAL
        assert certify(p, Candidate(np.array([0.5]), np.zeros(0), word)).status is Status.FAILED
