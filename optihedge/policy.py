"""When to trade: policies and their composition, bands, rolls, no-trade regions; how orders are filled."""

from optihedge.names import lazy

__getattr__, __dir__, __all__ = lazy("policy", globals())
