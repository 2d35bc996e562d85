"""What became of each book and model, of the run, and what a scheduler is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from optihedge.batch.job import Outcome
from optihedge.batch.output import result_folder, write_file
from optihedge.batch.record import FIGURES, significant
from optihedge.display.page import cells, render
from optihedge.frames import counted, plain_text

STATUS = "STATUS.json"
SUMMARIES = ("summary.csv", "summary.json")
SUSPECTS = "suspect_moves.csv"
INDEX = "index.html"
_KINDS = {"done": "send", "first": "send", "solved": "send", "held": "held", "blocked": "held", "failed": "held"}
_LONGEST = 160  # characters of a note in the index, of which the rest is unfolded; what holds a list back is not folded
_FOLLOWED = ("cost", "volatility_after")
_DIGITS = 8  # significant digits of the summary: a coin's figures are small numbers
_DUST = 1e-12  # of a row's largest figure: nothing but rounding


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """summary.csv and summary.json in `folder`, one row per book and model, sorted; returns the table."""
    rows = [
        {"book": o.book, "model": o.model, "status": o.status, "list": o.list_name, "note": o.note, **o.figures}
        for o in outcomes
    ]
    table = pd.DataFrame(rows, columns=["book", "model", "status", "list", *FIGURES, "note"])
    table = table.sort_values(["book", "model"], kind="stable", ignore_index=True)
    money = table[list(FIGURES[1:-1])].apply(pd.to_numeric)
    money = money.mask(money.abs().le(_DUST * money.abs().max(axis=1), axis=0), 0.0)
    money[FIGURES[-1]] = pd.to_numeric(table[FIGURES[-1]])
    for name in money.columns:
        table[name] = [significant(value, _DIGITS) for value in money[name]]
    safe = table.assign(**{name: table[name].map(plain_text) for name in ("book", "model", "note")})
    write_file(folder / SUMMARIES[0], safe.to_csv(index=False, lineterminator="\n"))
    write_file(folder / SUMMARIES[1], table.to_json(orient="records", indent=1) + "\n")
    return table


def write_index(
    folder: Path, table: pd.DataFrame, sections: Sequence[dict[str, object]] = (), figures: Sequence[str] = FIGURES
) -> None:
    """index.html in `folder`: every book and model of a summary, sortable and searchable, with a link to its page.

    sections   below them, of the whole night (see `display.pages`);  figures  columns of numbers
    """
    counts = table["status"].value_counts()
    shown = pd.concat([table[list(figures)].apply(pd.to_numeric), _changes(folder, table)], axis=1)
    shown = shown.loc[:, shown.notna().any() & ~((shown == 0).all() & (shown.columns == "penalties"))]
    told = [row for _, row in cells(shown)]
    rows = [
        {
            "book": row.book, "model": row.model, "status": row.status.upper(), "kind": _KINDS.get(row.status, "empty"),
            "numbers": told[place], "link": _page(folder, row.book, row.model),
            "note": row.note, "begins": _beginning(row.note) if _KINDS.get(row.status) != "held" else "",
        }
        for place, row in enumerate(table.itertuples())
    ]  # fmt: skip
    page = render(
        "index.html", title=f"{counted(len(table), 'result')} of {folder.name}",
        subtitle="figures in base currency; volatility a day; sort by a column's name",
        tiles=[{"name": str(status), "value": str(count)} for status, count in counts.items()],
        columns=["book", "model", "status", *(str(name).replace("_", " ") for name in shown.columns), "note"],
        rows=rows, sections=list(sections),
    )  # fmt: skip
    write_file(folder / INDEX, page)


def _beginning(note: str) -> str:
    """Of a long note whole words of its first characters; of a short one nothing."""
    return f"{note[:_LONGEST].rsplit(' ', 1)[0]} …" if len(note) > _LONGEST else ""


def _changes(folder: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Cost and volatility since the instant before, where its summary lies beside; NaN for what is new."""
    earlier = [path.parent for path in folder.parent.glob(f"*/{SUMMARIES[1]}") if path.parent.name < folder.name]
    if not earlier:
        return pd.DataFrame(index=table.index)
    keys = ["book", "model"]
    try:
        before = pd.read_json(max(earlier) / SUMMARIES[1], dtype=False).drop_duplicates(keys, keep="last")
        both = table[keys].merge(before[[*keys, *_FOLLOWED]], on=keys, how="left").set_axis(table.index)
    except (OSError, ValueError, KeyError):
        return pd.DataFrame(index=table.index)
    since = max(earlier).name[:10]
    return pd.DataFrame(
        {f"{name.replace('_', ' ')} since {since}": pd.to_numeric(table[name]) - pd.to_numeric(both[name])
         for name in _FOLLOWED}
    )  # fmt: skip


def _page(folder: Path, book: str, model: str) -> str:
    path = result_folder(folder.parent, pd.Timestamp(0, tz="UTC"), book, model)
    parts = (*path.parts[-2:], "report.html")
    return "/".join(quote(part) for part in parts) if folder.joinpath(*parts).is_file() else ""


def write_suspects(folder: Path, found: pd.DataFrame) -> None:
    """suspect_moves.csv in `folder`, or none where nothing is found."""
    if len(found):
        safe = found.assign(driver=found["driver"].map(plain_text))
        write_file(folder / SUSPECTS, safe.to_csv(index=False, lineterminator="\n"))
    else:
        (folder / SUSPECTS).unlink(missing_ok=True)


def write_status(out: Path, status: str, *, as_of: pd.Timestamp | None, exit_code: int, why: str = "") -> None:
    """STATUS.json in `out`: how its last run ended, of which instant. No clock: equal runs leave equal bytes.

    status   finished (see that instant's summary), stopped (by a signal, likewise), refused (nothing was hedged: why)
    """
    instant = None if as_of is None else as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"status": status, "instant": instant, "exit_code": exit_code, "why": why}
    write_file(out / STATUS, json.dumps(body, indent=1, allow_nan=False) + "\n")


def exit_code(outcomes: Sequence[Outcome], promised: Sequence[tuple[str, str]]) -> int:
    """0 where every promised list stands, 1 where one does not, 6 where there was an internal error.

    promised   book and model of each list to send; without any, the lists are alternatives to look at, and all is well
               where none failed or was held and every book has one
    """
    if any(o.trace for o in outcomes):
        return 6
    done = {(o.book, o.model) for o in outcomes if o.status == "done"}
    if promised:
        return int(not done.issuperset(promised))
    unserved = {o.book for o in outcomes if o.status != "withdrawn"} - {book for book, _ in done}
    return int(bool(unserved) or any(o.status in ("failed", "held") for o in outcomes))
