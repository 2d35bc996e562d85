"""The same jobs on a Dask cluster that is there already: what they share travels once, results come as they end.

The driver alone writes, as with processes here. A worker that is lost loses nothing: its job runs again elsewhere, and
one that loses several is named. Jobs that one process is given run one after the other, whatever its threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

import optihedge
from optihedge.batch.stop import Stop
from optihedge.batch.work import START, Work, end_of
from optihedge.errors import SpecError, require_extra

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT = 10.0  # seconds to reach the scheduler
_LOOK = 0.5  # seconds between two looks at deadlines and new workers
_ALONE = threading.Lock()  # BLAS threads and random states belong to a process


def on_cluster(address: str, shared: Any, jobs: Sequence[Work], stop: Stop) -> Generator[tuple[int, Any]]:
    """Number and result of every job, as they end. address: of the scheduler, such as tcp://127.0.0.1:8786.

    Raises SpecError where a worker runs other versions than the driver, OSError where the cluster cannot be reached,
    has no workers or is lost, Stopped; what was still to be done is then cancelled.
    """
    client = _connected(address)
    try:
        _refuse_others(client, address)
        yield from _results(client, address, shared, jobs, stop)
    finally:
        client.close()


def _results(client: Client, address: str, shared: Any, jobs: Sequence[Work], stop: Stop) -> Generator[tuple[int, Any]]:
    from distributed import wait

    text = _pickled(shared)
    kept = client.submit(pickle.loads, text, key=f"optihedge-{hashlib.sha256(text).hexdigest()}")
    waiting, running = deque(range(len(jobs))), dict[Any, tuple[int, float]]()
    alive = time.monotonic()
    try:
        while waiting or running:
            slots = _workers(client, address)
            alive = time.monotonic() if slots else alive
            if time.monotonic() - alive > START:
                raise OSError(f"cluster {address} has had no worker for {START:g} s; start some, or leave it out")
            while waiting and len(running) < slots:
                number = waiting.popleft()
                future = client.submit(_run, kept, _pickled(jobs[number]), pure=False, retries=0)
                running[future] = number, end_of(jobs[number])
            if not running:
                time.sleep(_LOOK)
                continue
            with stop.interruptible(), client.as_current(), contextlib.suppress(TimeoutError):
                wait(list(running), timeout=_LOOK, return_when="FIRST_COMPLETED")
            for future in [one for one, (_, until) in running.items() if one.done() or until < time.monotonic()]:
                number, _ = running.pop(future)
                yield number, _ended(future, jobs[number], address)
    finally:
        client.cancel([kept, *running], force=True)


def _ended(future: Future, job: Work, address: str) -> Any:
    """A job's result, or what it comes to without one."""
    if not future.done():
        future.cancel(force=True)
        return job.failed(f"still at work after its deadline of {job.deadline:g} s; it was given up")
    if future.status == "finished":
        return future.result()
    if future.status == "lost" or future.cancelled():
        raise OSError(f"cluster {address} was lost; what is done is whole, run again for the rest")
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return job.failed("the cluster's workers died at it again and again (out of memory?)")
    return job.failed(f"the cluster could not run it: {error!r}")


def _connected(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        raise require_extra("distributed", "cluster") from None
    try:
        return Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OSError(f"cluster {address} cannot be reached ({error}); start it, or leave the cluster out") from None


def _refuse_others(client: Client, address: str) -> None:
    """Raise SpecError for a worker of other versions: its last digits, or its rules, would be others."""
    here = versions()
    for worker, there in client.run(versions).items():
        wrong = [f"{name} {there.get(name)}, here {value}" for name, value in here.items() if there.get(name) != value]
        if wrong:
            raise SpecError(f"cluster {address}: worker {worker} has {'; '.join(wrong)}; install the same there")


def versions() -> dict[str, str]:
    """What decides a result's digits."""
    return {"optihedge": optihedge.__version__, "numpy": np.__version__, "scipy": scipy.__version__}


def _workers(client: Client, address: str) -> int:
    if client.status != "running":
        raise OSError(f"cluster {address} was lost; what is done is whole, run again for the rest")
    return len(client.nthreads())


def _pickled(value: Any) -> bytes:
    """As bytes; what the main program defines goes with it by value."""
    import cloudpickle

    return cloudpickle.dumps(value)  # type: ignore[no-any-return]


def _run(shared: Any, job: bytes) -> Any:
    """One job, in a worker."""
    from threadpoolctl import threadpool_limits

    with _ALONE, threadpool_limits(limits=1):
        return pickle.loads(job).run(shared)
