"""A desk's first file, for a market's folder and its books."""

from __future__ import annotations

import os
from pathlib import Path

from optihedge.batch.books import read_books
from optihedge.errors import DataError, SpecError
from optihedge.files import write_text
from optihedge.hedge.modelfile import load_model
from optihedge.market.folder import read_market

FILE = "desk.toml"
_TEXT = """\
base_currency = "{base}"

[store]                          # every market ever seen; `optihedge record` adds one
path = "store"
folder = "{data}"{pad}# recorded at the start of each run

[ledger]                         # or postgresql://host/name, user and password from the environment
url = "sqlite:///ledger.db"
on_open_orders = "block"         # orders without a final word: no new list ("cancel": count them as cancelled)

[run]
out = "out"                      # pictures of the runs
halt = "HALT"                    # while this file is there nothing runs and nothing leaves

[send]
outbox = "outbox"                # lists that left, each once
approval = "another"             # who may approve: another person than ran it, "anyone", or "none" is needed

[checks]                         # tighten those of a model, never loosen; base currency
# line_notional = 3e6
# total_notional = 2e7

[models]
{name} = "{source}"

[policy]                         # when to act
type = "Always"
"""
_BOOK = """
[books."{book}"]
model = "{name}"
positions = "{positions}"
holds = "client"                 # the file says what the client holds tonight, without our hedges
"""


def write_desk(folder: Path, data: Path, model: str) -> Path:
    """Write desk.toml in `folder` for the market and book.csv in `data` under a model (shipped name, or a file).

    Raises SpecError where there is one already, or for a model that cannot be read; DataError for the folder.
    """
    path = folder / FILE
    if path.exists():
        raise SpecError(f"{path} is there already; edit it, or take it away")
    load_model(model)
    market = read_market(data)
    books, failed = read_books([data / "book.csv"], market)
    if failed:
        raise DataError("\n".join(failed.values()))
    folder.mkdir(parents=True, exist_ok=True)
    base, near = folder.absolute(), lambda place: os.path.relpath(place.absolute(), base).replace(os.sep, "/")
    own = model.endswith(".toml")
    name = Path(model).stem
    source, place = (near(Path(model)) if own else model), near(data)
    text = _TEXT.format(base=market.base_currency, data=place, pad=" " * max(33 - 11 - len(place), 2), name=name,
                        source=source)  # fmt: skip
    text += "".join(_BOOK.format(book=book, name=name, positions=f"{place}/book.csv") for book in books)
    write_text(path, text)
    return path
