"""Compiled templates, kept beside Python's own bytecode: compiling them anew takes as long as solving a small hedge."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.util import cache_from_source
from pathlib import Path

import jinja2


class Compiled(jinja2.BytecodeCache):
    """Beside what Python compiled of this folder, where it may write that; Jinja refuses what is stale or foreign."""

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        with contextlib.suppress(OSError), _place(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        if sys.dont_write_bytecode:
            return
        place = _place(bucket)
        whole = place.with_name(f"{place.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(bucket.bytecode_to_string())
            whole.replace(place)


def _place(bucket: jinja2.bccache.Bucket) -> Path:
    return Path(cache_from_source(str(Path(__file__).with_name(f"{bucket.key}-{jinja2.__version__}.py"))))
