"""HedgeSpec: what a hedging model says, frozen, with the fingerprint of its content. Data, no verbs."""

from __future__ import annotations

import hashlib
import inspect
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.frames import brief
from optihedge.hedge.horizon import parse_horizon
from optihedge.hedge.terms.base import Term, check_number
from optihedge.hedge.universe import Universe
from optihedge.program.candidate import Solver

if TYPE_CHECKING:
    from optihedge.risk.contract_risk import ContractRisk
    from optihedge.risk.root import Risk

_POLICIES = ("error", "relax")
_DIGITS = 10  # significant, of the numbers in arrays: what two machines agree on
_EXAMPLES = {"risk": "EwmaRisk(halflife=63)", "betas": "Beta(market=('SPX',))"}
_LIBRARIES = ("optihedge", "sklearn", "builtins", "abc", "typing", "enum")  # whose classes their names tell
_UNTOLD = ("name", "description")


class Estimator(Protocol):
    """Whatever learns as scikit-learn's estimators do."""

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Its parameters by name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HedgeSpec:
    """How to hedge any book in any market. `dataclasses.replace` is the tool for sweeps.

    risk           an estimator of the drivers' moves or of contracts (scikit-learn's manners, learns `risk_`), what it
                   learns (Risk, ContractRisk), or None
    objective      terms to minimise;  constraints  terms to keep; one term, or several
    betas          an estimator that learns `betas_`, D x m: adds the exposures beta:<market driver>
    horizon        expected time until the next rebalance: '1d', '8h', '5d'. A day is one trading day where the risk's
                   history has about 252 periods a year (or whole multiples), so that '1d' carries, funds and borrows
                   for 365/252 calendar days; it is one calendar day where the history has 365 (or whole multiples)
    capital        base currency: sizes default trade limits and shares where it is above the book's gross
    universe       a Universe, the names of the tradable contracts, or None for those marked `hedge`
    solver         a name, a tuple of names (a chain), or an object with `solve`
    lots, checks   settings of the trade list
    on_infeasible  'error', or 'relax': hedge within the least relaxed limits and say so
    """

    risk: Estimator | Risk | ContractRisk | None = None
    objective: tuple[Term, ...] = ()
    constraints: tuple[Term, ...] = ()
    betas: Estimator | None = None
    horizon: str = "1d"
    capital: float = 0.0
    universe: Universe | Sequence[str] | None = None
    solver: str | Solver | Sequence[str | Solver] = "auto"
    lots: Mapping[str, float] | None = None
    checks: object = None  # a Checks of trades/, or a table of its fields
    on_infeasible: str = "error"
    name: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        for kind in ("objective", "constraints"):
            given = getattr(self, kind)
            terms = tuple(given) if isinstance(given, Iterable) else (given,)
            for term in terms:
                if not isinstance(term, Term):
                    raise SpecError(f"{kind}: {brief(term)} is no Term; subclass optihedge.Term")
            object.__setattr__(self, kind, terms)
        _refuse_unfit("risk", self.risk)
        _refuse_unfit("betas", self.betas)
        for term in self.terms:
            if not isinstance(term.label, str):
                kind, told = type(term).__name__, brief(term.label)
                raise SpecError(
                    f"{kind}: {told} is no name; put the numbers into a column of exposures and give its name"
                )
        labels = [term.label for term in self.terms]
        twice = [label for i, label in enumerate(labels) if label in labels[:i]]
        if twice:
            raise SpecError(f"two terms are called {twice[0]!r}; give one of them a name of its own")
        check_number("HedgeModel", "capital", self.capital, 0.0)
        if self.on_infeasible not in _POLICIES:
            raise SpecError(f"on_infeasible is {self.on_infeasible!r}; write 'error' or 'relax'")
        parse_horizon(self.horizon, 252)
        _refuse_solvers(self.solver)
        if isinstance(self.universe, str):
            raise SpecError(f"universe is {self.universe!r}; give a Universe or a sequence of instrument names")
        if self.universe is not None and not isinstance(self.universe, Universe):
            object.__setattr__(self, "universe", Universe(instruments=tuple(self.universe)))

    @property
    def terms(self) -> tuple[Term, ...]:
        """Objective terms, then constraints."""
        return (*self.objective, *self.constraints)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the content that decides an answer, the same in every run.

        Raises SpecError for an unnamed lambda: two of them could not be told apart in a log.
        """
        told = dict(self.__dict__.setdefault("_told", {}))  # of fields that cannot change
        for name in _DECIDING:
            if name not in told:
                value = getattr(self, name)
                told[name] = f"{name}={canonical(value)}"
                if _unchanging(value):
                    self.__dict__["_told"][name] = told[name]
        return hashlib.sha256("\n".join(told[name] for name in _DECIDING).encode()).hexdigest()[:12]


_DECIDING = tuple(f.name for f in fields(HedgeSpec) if f.name not in _UNTOLD)


def _unchanging(value: object) -> bool:
    """Whether a value is made of plain ones, frozen ones and read-only arrays: what it says stays said."""
    if value is None or isinstance(value, (str, int, float, Enum, pd.Index)):
        return True
    if isinstance(value, np.ndarray):
        return not value.flags.writeable
    if isinstance(value, tuple):
        return all(map(_unchanging, value))
    if is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return all(_unchanging(getattr(value, f.name)) for f in fields(value))
    return False


def _refuse_unfit(kind: str, given: object) -> None:
    """Refuse what can neither learn from moves nor is learnt: a matrix, a class, a name."""
    if isinstance(given, (pd.DataFrame, np.ndarray)):
        raise SpecError(
            f"{kind} is {brief(given)}; give a covariance as Risk.from_covariance(frame), drivers on both axes"
        )
    if isinstance(given, type):
        raise SpecError(f"{kind} is the class {given.__name__}; give one of it, {given.__name__}()")
    if isinstance(given, (str, int, float, Mapping)):
        raise SpecError(f"{kind} is {brief(given)}; give an estimator, such as {_EXAMPLES[kind]}")


def _refuse_solvers(named: object) -> None:
    """Refuse an empty chain, and a process inside a process."""
    several = (named,) if isinstance(named, str) or not isinstance(named, Sequence) else tuple(named)
    if not several:
        raise SpecError("solver is an empty list; name one, or leave it out for 'auto'")
    for one in several:
        if isinstance(one, str) and one.count("isolated:") > 1:
            raise SpecError(
                f"solver {one[:80]!r}: a process of its own needs no other inside; write isolated:NAME once"
            )


def canonical(value: object) -> str:
    """A text of a value's content, without addresses: terms, estimators, frames, arrays, files, functions, numbers."""
    if isinstance(value, (pd.DataFrame, pd.Series, pd.Index)):
        return _of_frame(value)
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, Path):
        return f"file:{_digest(value.read_bytes())}" if value.is_file() else f"path:{value}"
    if is_dataclass(value) and not isinstance(value, type):
        return _of_dataclass(value)
    if hasattr(value, "get_params") and not isinstance(value, type):
        return _named(value, sorted(value.get_params(deep=False).items()))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{canonical(k)}: {canonical(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(canonical, value)) + ")"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(canonical, value))) + "}"
    if isinstance(value, types.FunctionType):
        return _of_function(value, named=False)
    if isinstance(value, types.MethodType):
        return f"{canonical(value.__self__)}.{_of_function(value.__func__, named=False)}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if callable(value):
        return f"{type(value).__module__}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return repr(value.item() if isinstance(value, np.generic) else value)


def _of_dataclass(value: object) -> str:
    """Field by field; a function in a value that has a name of its own may be a lambda."""
    named = bool(getattr(value, "name", None))
    parts = []
    for f in fields(value):  # type: ignore[arg-type]
        one = getattr(value, f.name)
        told = _of_function(one, named=named) if isinstance(one, types.FunctionType) else canonical(one)  # type: ignore[unreachable]
        parts.append(f"{f.name}={told}")
    return f"{_of_class(type(value))}({', '.join(parts)})"


def _named(value: object, items: Iterable[tuple[str, object]]) -> str:
    return f"{_of_class(type(value))}({', '.join(f'{name}={canonical(v)}' for name, v in items)})"


def _of_class(kind: type) -> str:
    """Its name; of a user's own class also what its methods do, so that one that is written anew is another one."""
    own = [c for c in kind.__mro__ if c.__module__.partition(".")[0] not in _LIBRARIES]
    methods = [
        (name, getattr(v, "__func__", getattr(v, "fget", v))) for c in own for name, v in sorted(vars(c).items())
    ]
    functions = [(name, inspect.unwrap(f)) for name, f in methods if isinstance(f, types.FunctionType)]
    said = [f"{name}:{_of_code(f.__code__)}" for name, f in functions]
    return kind.__qualname__ + (f":{_digest('|'.join(said).encode())[:16]}" if said else "")


def _of_frame(value: pd.DataFrame | pd.Series | pd.Index) -> str:
    if isinstance(value, pd.Index):
        return _digest("\x1f".join(value.astype(str)).encode())
    labels = [_of_frame(value.index), *([_of_frame(value.columns)] if isinstance(value, pd.DataFrame) else [])]
    columns = [value[name] for name in value.columns] if isinstance(value, pd.DataFrame) else [value]
    return _digest("|".join([*labels, *(_of_array(c.to_numpy()) for c in columns)]).encode())


def _of_array(values: np.ndarray) -> str:
    if values.dtype.kind in "fiub":
        exact = values.astype(float) + 0.0
        size = np.where(np.isfinite(exact) & (exact != 0), np.abs(exact), 1.0)
        decimals = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(size)))
        with np.errstate(invalid="ignore", over="ignore"):
            rounded = np.where(np.isfinite(decimals), np.round(exact * decimals) / decimals, exact) + 0.0
        return _digest(repr(values.shape).encode() + np.ascontiguousarray(rounded).tobytes())
    return _digest(repr((values.shape, [str(one) for one in values.ravel().tolist()])).encode())


def _of_function(value: Any, *, named: bool) -> str:
    """Module, name and what it does: code, constants, defaults and what it closes over."""
    if value.__name__ == "<lambda>" and not named:
        raise SpecError("a lambda has no name of its own; give its term `name=`, or write a function with def")
    closed = [canonical(cell.cell_contents) for cell in value.__closure__ or ()]
    content = [_of_code(value.__code__), canonical(value.__defaults__), canonical(value.__kwdefaults__), *closed]
    return f"{value.__module__}.{value.__qualname__}:{_digest('|'.join(content).encode())[:16]}"


def _of_code(code: types.CodeType) -> str:
    constants = [_of_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return "|".join([code.co_code.hex(), *code.co_names, *code.co_varnames, *constants])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
