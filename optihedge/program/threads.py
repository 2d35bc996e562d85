"""One thread of linear algebra while something is fitted or solved: more would only wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread inside, what was set before afterwards; one inside another changes nothing."""
    if getattr(_LIMITED, "here", False):
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        _LIMITED.here = True
        try:
            yield
        finally:
            _LIMITED.here = False


_LIMITED = threading.local()


@cache
def _controller() -> ThreadpoolController:
    """The libraries loaded by now: looking for them takes milliseconds, so it is done once."""
    import scipy.linalg  # noqa: F401  brings a BLAS of its own

    return ThreadpoolController()
