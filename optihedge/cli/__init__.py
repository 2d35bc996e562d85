"""The command line, `optihedge`."""

import gc

gc.set_threshold(50_000, 20, 100)  # modules and tables stay: looking for cycles in them would be a tenth of a short run

from optihedge.cli.main import main  # noqa: E402

__all__ = ["main"]
