"""desk.toml: where a desk's data, books, models, policy, checks and outputs are; every mistake named at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optihedge.errors import OptihedgeError, SpecError
from optihedge.frames import duration, nearest, read_settings
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import model_text, parse_model
from optihedge.step.policies.policyfile import policy_of
from optihedge.trades.checks import Checks

_Money = Annotated[float, Field(gt=0)]
_Text = Annotated[str, Field(pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Store(_Table):
    path: _Text = "store"
    folder: _Text | None = None


class _Ledger(_Table):
    url: _Text = "sqlite:///ledger.db"
    on_open_orders: Literal["block", "cancel"] = "block"


class _Run(_Table):
    out: _Text = "out"
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    cluster: Annotated[str, Field(pattern=r"^[a-z]+://\S+$")] | None = None
    deadline: str | None = None
    halt: _Text = "HALT"
    metrics: _Text | None = None


class _Send(_Table):
    outbox: _Text = "outbox"
    approval: Literal["another", "anyone", "none"] = "another"
    approvers: list[_Text] = []


class _Checks(_Table):
    max_age: str | None = None
    displayed: _Money | None = None
    volume: _Money | None = None
    participation: _Money | dict[str, _Money] | None = None
    line_notional: _Money | None = None
    line_quantity: _Money | None = None
    price_band: _Money | None = None
    position_notional: _Money | None = None
    total_notional: _Money | None = None
    gross_notional: _Money | None = None
    lots_cost: _Money | None = None
    restricted: list[str] | None = None
    no_short: list[str] | None = None
    reduce_only: list[str] | None = None
    worth: Literal[True] | None = None
    margin: Literal[True] | None = None
    contradictions: Literal[True] | None = None
    on_failure: str | dict[str, str] | None = None


class _Venue(_Table):
    line_notional: _Money | None = None
    total_notional: _Money | None = None


class _Book(_Table):
    model: str
    positions: _Text
    holds: Literal["client", "account", "opening"] = "client"
    challengers: list[str] = []
    policy: dict[str, Any] | None = None


class _Desk(_Table):
    base_currency: _Text
    store: _Store = _Store()
    ledger: _Ledger = _Ledger()
    run: _Run = _Run()
    send: _Send = _Send()
    checks: _Checks = _Checks()
    venues: dict[str, _Venue] = {}
    models: dict[str, str]
    policy: dict[str, Any] = {"type": "Always"}
    books: dict[str, _Book]


@dataclass(frozen=True)
class DeskBook:
    """One book. holds: what `positions` says: what the client holds ("client"), the whole account as the custodian
    sees it ("account"), or what there was on the first night ("opening").
    """

    name: str
    model: str
    positions: Path
    holds: str
    challengers: tuple[str, ...]
    policy: Mapping[str, Any]


@dataclass(frozen=True)
class DeskModel:
    """A model and the text it was read from, which a ledger keeps."""

    name: str
    text: str
    model: HedgeModel


@dataclass(frozen=True, eq=False)
class Desk:
    """A desk file as values: paths absolute, models and policies read. See `read_desk`."""

    path: Path
    base_currency: _Text
    store: Path
    folder: Path | None
    ledger: str
    on_open_orders: str
    out: Path
    workers: int | str
    deadline: float | None
    halt: Path
    metrics: Path | None
    outbox: Path
    approval: str
    approvers: tuple[str, ...]
    checks: Mapping[str, Any]
    venues: Mapping[str, Mapping[str, float]]
    models: Mapping[str, DeskModel]
    books: Mapping[str, DeskBook]
    allow: tuple[str, ...] = field(default=())


def read_desk(path: Path | str = "desk.toml", *, allow: tuple[str, ...] = ()) -> Desk:
    """The desk of a file; its paths are relative to it. allow: the package.module:Class that models may name.

    Raises SpecError that names every mistake: unknown keys, wrong values, models that cannot be read, books of unknown
    models, policies that are none.
    """
    path = Path(path).absolute()
    try:
        content = read_settings(path)
    except SpecError as error:
        raise SpecError(f"{error}; give a desk file, or write one with optihedge desk") from None
    mistakes: list[str] = []
    table = _checked(content, mistakes)
    models = _models(content.get("models"), path.parent, allow, mistakes)
    policy = table.policy if table is not None else content.get("policy", {"type": "Always"})
    _policy(policy, "[policy]", mistakes)
    books = content.get("books") if isinstance(content.get("books"), dict) else {}
    for name, book in (books or {}).items():
        _book(name, book, content.get("models"), mistakes)
    if table is not None:
        mistakes += [] if table.books else ["[books] there is none; write [books.NAME] with its model and positions"]
        mistakes += _span(table.run.deadline, "[run] deadline") + _desk_checks(table.checks)
    if mistakes or table is None:
        raise SpecError("\n".join(f"{path.name}: {mistake}" for mistake in mistakes))
    return _desk(path, table, models, allow)


def _desk(path: Path, table: _Desk, models: dict[str, DeskModel], allow: tuple[str, ...]) -> Desk:
    home, run = path.parent, table.run
    books = {
        name: DeskBook(name, book.model, home / book.positions, book.holds, tuple(book.challengers),
                       book.policy or table.policy)
        for name, book in table.books.items()
    }  # fmt: skip
    return Desk(
        path=path, base_currency=table.base_currency, store=home / table.store.path,
        folder=None if table.store.folder is None else home / table.store.folder, ledger=_url(table.ledger.url, home),
        on_open_orders=table.ledger.on_open_orders, out=home / run.out, workers=run.cluster or run.workers,
        deadline=None if run.deadline is None else duration(run.deadline, "deadline").total_seconds(),
        halt=home / run.halt, metrics=None if run.metrics is None else home / run.metrics,
        outbox=home / table.send.outbox, approval=table.send.approval, approvers=tuple(table.send.approvers),
        checks={k: v for k, v in table.checks.model_dump().items() if v is not None},
        venues={v: {k: x for k, x in one.model_dump().items() if x is not None} for v, one in table.venues.items()},
        models=models, books=books, allow=allow,
    )  # fmt: skip


def _url(url: str, home: Path) -> str:
    """A SQLite file's path made absolute."""
    head, found, rest = url.partition("sqlite:///")
    return f"{head}{found}{home / rest}" if found and rest and rest != ":memory:" else url


def _checked(content: dict[str, Any], mistakes: list[str]) -> _Desk | None:
    try:
        return _Desk.model_validate(content)
    except ValidationError as error:
        for one in error.errors():
            where, key = _where(one["loc"])
            if one["type"] == "extra_forbidden":
                known = _keys(one["loc"])
                told = f"there is no {key}{nearest(key, known)}; known are {', '.join(known)}"
            elif one["type"] == "missing":
                told = f"{key} is missing"
            elif one["type"] == "string_pattern_mismatch" and key != "cluster":
                told = f"{key} is {one['input']!r}; write what it is"
            else:
                told = f"{key} is {one['input']!r}: {one['msg'][0].lower()}{one['msg'][1:]}"
            text = f"{where}{told}"
            if text not in mistakes:
                mistakes.append(text)
        return None


def _where(loc: tuple[int | str, ...]) -> tuple[str, str]:
    """The table in words, and the key in it."""
    names = [str(part) for part in loc if isinstance(part, str) and not part.startswith(("literal[", "constrained"))]
    names = [n for n in names if n not in ("str", "float")] or [str(loc[0])]
    return (f"[{'.'.join(names[:-1])}] " if names[:-1] else ""), names[-1]


def _keys(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that the table of a mistake knows."""
    if len(loc) == 1:
        return tuple(_Desk.model_fields)
    tables: dict[str, type[_Table]] = {
        "store": _Store, "ledger": _Ledger, "run": _Run, "send": _Send, "checks": _Checks, "venues": _Venue,
        "books": _Book,
    }  # fmt: skip
    return tuple(tables[str(loc[0])].model_fields)


def _models(given: Any, home: Path, allow: tuple[str, ...], mistakes: list[str]) -> dict[str, DeskModel]:
    found: dict[str, DeskModel] = {}
    for name, source in given.items() if isinstance(given, dict) else ():
        if not isinstance(source, str):
            continue  # said already
        try:
            text = model_text(home / source if source.endswith(".toml") else source)
            model = parse_model(text, name=name, file=f"[models] {name} ({source})", allow=allow)
            Checks.of(model.checks)
            found[name] = DeskModel(name, text, model)
        except OptihedgeError as error:
            mistakes += str(error).split("\n")
    return found


def _policy(given: Any, where: str, mistakes: list[str]) -> None:
    try:
        policy_of(given, where)
    except SpecError as error:
        mistakes += str(error).split("\n")


def _book(name: str, given: Any, models: Any, mistakes: list[str]) -> None:
    if not isinstance(given, dict):
        return
    known = list(models) if isinstance(models, dict) else []
    challengers = given.get("challengers", [])
    challengers = challengers if isinstance(challengers, list) else []  # said already
    for role, model in (("model", given.get("model")), *(("challengers", one) for one in challengers)):
        if isinstance(model, str) and model not in known:
            mistakes.append(
                f"[books.{name}] {role}: there is no model {model}{nearest(model, known)}; name one of [models]"
            )
    if given.get("model") in challengers:
        mistakes.append(f"[books.{name}] challengers: {given['model']} is the model that is sent; leave it out")
    if given.get("policy") is not None:
        _policy(given["policy"], f"[books.{name}.policy]", mistakes)


def _desk_checks(table: _Checks) -> list[str]:
    try:
        Checks.of({key: value for key, value in table.model_dump().items() if value is not None})
    except OptihedgeError as error:
        return [f"[checks] {error}"]
    return []


def _span(value: Any, where: str) -> list[str]:
    try:
        if isinstance(value, str):
            duration(value, where)
    except OptihedgeError as error:
        return [str(error)]
    return []
