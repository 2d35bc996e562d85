"""Estimators of what may move, and what they learn: risks over drivers and over contracts, betas, regimes."""

from optihedge.names import lazy

__getattr__, __dir__, __all__ = lazy("risk", globals())
