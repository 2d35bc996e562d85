"""The kill switch: while a file is there nothing is run and nothing is sent."""

from __future__ import annotations

from pathlib import Path

from optihedge.errors import OptihedgeError


class Halted(OptihedgeError):
    """The desk is halted: nothing runs and nothing leaves until the file is taken away."""

    code = "halted"


def refuse_halted(path: Path) -> None:
    """Raise Halted where the file is there, with what is written in it."""
    try:
        why = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return
    raise Halted(f"{path} is there{why and f' ({why[:200]})'}; take it away to go on")
