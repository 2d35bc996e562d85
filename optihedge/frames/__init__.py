"""Tables, times and words at the door: what every floor reads and writes its files and messages with."""

from optihedge.frames.columns import (
    Column,
    Kind,
    Schema,
    check_frame,
    completed,
    number_block,
    read_frame,
    same_labels,
    unique_labels,
)
from optihedge.frames.known import meant, misspelt, refuse_sides
from optihedge.frames.reading import find_table, read_raw, read_toml, regular, toml_of
from optihedge.frames.times import DAY_END, duration, instant, parse_times
from optihedge.frames.words import (
    brief,
    counted,
    nearest,
    one_line,
    place_of,
    plain_text,
    refuse,
    refuse_doubled,
    row_of,
    some,
    visible,
)

__all__ = (
    "DAY_END", "Column", "Kind", "Schema", "brief", "check_frame", "completed", "counted", "duration",
    "find_table", "instant", "meant", "misspelt", "nearest", "number_block", "one_line", "parse_times",
    "place_of", "plain_text", "read_frame", "read_raw", "read_toml", "refuse", "refuse_doubled", "refuse_sides",
    "regular", "row_of", "same_labels", "some", "toml_of", "unique_labels", "visible",
)  # fmt: skip
