"""The notebooks as pages of the documentation, run when it is built: text, code, and what each cell showed.

`write(folder, sources)` makes folder/notebooks/NAME.md and its pictures, and an index of them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient

_TIMEOUT = 3600  # seconds for a cell, on a machine that does other work
_INDEX = """# Notebooks

One for each hedging system, and one from a notebook to a nightly batch; run when this page was built.

```{{toctree}}
:maxdepth: 1

{names}
```
"""


def write(folder: Path, sources: Iterable[Path]) -> None:
    """Pages and pictures into folder/notebooks; every notebook is run."""
    to = folder / "notebooks"
    to.mkdir(exist_ok=True)
    names = []
    for source in sorted(sources):
        book = jupytext.read(source)
        where = {"metadata": {"path": str(source.parent.parent)}}
        NotebookClient(book, timeout=_TIMEOUT, kernel_name="python3", resources=where).execute()
        (to / f"{source.stem}.md").write_text(page(book, source.stem, to), "utf-8")
        names.append(source.stem)
    (to / "index.md").write_text(_INDEX.format(names="\n".join(names)), "utf-8")


def page(book: Any, name: str, to: Path) -> str:
    """The page of a notebook that was run; its pictures are written beside it."""
    parts, pictures = [], 0
    for cell in book.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(_fenced(cell.source, "python"))
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                pictures += 1
                (to / f"{name}-{pictures}.png").write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![picture {pictures} of {name}]({name}-{pictures}.png)")
            elif "text/html" in data:
                parts.append(_fenced(f'<div class="scroll">{data["text/html"]}</div>', "{raw} html"))
            elif text := output.get("text") or data.get("text/plain"):
                parts.append(_fenced(text, "text"))
    return "\n\n".join(parts) + "\n"


def _fenced(text: str, kind: str) -> str:
    """A block with a fence longer than any in it."""
    longest = max(map(len, re.findall(r"`+", text)), default=2)
    fence = "`" * max(longest + 1, 3)
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"
