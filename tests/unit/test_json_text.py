"""JSON text is what the standard library writes, and what has none is refused as it refuses it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobcore.store import json_text

KEYS = st.text() | st.integers() | st.booleans() | st.none() | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


def standard(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


@settings(max_examples=50)
@given(value=JSON)
def test_any_value_has_the_text_that_the_standard_library_writes(value: Any) -> None:
    try:
        expected = standard(value)
    except ValueError as error:
        with pytest.raises(json_text.NotJson, match=str(error)):
            json_text.dumps(value)
    else:
        assert json_text.dumps(value) == expected


def test_a_list_that_contains_itself_is_no_json_and_others_are_written_after_it() -> None:
    endless: list[Any] = []
    endless.append({"inner": endless})
    for _ in range(2):
        with pytest.raises(json_text.NotJson, match="Circular"):
            json_text.dumps(endless)
        assert json_text.dumps([[], []]) == "[[],[]]"


def test_a_list_that_is_nested_too_deep_is_told_from_one_that_contains_itself() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        json_text.dumps(deep)
    assert json_text.storable(deep) is None
