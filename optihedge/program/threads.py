"""One thread of linear algebra while something is fitted or solved: more would only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread inside, what was set before afterwards."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    """The libraries loaded by now: looking for them takes milliseconds, so it is done once."""
    import scipy.linalg  # noqa: F401  brings a BLAS of its own

    return ThreadpoolController()
