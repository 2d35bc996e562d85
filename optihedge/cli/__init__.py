"""The command line, `optihedge`."""

from optihedge.cli.main import app, main

__all__ = ["app", "main"]
