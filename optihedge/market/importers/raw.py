"""Raw files at the door: bytes to JSON values, tables, XML trees or text, with caps on size and nothing executed."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from optihedge.errors import DataError
from optihedge.frames import read_raw

MOST_BYTES = 1 << 30  # of one file, unpacked: a whole venue's day of messages is a tenth of it
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"

Form = Literal["json", "table", "xml", "text", "zstd"]


@dataclass(frozen=True, eq=False)
class RawFile:
    """One file as it stands.

    form      what it is by its first bytes, whatever its name says
    content   json: values with their place ('' or 'line 7'), a broken line as its ValueError; table: a DataFrame;
              xml: the root element; text: a str; zstd: the bytes, still packed
    """

    name: str
    form: Form
    content: Any


def read_file(path: Path | str) -> RawFile:
    """The file, unpacked where it is gzip. Raises DataError where it cannot be read, or is larger than MOST_BYTES."""
    path = Path(path)
    data = _bytes(path)
    if data.startswith(_PARQUET):
        return RawFile(path.name, "table", read_raw(path))
    if data.startswith(_ZSTD):
        return RawFile(path.name, "zstd", data)
    text = _text(data, path.name)
    start = text.lstrip()[:1]
    if start == "<":
        return RawFile(path.name, "xml", parse_xml(text, path.name))
    if start in ("{", "["):
        return RawFile(path.name, "json", list(json_values(text)))
    return RawFile(path.name, "text", text)


def parse_xml(text: str, name: str) -> ElementTree.Element:
    """The root of an XML text. One with a document type is refused: entities are how XML reads files and explodes."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{name}: it declares a document type or entities, which no statement needs; remove them")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"{name}: not whole XML ({error}); export it again") from None


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path} is no file; give the files that hold the messages")
    with path.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if data.startswith(_GZIP):
        try:
            with gzip.open(path) as packed:
                data = packed.read(MOST_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path.name}: a torn gzip file ({error}); copy it again") from None
    if len(data) > MOST_BYTES:
        raise DataError(f"{path.name} holds more than {MOST_BYTES >> 20} MB; split it")
    return data


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def json_values(text: str) -> Iterator[tuple[str, object]]:
    """The one value of a JSON text, or the values of its lines; NaN and infinities are read as nothing."""
    try:
        yield "", _parse(text)
        return
    except ValueError as error:
        whole = error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) < 2 or lines[0][1].strip() in ("{", "["):
        yield "", whole
        return
    for number, line in lines:
        try:
            yield f"line {number}", _parse(line)
        except ValueError as error:
            yield f"line {number}", error


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None
