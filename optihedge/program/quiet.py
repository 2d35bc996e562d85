"""Standard output kept clean of what a native library prints by itself: a list in JSON may be on its way there."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def quiet_output() -> Iterator[None]:
    """What native code prints to standard output inside goes nowhere; what was printed before and after stays.

    Where there is no such output (closed, or another system) nothing is done.
    """
    try:
        kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    except OSError:
        yield
        return
    _flush()
    os.dup2(nowhere, 1)
    os.close(nowhere)
    try:
        yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    """Python's buffer and the C library's."""
    with suppress(Exception):
        sys.stdout.flush()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)
