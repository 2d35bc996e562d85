"""One thread of linear algebra while something is fitted or solved: more would only wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread inside, what was set before afterwards; one inside another changes nothing."""
    if getattr(_LIMITED, "here", False):
        yield
        return
    blas = _controller()
    one = all(library.num_threads == 1 for library in blas.lib_controllers)  # as workers are started
    with nullcontext() if one else blas.limit(limits=1):
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

    return ThreadpoolController().select(user_api="blas")
