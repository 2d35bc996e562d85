"""What a pool computes, wherever it does: a job, its deadline, and when it is given up."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np

START = 300.0  # seconds that a worker may take to begin
GRACE = 1.25, 5.0  # times its deadline, plus seconds: more than a job takes that keeps it by itself


class Work(Protocol):
    """Something to compute from what is shared. deadline: seconds after which it is given up; None: none.

    `failed` is what it comes to where its process died again and again, or was ended.
    """

    @property
    def deadline(self) -> float | None: ...

    def run(self, shared: Any, /) -> Any: ...

    def failed(self, why: str) -> Any: ...


def end_of(job: Work) -> float:
    """When a job that begins now is given up, by time.monotonic, seconds."""
    return np.inf if job.deadline is None else time.monotonic() + GRACE[0] * job.deadline + GRACE[1]
