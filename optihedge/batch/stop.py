"""SIGTERM and SIGINT as an exception, at moments when nothing is half written."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """The run was told to stop. Not an Exception: what mends errors must not catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as a shell says it: 143 or 130."""
        return 128 + self.number


class Stop:
    """While it is entered, the first SIGTERM or SIGINT is raised as Stopped inside `interruptible`, or on entering it.

    Later ones change nothing: the run is already on its way out. Outside the main thread signals stay as they are.
    """

    def __init__(self) -> None:
        self._number = 0
        self._open = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._told) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Where the run may be stopped."""
        self._open = True
        try:
            if self._number:
                raise Stopped(self._number)
            yield
        finally:
            self._open = False

    def _told(self, number: int, frame: FrameType | None) -> None:
        if not self._number:
            self._number = number
            if self._open:
                self._open = False
                raise Stopped(number)
