"""What an error is to a scheduler: its exit code, and a word for STATUS.json."""

from __future__ import annotations

from optihedge.batch.stop import Stopped
from optihedge.desk.halt import Halted
from optihedge.errors import OptihedgeError
from optihedge.lock import Locked

INTERNAL = 6


def code_of(error: BaseException) -> int:
    """2 wrong usage, 3 nothing usable, 4 halted, 5 storage, 6 a bug, 75 another run goes on, 130 and 143 stopped."""
    if isinstance(error, Locked):
        return 75
    if isinstance(error, Halted):
        return 4
    if isinstance(error, OptihedgeError):
        return 3
    if isinstance(error, OSError):
        return 5
    if isinstance(error, Stopped):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    return int(getattr(error, "exit_code", INTERNAL))  # wrong usage has one of its own


def status_of(error: BaseException) -> str:
    """refused, stopped or, for a bug, failed."""
    if isinstance(error, (Stopped, KeyboardInterrupt)):
        return "stopped"
    return "failed" if code_of(error) == INTERNAL else "refused"
