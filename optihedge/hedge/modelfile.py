"""Model files: TOML that says what the constructors say. Every mistake is named at once: file, table, key, remedy."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

import optihedge
from optihedge.errors import DataError, OptihedgeError, SpecError
from optihedge.files import models_folder
from optihedge.frames import nearest, regular, toml_of
from optihedge.hedge.changes import changed
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.base import Term
from optihedge.hedge.universe import Universe
from optihedge.program.solvers import solver_named

_TYPES = {  # names of this library's own classes, by the table that may hold them
    "objective": (
        "Variance", "Volatility", "SpreadCost", "FeeCost", "ImpactCost", "DepthCost", "HoldingCost", "CarryCost",
        "ExpectedReturn", "Tracking", "ScenarioVariance", "Shortfall", "WorstCase", "MarginCost",
    ),
    "constraints": (
        "Neutral", "PositionLimit", "RollOut", "TradeLimit", "TurnoverLimit", "GrossLimit", "ParticipationLimit",
        "VolatilityLimit", "Shortfall", "WorstCase", "MarginLimit", "LiquidationLimit", "VenueLimit", "Spread",
    ),
    "risk": (
        "SampleRisk", "GivenRisk", "EwmaRisk", "FactorRisk", "StackedRisk", "AdaptiveRisk", "BetaRisk",
        "CombinedEwmaRisk", "ObservedFactorRisk", "FundamentalRisk", "GarchRisk", "RegimeRisk",
        "SmileRisk",
    ),
    "betas": ("Beta",),
    "scenarios": ("SmileDraws", "Replay", "Grid", "Stresses", "Frame"),
}  # fmt: skip
_NESTED = {"betas": "betas", "pnl": "scenarios"}  # keys inside a table that hold a class; any other holds a risk
_SCALARS: dict[str, Any] = {
    "description": str, "horizon": str, "capital": float, "on_infeasible": str, "solver": str | tuple[str, ...],
}  # fmt: skip
_SETTINGS: dict[str, dict[str, Any]] = {  # of the trade list, which reads them; false switches a check off
    "lots": {"min_notional": float, "ticket_fee": float, "most_lines": int},
    "checks": {
        "max_age": str | Literal[False], "displayed": float | Literal[False], "volume": float | Literal[False],
        "line_notional": float | Literal[False], "total_notional": float | Literal[False], "worth": bool,
        "margin": bool,
        "contradictions": bool, "accept": tuple[str, ...] | Literal[False],
        "lots_cost": float | Literal[False],
        **dict.fromkeys(("line_quantity", "price_band", "position_notional", "gross_notional"), float | Literal[False]),
        "participation": float | dict[str, float] | Literal[False],
        "on_failure": str | dict[str, str],
        **dict.fromkeys(("restricted", "no_short", "reduce_only"), tuple[str, ...] | Literal[False]),
    },
}  # fmt: skip
_TABLES = ("risk", "betas", "objective", "constraints", "universe", "lots", "checks")
_LARGEST = 2**20  # bytes of a model file
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True)


def model_names() -> tuple[str, ...]:
    """Names of the shipped hedging models.

    >>> import optihedge as oh
    >>> "delta_neutral" in oh.model_names()
    True
    """
    return tuple(sorted(path.stem for path in models_folder().glob("*.toml")))


def load_model(source: str | Path, *, allow: Sequence[str] = (), changes: Sequence[str] = ()) -> HedgeModel:
    """A shipped model by name, or a model file by path. Raises SpecError that lists every mistake.

    allow     the package.module:Class that it may name
    changes   of the file, before it is read: `KEY=VALUE`, see `hedge.changes.changed`

    >>> import optihedge as oh
    >>> oh.load_model("beta_hedge").horizon
    '1d'
    """
    path = _model_path(source)
    return parse_model(_read(path), name=path.stem, file=path.name, allow=allow, changes=changes)


def model_text(source: str | Path) -> str:
    """The text of a shipped model by name, or of a model file by path. Raises SpecError."""
    return _read(_model_path(source))


def _model_path(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix == ".toml" or path.is_file():
        return path
    path = models_folder() / f"{source}.toml"
    if not path.is_file():
        if Path(f"{source}.toml").is_file():
            raise SpecError(f"there is no shipped model {str(source)!r}; the file here is {source}.toml")
        raise SpecError(
            f"there is no model {str(source)!r}{nearest(source, model_names())}; shipped are "
            f"{', '.join(model_names())}, or give the path of a .toml file"
        )
    return path


def _read(path: Path) -> str:
    try:
        return regular(path, _LARGEST).read_text(encoding="utf-8")
    except (DataError, OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from None


def parse_model(
    text: str, *, name: str = "", file: str = "model.toml", allow: Sequence[str] = (), changes: Sequence[str] = ()
) -> HedgeModel:
    """The hedging model that a TOML text describes, with `changes`. Raises SpecError that lists every mistake.

    >>> import optihedge as oh
    >>> text = [
    ...     'description = "Delta to zero at the least spread."', "[[objective]]", 'type = "SpreadCost"',
    ...     "[[constraints]]", 'type = "Neutral"', 'exposure = "delta"',
    ... ]
    >>> oh.parse_model(chr(10).join(text)).constraints[0].exposure
    'delta'
    """
    try:
        content = _tuples(changed(toml_of(text, file), changes, file))
    except DataError as error:
        raise SpecError(str(error)) from None
    reader = _Reader(file, tuple(allow), [])
    model = reader.model(content, name)
    if reader.mistakes or model is None:
        raise SpecError("\n".join(f"{file}: {mistake}" for mistake in reader.mistakes))
    return model


def _tuples(value: Any) -> Any:
    """TOML arrays as tuples, which frozen terms hold."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class _Reader:
    """Collects mistakes while it builds."""

    file: str
    allow: tuple[str, ...]
    mistakes: list[str]

    def model(self, content: dict[str, Any], name: str) -> HedgeModel | None:
        known = (*_SCALARS, *_TABLES)
        for key in content:
            if key not in known:
                self.mistakes.append(f"there is no key {key!r}{nearest(key, known)}; known are {', '.join(known)}")
        if "description" not in content:
            self.mistakes.append("description is missing; say in one sentence what the model does")
        given = {key: value for key, value in content.items() if key in _SCALARS}
        scalars = self.checked("top level", dict(_SCALARS), given, required=())
        built: dict[str, Any] = {key: self.built(key, content[key], key) for key in ("risk", "betas") if key in content}
        for key in ("objective", "constraints"):
            built[key] = tuple(self.terms(key, content.get(key, ())))
        if "universe" in content:
            built["universe"] = self.construct("[universe]", Universe, content["universe"])
        for key in ("lots", "checks"):
            if key in content:
                built[key] = self.settings(key, content[key])
        if "solver" in scalars:
            self.solvers(scalars["solver"])
        if self.mistakes:
            return None
        try:
            return HedgeModel(name=name, **scalars, **built)
        except OptihedgeError as error:
            self.mistakes.append(str(error))
            return None

    def terms(self, table: str, entries: Any) -> list[Term]:
        if not isinstance(entries, tuple):
            self.mistakes.append(f"{table} is no list of tables; write [[{table}]] before each term")
            return []
        made = [self.built(f"[[{table}]] {i}", entry, table) for i, entry in enumerate(entries, 1)]
        terms = [term for term in made if term is not None]
        for i, term in enumerate(made, 1):
            if term is not None and not isinstance(term, Term):
                self.mistakes.append(f"[[{table}]] {i}: {type(term).__name__} is no term")
            elif table == "objective" and term is not None and (term.soft is not None or term.priority):
                self.mistakes.append(f"[[{table}]] {i} ({term.label}): soft and priority belong to constraints")
        return terms

    def settings(self, table: str, entries: Any) -> Mapping[str, Any]:
        if not isinstance(entries, dict):
            self.mistakes.append(f"{table} is no table; write [{table}]")
            return {}
        return self.checked(f"[{table}]", _SETTINGS[table], entries, required=())

    def solvers(self, named: str | tuple[str, ...]) -> None:
        for one in (named,) if isinstance(named, str) else named:
            if one.count("isolated:") > 1:
                continue  # refused by the HedgeSpec
            try:
                if one != "auto":
                    solver_named(one)
            except SpecError as error:
                self.mistakes.append(f"solver: {error}")

    def built(self, where: str, entry: Any, table: str) -> Any:
        """The object of one table with a `type`; None after a mistake."""
        if not isinstance(entry, dict):
            self.mistakes.append(f'{where} is no table; write {where} = {{ type = "..." }}')
            return None
        entry = dict(entry)
        kind = entry.pop("type", None)
        if not isinstance(kind, str):
            self.mistakes.append(f"{where}: type is missing; name a class, for instance {next(iter(_TYPES[table]))}")
            return None
        cls = self.named(where, kind, table)
        if cls is None:
            return None
        for key, value in entry.items():
            if isinstance(value, dict) and "type" in value:
                entry[key] = self.built(f"{where}.{key}", value, _NESTED.get(key, "risk"))
            elif isinstance(value, tuple) and value and all(isinstance(v, dict) and "type" in v for v in value):
                entry[key] = tuple(self.built(f"{where}.{key} {i}", v, "risk") for i, v in enumerate(value, 1))
        made = self.construct(f"{where} ({kind})", cls, entry)
        if table == "risk" and "." not in where and made is not None and _is_covariance(cls):
            from optihedge.risk.sample import SampleRisk

            return SampleRisk(estimator=made)
        return made

    def named(self, where: str, kind: str, table: str) -> type | None:
        if ":" in kind:
            if kind not in self.allow:
                self.mistakes.append(f"{where}: {kind} is not allowed; pass it in the allow-list (--allow {kind})")
                return None
            module, _, name = kind.partition(":")
            try:
                return getattr(import_module(module), name)
            except (ImportError, AttributeError) as error:
                self.mistakes.append(f"{where}: {kind} cannot be loaded ({error})")
                return None
        home = _TYPES[table]
        if kind in home:
            return getattr(optihedge, kind)
        covariance = import_module("sklearn.covariance") if table == "risk" else None
        if covariance is not None and kind in covariance.__all__ and inspect.isclass(getattr(covariance, kind)):
            return getattr(covariance, kind)
        other = [t for t in _TYPES if kind in _TYPES[t]]
        hint = f"; it belongs to {other[0]}" if other else nearest(kind, home) or f"; known are {', '.join(home)}"
        self.mistakes.append(f"{where}: there is no type {kind!r}{hint}")
        return None

    def construct(self, where: str, cls: type, given: Any) -> Any:
        if not isinstance(given, dict):
            self.mistakes.append(f"{where} is no table")
            return None
        hints, required = _parameters(cls)
        before = len(self.mistakes)
        values = self.checked(where, hints, given, required)
        if len(self.mistakes) > before:
            return None
        try:
            return cls(**values)
        except (OptihedgeError, TypeError, ValueError) as error:
            self.mistakes.append(f"{where}: {error}")
            return None

    def checked(self, where: str, hints: dict[str, Any], given: dict, required: Sequence[str]) -> dict[str, Any]:
        """The values of known keys with the right types; each mistake is recorded."""
        for key in given:
            if key not in hints:
                hint = f"{nearest(key, hints)}; known are {', '.join(hints)}"
                self.mistakes.append(f"{where}: there is no key {key!r}{hint}")
        for key in required:
            if key not in given:
                self.mistakes.append(f"{where}: {key} is missing")
        known = {key: value for key, value in given.items() if key in hints}
        kinds: dict[str, Any] = {f"key_{key}": (hints[key], ...) for key in known}
        shape = create_model("Table", __config__=_STRICT, **kinds)
        try:
            shape.model_validate({f"key_{key}": value for key, value in known.items()})
        except ValidationError as error:
            told: dict[str, str] = {}
            for one in error.errors():
                told.setdefault(str(one["loc"][0]).removeprefix("key_"), one["msg"])
            for key, message in told.items():
                self.mistakes.append(f"{where}: {key} is {known[key]!r}: {message[0].lower() + message[1:]}")
        return known


def _parameters(cls: type) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Type by parameter of a constructor, and those without a default; Any where no type is said."""
    if is_dataclass(cls):
        hints = get_type_hints(cls)
        own = [f for f in fields(cls) if f.init]
        required = tuple(f.name for f in own if f.default is MISSING and f.default_factory is MISSING)
        return {f.name: hints[f.name] for f in own}, required
    try:
        hints = get_type_hints(vars(cls).get("__init__", cls))
    except NameError:
        hints = {}
    taken = [p for p in inspect.signature(cls).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = tuple(p.name for p in taken if p.default is p.empty)
    return {p.name: hints.get(p.name, Any) for p in taken}, required


def _is_covariance(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "sklearn"
