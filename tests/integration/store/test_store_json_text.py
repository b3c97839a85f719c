"""Whatever `problems` accepts, PostgreSQL stores and gives back equal; what it refuses is refused for cause."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from jobcore.store import json_text
from jobcore.store.database import RowRefused
from tests.integration.store.world import World

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
NUMBERS = st.integers() | st.integers(-(10**1001), 10**1001) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(ANY_TEXT, inner, max_size=5),
    max_leaves=12,
)


def store(connection: Connection, value: Any) -> Any:
    statement = text("SELECT CAST(:value AS jsonb)")
    return connection.execute(statement, {"value": json_text.dumps(value)}).scalar()


def same(stored: Any, given: Any) -> bool:
    """Equal, where a number with a fraction or an exponent may come back written out: 1e23 as 10**23."""
    if isinstance(given, float):
        return isinstance(stored, int | float) and float(stored) == given
    if isinstance(given, dict):
        return stored.keys() == given.keys() and all(same(stored[key], given[key]) for key in given)
    if isinstance(given, list):
        return len(stored) == len(given) and all(map(same, stored, given))
    return type(stored) is type(given) and stored == given


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=JSON)
def test_what_is_accepted_comes_back_equal(world: World, value: Any) -> None:
    if not list(json_text.problems(value, "input")):
        assert same(world.call(store, value), value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a\0b", "input"),
        ({"a": [1, "\0"]}, "input.a[1]"),
        ({"a": {"\0": 1}}, "input.a.'\\x00'"),
        ({"a": {"b": "\ud800"}}, "input.a.b"),
        (["\udfff"], "input[0]"),
        ({"x": float("nan")}, "input.x"),
        ({"x": float("-inf")}, "input.x"),
    ],
)
def test_what_is_refused_is_named_by_its_path_and_postgresql_refuses_it_too(
    world: World, value: Any, path: str
) -> None:
    assert [where for where, _ in json_text.problems(value, "input")] == [path]
    with pytest.raises(RowRefused):
        world.call(store, value)


def test_the_largest_number_accepted_is_stored(world: World) -> None:
    for number in (json_text.MAX_NUMBER, -json_text.MAX_NUMBER):
        assert list(json_text.problems(number, "n")) == []
        assert world.call(store, number) == number
        assert [path for path, _ in json_text.problems(number * 10, "n")] == ["n"]


def test_nesting_is_accepted_up_to_its_limit(world: World) -> None:
    value: Any = 1
    for _ in range(json_text.MAX_DEPTH - 1):
        value = [value]
    assert list(json_text.problems(value, "input")) == []
    assert world.call(store, value) == value
    assert len(list(json_text.problems([value], "input"))) == 1


@given(value=JSON)
def test_what_is_storable_for_sure_has_no_problems_and_what_has_none_is_storable(value: Any) -> None:
    text = json_text.storable(value)
    problems = list(json_text.problems(value, "input"))
    assert text is None or not problems
    if not problems and "\\u0000" not in json_text.dumps(value):
        assert text == json_text.dumps(value)


@pytest.mark.parametrize("inner", [1, "]", {"}": "{"}, [], {}, [[], {}]])
@pytest.mark.parametrize("levels", [1, 90, *range(95, 103), 150])
def test_nesting_is_seen_in_the_text_as_it_is_in_the_value(levels: int, inner: Any) -> None:
    value: Any = inner
    for level in range(levels):
        value = {"[": value} if level % 3 else [value, [], '\\"[[[']
    deep = bool(list(json_text.problems(value, "input")))
    assert deep <= (json_text.storable(value) is None)
    if levels < json_text.MAX_DEPTH - 3:
        assert json_text.storable(value) == json_text.dumps(value)


def test_a_number_that_may_be_too_large_is_never_storable_for_sure() -> None:
    for value in (10**1000, -(10**1000), "9" * 1001, [10**1001], {"a": [-(10**4000)]}, 10**5000):
        assert json_text.storable([value]) is None
    assert json_text.storable([10**999, "0" * 1000]) is not None


def test_every_problem_is_told_not_only_the_first() -> None:
    assert [path for path, _ in json_text.problems({"a": "\0", "b": ["\0"]}, "input")] == ["input.a", "input.b[0]"]
