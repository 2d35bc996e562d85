"""Content: equal values have equal hashes in any form and process, different values have different ones."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optihedge.content import canonical_text, content_hash
from optihedge.errors import DataError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class Lot:
    quantity: float
    time: pd.Timestamp


class Side(Enum):
    BUY = "buy"


def frame():
    return pd.DataFrame(
        {
            "price": [1.5, -0.0, np.nan],
            "name": ["a", "bc", None],
            "count": [1, 2, 3],
            "time": pd.to_datetime(["2026-01-01", None, "2026-01-02"], utc=True),
            "known": [True, False, True],
        },
        index=pd.Index(["x", "y", "z"], name="instrument"),
    )


def test_the_hash_of_a_plain_value_is_sha256_of_its_sorted_text():
    text = '{"a":[1,null,"é"],"b":2.0}'
    assert canonical_text({"b": 2.0, "a": (1, None, "é")}) == text
    assert content_hash({"b": 2.0, "a": (1, None, "é")}) == hashlib.sha256(text.encode()).hexdigest()


@given(PLAIN, PLAIN)
def test_different_plain_values_have_different_text(one, other):
    assert (canonical_text(one) == canonical_text(other)) == (repr(sorted_keys(one)) == repr(sorted_keys(other)))


def sorted_keys(value):
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [sorted_keys(item) for item in value]
    return value + 0.0 if isinstance(value, float) else value


def test_floats_count_to_the_last_bit_and_zero_has_no_sign():
    assert content_hash(0.1 + 0.2) != content_hash(0.3)
    assert content_hash(-0.0) == content_hash(0.0) == content_hash(np.float64(0))
    assert content_hash(np.array([0.1 + 0.2])) != content_hash(np.array([0.3]))


def test_dataclasses_enums_and_instants_say_their_values():
    stamp = pd.Timestamp("2026-01-20T16:00:00", tz="America/New_York")
    text = '{"quantity":1.5,"time":"2026-01-20T21:00:00.000000000Z"}'
    assert canonical_text(Lot(1.5, stamp)) == canonical_text(Lot(1.5, stamp.tz_convert("UTC").as_unit("s"))) == text
    assert canonical_text({"side": Side.BUY}) == '{"side":"buy"}'


@pytest.mark.parametrize("value", [{1: 2}, object(), {3, 4}, b"bytes", 1 + 2j], ids=lambda v: type(v).__name__)
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(DataError, match="content: "):
        content_hash(value)


@pytest.mark.parametrize(
    "form",
    [
        lambda f: f.copy(),
        lambda f: f.assign(price=[1.5, 0.0, float.fromhex("nan")]),
        lambda f: f.assign(price=0.0 - (0.0 - f["price"])),
        lambda f: f.assign(name=f["name"].astype(object)),
        lambda f: f.assign(name=f["name"].astype("category")),
        lambda f: f.assign(name=pd.Series(["a", "bc", np.nan], index=f.index, dtype=object)),
        lambda f: f.assign(count=f["count"].astype("int16")),
        lambda f: f.assign(time=f["time"].dt.as_unit("ms").dt.tz_convert("Asia/Tokyo")),
        lambda f: f.set_axis(f.index.astype("category")),
        lambda f: f[f.columns[::-1]][f.columns],
    ],
)
def test_storage_does_not_count(form):
    assert content_hash(form(frame())) == content_hash(frame())


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.iloc[::-1],
        lambda f: f[f.columns[::-1]],
        lambda f: f.rename(columns={"price": "prices"}),
        lambda f: f.rename(index={"x": "w"}),
        lambda f: f.rename_axis("label"),
        lambda f: f.assign(price=[np.nextafter(1.5, 2), 0.0, np.nan]),
        lambda f: f.assign(price=[1.5, 0.0, 0.0]),
        lambda f: f.assign(name=["ab", "c", None]),
        lambda f: f.assign(name=["a", "bc", ""]),
        lambda f: f.assign(name=["a", "bc", "None"]),
        lambda f: f.assign(count=f["count"].astype(float)),
        lambda f: f.assign(time=f["time"] + pd.Timedelta(1, "ns")),
        lambda f: f.assign(known=[True, True, True]),
        lambda f: f.iloc[:2],
        lambda f: f.drop(columns="known"),
    ],
)
def test_every_value_label_and_order_counts(change):
    assert content_hash(change(frame())) != content_hash(frame())


def test_arrays_count_their_shape_and_mixed_columns_their_types():
    assert content_hash(np.zeros((2, 3))) != content_hash(np.zeros((3, 2)))
    one, text = pd.Series([1, "1", None], dtype=object), pd.Series(["1", "1", None], dtype=object)
    assert content_hash(one) != content_hash(text)
    assert content_hash(pd.DataFrame()) != content_hash(pd.DataFrame(index=[0]))


def test_a_table_of_numbers_alone_is_hashed_as_one_with_text_beside_it_would_be():
    numbers = pd.DataFrame({"x": [1.0, np.nan], "y": [-0.0, 2.5]})
    parts = [np.array(v, dtype="<f8").tobytes() for v in ([1.0, np.nan], [0.0, 2.5])]
    labels = np.arange(2, dtype="<i8").tobytes() + np.array([1, 1], dtype="<i8").tobytes() + b"xy"
    header = canonical_text([[2, 2], [[None], [None]], ["whole", "text"], ["number", "number"]])
    assert content_hash(numbers) == hashlib.sha256(header.encode() + labels + b"".join(parts)).hexdigest()
    assert content_hash(numbers.astype({"y": "float32"})) == content_hash(numbers)


def test_a_table_inside_a_plain_value_stands_as_its_hash():
    assert content_hash({"table": frame()}) == content_hash({"table": content_hash(frame())})


def test_another_process_says_the_same():
    code = (
        "import pandas as pd; from optihedge.content import content_hash;"
        "print(content_hash({'b': pd.DataFrame({'x': [0.1, None], 'y': ['p', 'qq']}), 'a': {'u', } and 1}))"
    )
    said = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={**os.environ, "PYTHONHASHSEED": seed}).stdout.strip()
        for seed in ("0", "7")
    }  # fmt: skip
    assert said == {content_hash({"a": 1, "b": pd.DataFrame({"x": [0.1, None], "y": ["p", "qq"]})})}
