"""optihedge: certified portfolio hedges and executable trade lists.

Names load on first use, so that `import optihedge` stays light; the first day's are in `__all__`, the rest in
`optihedge.terms`, `.risk`, `.options`, `.policy`, `.stats` and `.store`.
"""

from importlib import import_module

from optihedge.names import HOMES, lazy

__version__ = "0.1.0"

_NAMESPACES = tuple(space for space in HOMES if space)
_get, _names, _first = lazy("", globals())
__all__ = [*_first, *_NAMESPACES]


def __getattr__(name: str) -> object:
    return import_module(f"optihedge.{name}") if name in _NAMESPACES else _get(name)


def __dir__() -> list[str]:
    return sorted({*_names(), *_NAMESPACES})
