"""What an error is to a scheduler: its exit code, and a word for STATUS.json."""

from __future__ import annotations

from optihedge.batch.stop import Stopped
from optihedge.desk.halt import Halted
from optihedge.errors import OptihedgeError
from optihedge.lock import Locked

INTERNAL = 6


def stop_of(error: BaseException) -> BaseException | None:
    """The stop that an error is, or was raised from: Python 3.11 makes a RuntimeError of one while a class is made."""
    seen: list[BaseException] = []
    while not isinstance(error, (Stopped, KeyboardInterrupt)):
        seen.append(error)
        if error.__cause__ is None or error.__cause__ in seen:
            return None
        error = error.__cause__
    return error


def code_of(error: BaseException) -> int:
    """2 wrong usage, 3 nothing usable, 4 halted, 5 storage, 6 a bug, 75 another run goes on, 130 and 143 stopped."""
    stop = stop_of(error)
    if stop is not None:
        return stop.exit_code if isinstance(stop, Stopped) else 130
    if isinstance(error, Locked):
        return 75
    if isinstance(error, Halted):
        return 4
    if isinstance(error, OptihedgeError):
        return 3
    if isinstance(error, OSError):
        return 5
    return int(getattr(error, "exit_code", INTERNAL))  # wrong usage has one of its own


def status_of(error: BaseException) -> str:
    """refused, stopped or, for a bug, failed."""
    if stop_of(error) is not None:
        return "stopped"
    return "failed" if code_of(error) == INTERNAL else "refused"
