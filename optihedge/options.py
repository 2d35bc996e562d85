"""Pricing, Greeks, implied vols, forwards, surfaces, smiles and scenarios of options."""

from optihedge.names import lazy

__getattr__, __dir__, __all__ = lazy("options", globals())
