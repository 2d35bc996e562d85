"""Relations, hedge ratios, effectiveness, and the evaluation of estimators and hedges."""

from optihedge.names import lazy

__getattr__, __dir__, __all__ = lazy("stats", globals())
