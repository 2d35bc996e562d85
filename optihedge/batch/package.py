"""What workers share, as one file whose arrays they map: a market and what was learnt of it are in memory once."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optihedge.batch.work import Work
from optihedge.hedge.fitted import adopt, learnt

_ALIGNED = 64  # bytes


def pack(path: Path, shared: Any, jobs: Sequence[Work]) -> None:
    """Write what is shared, what was learnt of it, and the jobs; only this user can read it where the folder is his."""
    import joblib

    buffers: list[pickle.PickleBuffer] = []
    whole = (shared, learnt(shared), joblib.wrap_non_picklable_objects(tuple(jobs), keep_wrapper=False))
    text = pickle.dumps(whole, protocol=5, buffer_callback=buffers.append)
    spans, at = [], 0
    with path.open("wb") as file:
        for buffer in buffers:
            raw = buffer.raw()
            file.write(bytes(-at % _ALIGNED))
            at += -at % _ALIGNED
            file.write(raw)
            spans.append((at, at + raw.nbytes))
            at += raw.nbytes
    path.with_suffix(".head").write_bytes(pickle.dumps((spans, text)))


def unpack(path: Path) -> tuple[Any, tuple[Work, ...]]:
    """What is shared, and the jobs; arrays lie in the file, which every process that unpacks it maps, read-only."""
    spans, text = pickle.loads(path.with_suffix(".head").read_bytes())
    whole = memoryview(b"")
    if spans and spans[-1][1]:
        with path.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    shared, known, jobs = pickle.loads(text, buffers=[whole[first:end] for first, end in spans])
    adopt(shared, known)
    return shared, jobs
