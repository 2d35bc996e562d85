"""Jobs in processes of their own: each maps what they share, such as a market, gets one job at a time, writes nothing.

The driver alone writes. So a worker may be ended at any moment: at a deadline, with the run, or by the system.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from optihedge.batch.cluster import on_cluster
from optihedge.batch.package import pack, unpack
from optihedge.batch.stop import Stop
from optihedge.batch.work import START, Work, end_of

_BEGUN = None  # what a worker says once it has what is shared


def most_workers() -> int:
    """Workers beyond which a machine only swaps: four per processor, and eight anywhere."""
    return max(8, 4 * (os.cpu_count() or 1))


def results(shared: Any, jobs: Sequence[Work], workers: int | str, stop: Stop) -> Generator[tuple[int, Any]]:
    """Number and result of every job, as they end; jobs run cold and share nothing but what is `shared`.

    workers   processes side by side, or the address of a Dask scheduler (`batch.cluster`)

    Jobs with a deadline run in workers, which are ended where it passes. A job whose worker dies is tried once more,
    alone, then named. Raises Stopped, all workers ended.
    """
    if isinstance(workers, str):
        yield from on_cluster(workers, shared, jobs, stop)
        return
    if min(workers, len(jobs)) <= 1 and all(job.deadline is None for job in jobs):
        for number, job in enumerate(jobs):
            with stop.interruptible():
                result = _limited(shared, job)
            yield number, result
        return
    with tempfile.TemporaryDirectory(prefix="optihedge-") as scratch:
        package = Path(scratch) / "jobs"
        pack(package, shared, jobs)
        died = []
        for number, result_or_none in _in_team(package, jobs, range(len(jobs)), workers, stop):
            if result_or_none is None:
                died.append(number)
            else:
                yield number, result_or_none
        for number in sorted(died):  # alone, so that it takes no other with it
            for _, last in _in_team(package, jobs, [number], 1, stop):
                yield number, last or jobs[number].failed("its worker process died twice (out of memory?)")


# ---- the driver's side ---------------------------------------------------------------------------------------------


@dataclass
class _Worker:
    """A process with one job. until: when it is ended, by time.monotonic."""

    process: Any
    connection: Connection
    job: int
    until: float
    alive: bool = True

    def give(self, job: int) -> None:
        self.job = job
        with contextlib.suppress(OSError):  # it is dead: the next thing that is heard of it says so
            self.connection.send(job)

    def end(self) -> None:
        if sys.platform == "win32":
            self.process.terminate()
        else:
            for kill in (os.killpg, os.kill):  # its own solver processes with it; itself, where it just begins
                with contextlib.suppress(ProcessLookupError):
                    kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.connection.close()
        self.alive = False


def _in_team(
    package: Path, jobs: Sequence[Work], numbers: Iterable[int], workers: int, stop: Stop
) -> Generator[tuple[int, Any]]:
    """Number and result of each job, None where its worker died."""
    waiting = deque(numbers)
    team: list[_Worker] = []
    try:
        while waiting or team:
            while waiting and len(team) < workers:
                team.append(_started(package, waiting.popleft()))
            with stop.interruptible():
                ready = _ready(team)
            for worker in ready:
                job = worker.job
                found = _heard(worker, jobs)
                if worker.alive and found is _BEGUN:
                    worker.until = end_of(jobs[job])
                    continue
                if worker.alive and waiting:
                    worker.give(waiting.popleft())
                    worker.until = end_of(jobs[worker.job])
                else:
                    team.remove(worker)
                    worker.end()
                yield job, found
    finally:
        for worker in team:
            worker.end()


def _started(package: Path, job: int) -> _Worker:
    from joblib.externals.loky.backend import get_context

    ours, theirs = Pipe()
    process = get_context("loky").Process(target=_work, args=(theirs, str(package), os.getpid()), daemon=True)
    process.start()
    theirs.close()
    worker = _Worker(process, ours, job, time.monotonic() + START)
    worker.give(job)
    return worker


def _ready(team: Sequence[_Worker]) -> list[_Worker]:
    """Wait until a worker says something, dies or is overdue."""
    patience = max(min(worker.until for worker in team) - time.monotonic(), 0.0)
    ready = wait([worker.connection for worker in team], None if patience == np.inf else patience)
    return [worker for worker in team if worker.connection in ready or worker.until <= time.monotonic()]


def _heard(worker: _Worker, jobs: Sequence[Work]) -> Any:
    """What a worker has said, its job's result or _BEGUN; None where it died. One that is dead or overdue is ended."""
    try:
        if worker.connection.poll():
            return worker.connection.recv()
    except (EOFError, OSError):
        worker.end()
        return None
    worker.end()
    deadline = jobs[worker.job].deadline
    late = "its worker did not begin" if deadline is None else f"still at work after its deadline of {deadline:g} s"
    return jobs[worker.job].failed(f"{late}; its process was ended")


# ---- the worker's side ---------------------------------------------------------------------------------------------


def _work(connection: Connection, package: str, driver: int) -> None:
    """Compute one job after the other, until the driver says no more or is no more."""
    if sys.platform != "win32":
        os.setsid()  # a group of its own: what a terminal says goes to the driver, which ends the group
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    shared, jobs = unpack(Path(package))
    connection.send(_BEGUN)
    while True:
        try:
            number = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_limited(shared, jobs[number]))


def _end_with(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(1.0)
    os._exit(1)


def _limited(shared: Any, job: Work) -> Any:
    with _libraries(len(sys.modules)).limit(limits=1):
        return job.run(shared)


@lru_cache(maxsize=1)
def _libraries(_: int) -> Any:
    """The native libraries with threads of their own; looked for again once more modules are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
