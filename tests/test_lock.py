"""One run at a time in one folder, and a stop at moments when nothing is half written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from optihedge.batch.stop import Stop, Stopped
from optihedge.lock import LOCK, Locked, locked


def test_a_lock_is_held_by_one_and_free_again_after(tmp_path: Path) -> None:
    with locked(tmp_path) as lock:
        with pytest.raises(Locked, match=rf"another run \(process {os.getpid()}\) writes to"), locked(tmp_path):
            pass
        lock.still_held()
    assert (tmp_path / LOCK).read_bytes() == b""
    with locked(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from optihedge.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    with pytest.raises(Locked, match=rf"process {process.pid}\)"), locked(tmp_path):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())


def test_a_lock_whose_file_is_another_one_is_not_held(tmp_path: Path) -> None:
    with locked(tmp_path) as lock:
        (tmp_path / LOCK).unlink()
        with pytest.raises(Locked, match="taken away"):
            lock.still_held()
        with locked(tmp_path), pytest.raises(Locked, match="taken away"):
            lock.still_held()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_waits_for_a_moment_when_nothing_is_half_written(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        os.kill(os.getpid(), number)  # nothing happens here
        with pytest.raises(Stopped, match=number.name) as told, stop.interruptible():
            raise AssertionError("it may not begin")
        assert told.value.exit_code == code
    with Stop() as stop:
        with pytest.raises(Stopped), stop.interruptible():
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # on its way out already
    assert signal.getsignal(number) is before
