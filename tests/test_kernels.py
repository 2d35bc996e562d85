"""A night is the same in any process and on any kernel of BLAS: the same lists, to the byte, where no tie decides."""

import json
import os
import subprocess
import sys

import pytest

KERNELS = ("Prescott", "Nehalem", "Haswell")
CODE = """
import json, sys
import optihedge as oh
from threadpoolctl import threadpool_info
from optihedge.batch.job import hedge_one, plan
market, book = oh.read_market(sys.argv[1]), oh.read_book(sys.argv[1] + "/book.csv")
models = {name: oh.load_model(name) for name in ("delta_neutral", "beta_hedge", "market_neutral")}
told = {}
for job in plan({"book": book}, models, send="beta_hedge"):
    files = hedge_one(market, job).files
    told[job.model_name] = files[job.list_name], json.loads(files["result.json"])["certificate"]["objective"]
print(json.dumps([sorted({one["architecture"] for one in threadpool_info() if "architecture" in one}), told]))
"""


@pytest.mark.slow
def test_the_lists_of_a_night_are_the_same_on_three_kernels_and_in_any_process(example_folder):
    found = []
    for kernel in (*KERNELS, KERNELS[-1]):
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(example_folder)], capture_output=True, text=True,
            env={**os.environ, "OPENBLAS_CORETYPE": kernel},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    if len({str(architecture) for architecture, _ in found}) < len(KERNELS):
        pytest.skip("this BLAS knows no other kernels")
    first = found[0][1]
    assert all(text.count("\n") > 1 for text, _ in first.values())
    for _, told in found[1:]:
        for model, (text, objective) in told.items():
            assert text == first[model][0], model
            assert objective == pytest.approx(first[model][1], rel=1e-9)
    assert found[-1] == found[-2]
