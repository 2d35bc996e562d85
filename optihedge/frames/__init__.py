"""Tables, times and words at the door: what every floor reads and writes its files and messages with."""

from optihedge.frames.columns import (
    Column,
    Kind,
    Schema,
    absent_columns,
    check_columns,
    check_frame,
    completed,
    label_index,
    number_block,
    read_frame,
    same_labels,
    table_of,
    unique_labels,
)
from optihedge.frames.known import meant, misspelt, refuse_sides
from optihedge.frames.reading import find_table, read_raw, read_settings, read_toml, regular, toml_of
from optihedge.frames.times import DAY_END, duration, instant, parse_times, time_index
from optihedge.frames.words import (
    array_of,
    brief,
    counted,
    nearest,
    objects,
    one_line,
    place_of,
    plain_text,
    refuse,
    refuse_doubled,
    row_of,
    shown,
    some,
    visible,
    words,
)

__all__ = (
    "DAY_END", "Column", "Kind", "Schema", "absent_columns", "array_of", "brief", "check_columns", "check_frame",
    "completed", "counted", "duration", "find_table", "instant", "label_index", "meant", "misspelt", "nearest",
    "number_block", "objects", "one_line", "parse_times", "place_of", "plain_text", "read_frame", "read_raw",
    "read_settings", "read_toml", "refuse", "refuse_doubled", "refuse_sides", "regular", "row_of", "same_labels",
    "shown", "some", "table_of", "time_index", "toml_of", "unique_labels", "visible", "words",
)  # fmt: skip
