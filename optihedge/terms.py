"""What a hedging model minimises and keeps: objective terms, neutrality, limits, tails, terms of your own."""

from optihedge.names import lazy

__getattr__, __dir__, __all__ = lazy("terms", globals())
