"""The reference of files and keys, read from the schemas and classes that the code itself checks input with.

`write(folder)` makes two pages, files.md (every CSV column) and keys.md (every TOML key), and one page of the API for
each namespace. Nothing is listed here by hand but titles: what the code accepts is what is written.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import optihedge
from optihedge.frames import Column
from optihedge.hedge import modelfile
from optihedge.hedge.spec import HedgeSpec
from optihedge.hedge.terms.base import Term
from optihedge.hedge.universe import Universe
from optihedge.market import settings
from optihedge.market.importers import mapped
from optihedge.market.known import Known
from optihedge.names import HOMES
from optihedge.step.policies.policyfile import POLICIES
from optihedge.trades.checks import Checks
from optihedge.trades.tickets import Tickets

FILES = (  # file, module, its schema, what to say first
    ("instruments.csv", "optihedge.market.instruments", "INSTRUMENTS",
     "`instrument`, the label, is required; any further column is your own, to group and select by."),
    ("quotes.csv", "optihedge.market.quotes", "QUOTES",
     "`instrument` is required. What is not in this table is refused."),
    ("drivers.csv", "optihedge.market.drivers", "DRIVERS",
     "`driver`, the label, is required. Without the file every column of history.csv is a price, or a currency pair."),
    ("depth.csv", "optihedge.market.quotes", "DEPTH", "The order book, price units and contracts."),
    ("fee_tiers.csv", "optihedge.market.fee_tiers", "TIERS",
     "What a venue charges by the volume that was traded: a row a tier."),
    ("loadings.csv", "optihedge.market.own_figures", "_LOADINGS",
     "Your own loadings: base currency per contract per unit move of the driver. They replace all of an instrument's."),
    ("events.csv", "optihedge.market.events", "EVENTS",
     "What happens to contracts: fundings, dividends, splits, settlements. What `value`, `money` and `other` mean "
     "depends on the kind."),
    ("fee_tiers.csv", "optihedge.market.fee_tiers", "TIERS",
     "Fees by what was traded at a venue (`traded` in market.toml); an instrument's own fee stands."),
    ("smile.csv", "optihedge.risk.smile_table", "TABLE",
     "The smile's own past, a row a night and underlying, as `oh.smile_table` makes it and `SmileRisk` reads it: moves "
     "of spot (log return), vol, term and skew, and the noise of single vols, decimals; `atm` is the vol before, "
     "`periods` how many the row spans."),
    ("fills.csv", "optihedge.accounts.fills", "FILLS", "What was executed."),
    ("reports.csv", "optihedge.accounts.fills", "REPORTS", "The final word on an order; nothing is filled later."),
)  # fmt: skip
OPEN_FILES = """\
## history.csv

`time`, and one column of **levels** (never returns) for each driver: prices, vols and rates as decimals, a basis as
ln(F/S). A row is known from its time; a date without a time from the driver's `known_at`. An empty field is a level
that was not observed.

## book.csv

| column | kind | needed | meaning |
|---|---|---|---|
| `instrument` | text | required | a label of instruments.csv |
| `quantity` | number | this, or `venue_amount` | contracts, negative is short |
| `venue_amount` | number | instead of `quantity` | as the venue counts: coin of an option, USD of an inverse future |
| `book` | text | | the file then holds several books |

## exposures.csv

`instrument`, and one column of numbers for each exposure, in desk units per contract. A column of the name of one of
ours replaces it; an empty field keeps ours.
"""


# ---- files ---------------------------------------------------------------------------------------------------------


def file_page() -> str:
    """Every CSV file with its columns."""
    parts = ["# Files of a market", "A market is a folder of these files; `market.toml`, `instruments.csv` and "
             "`quotes.csv` are enough to begin. Each may be `.parquet` instead.", settings_table()]  # fmt: skip
    for name, module, schema, said in FILES:
        columns: Mapping[str, Column] = getattr(import_module(module), schema)
        parts += [f"## {name}", said, column_table(columns)]
        told = [meaning(module, one) for one in (schema, "KINDS") if one == schema or name == "events.csv"]
        parts += [block(text) for text in told if text]
    return "\n\n".join([*parts, OPEN_FILES])


def column_table(columns: Mapping[str, Column]) -> str:
    """A row for each column of a schema."""
    rows = []
    for name, one in columns.items():
        needed = "required" if one.required and not one.empty else "required, may be empty" if one.required else ""
        bounds = [f">= {one.least:g}"] if one.least is not None else []
        bounds += [f"> {one.above:g}"] if one.above is not None else []
        allowed = ", ".join([f"`{word}`" for word in one.choices if word] + bounds)
        default = "" if one.default is None else f"`{shown(one.default)}`"
        rows.append((f"`{name}`", one.kind, needed, default, allowed))
    return table(("column", "kind", "needed", "default", "allowed"), rows)


def settings_table() -> str:
    """The keys of market.toml."""
    rows = [(f"`{key}`", words) for key, (_, words) in settings._KEYS.items()]
    return "## market.toml\n\nOnly `base_currency` is required.\n\n" + table(("key", "write"), rows)


def meaning(module: str, name: str) -> str:
    """The text below an assignment in a module, where there is one."""
    body = ast.parse(inspect.getsource(import_module(module))).body
    for statement, after in pairwise(body):
        target = getattr(statement, "target", None) or next(iter(getattr(statement, "targets", [])), None)
        text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if text and isinstance(target, ast.Name) and target.id == name:
            return inspect.cleandoc(after.value.value)
    return ""


# ---- keys ----------------------------------------------------------------------------------------------------------


def key_page() -> str:
    """Every key of a model file, a policy and an import map."""
    parts = [
        "# Keys of model files",
        "A model file says what the constructors say. A `type` is one of the classes below, a covariance estimator of "
        "scikit-learn (`risk = { type = \"LedoitWolf\" }`), or `package.module:Class` that `--allow` permits.",
        "## Top level",
        table(("key", "type"), [(f"`{k}`", shown_type(v)) for k, v in modelfile._SCALARS.items()]),
        f"Tables: {', '.join(f'`{name}`' for name in modelfile._TABLES)}.",
        block(inspect.getdoc(HedgeSpec) or ""),
        "## universe", of_class(Universe),
    ]  # fmt: skip
    said = {"lots": inspect.getdoc(Tickets) or "", "checks": inspect.getdoc(Checks) or ""}
    for name, keys in modelfile._SETTINGS.items():
        rows = [(f"`{k}`", shown_type(v)) for k, v in keys.items()]
        parts += [f"## {name}", table(("key", "type"), rows), block(said[name])]
    parts += ["## Keys that every term has", of_class(Term)]
    for name, kinds in modelfile._TYPES.items():
        parts.append(f"## Types of {name}")
        for kind in kinds:
            cls = getattr(optihedge, kind)
            parts += [f"### {kind}", of_class(cls, without=Term if issubclass(cls, Term) else None)]
    parts.append("## Policies\n\nA table for `oh.policy.policy_of`; `of` holds further policies.")
    for name, policy in POLICIES.items():
        parts += [f"### {name}", of_class(policy)]
    return "\n\n".join([*parts, map_keys()])


def map_keys() -> str:
    """The keys of an import map."""
    keys = ", ".join(f"`{key}`" for key in mapped._SETTINGS)
    rules = ", ".join(f"`{key}`" for key in mapped._RULES)
    kinds, columns = (", ".join(f"`{name}`" for name in names) for names in (mapped.KINDS, sorted(mapped._OURS)))
    return (
        f"## Import maps\n\nKeys: {keys}. Kinds of a table: {kinds}. Rules of a column: {rules}. Columns: {columns}."
        f"\n\n{block(inspect.getdoc(mapped) or '')}"
    )


def of_class(cls: type, *, without: type | None = None) -> str:
    """The keys of a constructor, and its docstring."""
    hints, required = modelfile._parameters(cls)
    left = set(modelfile._parameters(without)[0]) if without else set()
    defaults = defaults_of(cls)
    rows = [
        (f"`{key}`", shown_type(hint), "required" if key in required else f"`{shown(defaults.get(key))}`")
        for key, hint in hints.items()
        if key not in left
    ]
    keys = table(("key", "type", "default"), rows) if rows else "No keys of its own."
    return f"{keys}\n\n{block(inspect.getdoc(cls) or '')}"


def defaults_of(cls: type) -> dict[str, Any]:
    """Default by parameter."""
    if is_dataclass(cls):
        made = {f.name: f.default_factory() for f in fields(cls) if f.default_factory is not MISSING}
        return {f.name: f.default for f in fields(cls) if f.default is not MISSING} | made
    return {p.name: p.default for p in inspect.signature(cls).parameters.values() if p.default is not p.empty}


# ---- commands ------------------------------------------------------------------------------------------------------


def command_page() -> str:
    """Every verb of the command line: what it does, its arguments and options, its examples."""
    from typer.main import get_command

    from optihedge.cli.main import app_of

    top: Any = get_command(app_of())
    parts = ["# Commands", "`optihedge VERB --help` says the same.", plain_words(top.help or "")]
    for name in sorted(top.commands):
        verb = top.commands[name]
        rows = [(f"`{', '.join(one.opts) if one.param_type_name == 'option' else one.name.upper()}`",
                 "required" if one.required else "", plain_words(getattr(one, "help", None) or ""))
                for one in verb.params if one.name != "help"]  # fmt: skip
        told = [line.strip() for line in plain_words(verb.epilog or "").splitlines()]
        calls = [line for line in told if line.startswith("optihedge ")]
        rest = [line for line in told if line and line not in calls and line not in ("Example", "Examples")]
        parts += [f"## optihedge {name}", plain_words(verb.help or ""), table(("argument", "needed", "meaning"), rows)]
        parts += ["```sh\n" + "\n".join(calls) + "\n```"] if calls else []
        parts += [" ".join(rest)] if rest else []
    return "\n\n".join(parts)


def plain_words(text: str) -> str:
    """A help text without marks of style, with what Markdown would read as marks of its own written out."""
    bare = re.sub(r"\[/?(?:bold|dim|italic)\]", "", inspect.cleandoc(text)).replace("\\[", "[")
    return bare.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_") if "optihedge " not in bare else bare


# ---- API -----------------------------------------------------------------------------------------------------------

TOPICS = {
    "": "Markets, books, models, hedges, lists, the kernel", "terms": "Terms", "risk": "Risk and betas",
    "options": "Options, surfaces, scenarios", "policy": "State, steps and policies",
    "stats": "Statistics and backtests", "store": "The store and events",
}  # fmt: skip


def api_page(space: str) -> str:
    """One namespace: each public name by autodoc."""
    path = f"optihedge.{space}".rstrip(".")
    parts = [f"# {TOPICS[space]}", f"`{path}`; every name is reachable from `optihedge` too."]
    for module, names in HOMES[space].items():
        for name in names:
            parts += [f"## {name}", f"```{{eval-rst}}\n{directive(module, name)}\n```"]
    return "\n\n".join(parts) + "\n"


def directive(module: str, name: str) -> str:
    value = getattr(import_module(module), name)
    if inspect.isclass(value):
        inherited = "\n   :inherited-members: object" if issubclass(value, Known) else ""
        return f".. autoclass:: {module}.{name}\n   :members:{inherited}"
    if inspect.isroutine(value):
        return f".. autofunction:: {module}.{name}"
    return f".. autodata:: {module}.{name}\n   :no-value:"


# ---- writing -------------------------------------------------------------------------------------------------------


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = tuple(header)
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def block(text: str) -> str:
    return f"```text\n{text}\n```"


def shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def shown_type(hint: Any) -> str:
    text = hint.__name__ if inspect.isclass(hint) and not getattr(hint, "__args__", None) else str(hint)
    for long, short in (("typing.", ""), ("collections.abc.", ""), ("pandas.", ""), ("Literal[False]", "false")):
        text = text.replace(long, short)
    return f"`{text}`"


def write(folder: Path) -> None:
    """The pages into folder/reference and folder/api."""
    pages = {"reference/files.md": file_page(), "reference/keys.md": key_page(),
             "reference/commands.md": command_page()}  # fmt: skip
    pages |= {f"api/{space or 'first'}.md": api_page(space) for space in HOMES}
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
