"""Recorded markets and events, by content and instant."""

from optihedge.names import lazy

__getattr__, __dir__, __all__ = lazy("store", globals())
