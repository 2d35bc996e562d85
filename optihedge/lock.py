"""One writer at a time in one folder: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optihedge.errors import OptihedgeError

LOCK = ".lock"


class Locked(OptihedgeError):
    """Another process writes to the same folder: wait for it, or give another folder."""

    code = "locked"


@dataclass(frozen=True)
class Lock:
    """A lock that is held."""

    path: Path
    handle: int

    def still_held(self) -> None:
        """Raise Locked where the file was taken away, so that another run may hold a lock of the same name."""
        try:
            same = os.path.samestat(os.fstat(self.handle), os.stat(self.path))
        except FileNotFoundError:
            same = False
        if not same:
            raise Locked(f"{self.path} was taken away while the run went on; it writes no more, run again")


@contextlib.contextmanager
def locked(folder: Path, remedy: str = "wait for its end, or give another --out") -> Iterator[Lock]:
    """Hold the lock of a folder. Raises Locked at once where another run holds it, in this process or another.

    The file stays; what locks is the operating system's word for it, which ends with its process, killed or not.
    """
    path = folder / LOCK
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _taken(handle):
            owner = os.read(handle, 20).decode(errors="replace").strip()
            raise Locked(f"another run{owner and f' (process {owner})'} writes to {folder}; {remedy}")
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield Lock(path, handle)
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the text, which others must be able to read
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except PermissionError:
        if sys.platform == "win32":
            return False
        raise
    return True
