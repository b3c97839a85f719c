"""Command line arguments become the input that the task type's JSON Schema describes."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from longrun_client.inputs import InputError, fields, from_arguments, from_json


class Nested(BaseModel):
    depth: int = 1


class Input(BaseModel):
    """Every shape of field that a task's input model may have."""

    url: str
    max_links: int = 5
    seconds: float = 1.0
    verbose: bool = False
    title: str | None = None
    limit: int | None = None
    mode: Literal["fast", "slow"] = "fast"
    tags: list[str] = []
    sizes: list[int] | None = None
    nested: Nested = Nested()
    headers: dict[str, str] = {}
    anything: Any = None


SCHEMA = Input.model_json_schema()


class Open(BaseModel):
    """What `echo` takes: any object."""

    model_config = ConfigDict(extra="allow")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--url https://example.org", {"url": "https://example.org"}),
        ("--url=--dashes", {"url": "--dashes"}),
        ("--url 42", {"url": "42"}),
        ("--url true", {"url": "true"}),
        ("--max-links 7 --seconds 2", {"max_links": 7, "seconds": 2}),
        ("--max_links -7", {"max_links": -7}),
        ("--max-links 1e3", {"max_links": 1000}),
        ("--seconds 0.5", {"seconds": 0.5}),
        ("--verbose", {"verbose": True}),
        ("--verbose --url x", {"verbose": True, "url": "x"}),
        ("--verbose false", {"verbose": False}),
        ("--title null", {"title": "null"}),
        ("--limit null", {"limit": None}),
        ("--limit 3", {"limit": 3}),
        ("--mode slow", {"mode": "slow"}),
        ("--tags a", {"tags": ["a"]}),
        ("--tags a --tags 2", {"tags": ["a", "2"]}),
        ('--tags ["a","b"] --tags c', {"tags": ["a", "b", "c"]}),
        ("--sizes 1 --sizes 2", {"sizes": [1, 2]}),
        ("--sizes [1,2]", {"sizes": [1, 2]}),
        ('--nested {"depth":2}', {"nested": {"depth": 2}}),
        ("--anything 5", {"anything": 5}),
        ("--anything word", {"anything": "word"}),
    ],
)
def test_each_field_gets_its_type(line: str, expected: dict[str, Any]) -> None:
    got = from_arguments(line.split(), SCHEMA)
    assert got == expected
    assert [type(value) for value in got.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--max-links many", "--max_links: 'many' is not a whole number"),
        ("--max-links 1.5", "--max_links: '1.5' is not a whole number"),
        ("--seconds NaN", "--seconds: 'NaN' is not a number"),
        ("--limit x", "--limit: 'x' is not a whole number or null"),
        ("--verbose maybe", "--verbose: 'maybe' is not true or false"),
        ("--sizes 1 --sizes x", "--sizes: 'x' is not a whole number or a JSON array"),
        ("--url", "--url: its value is missing"),
        ("--url --verbose", "--url: its value is missing"),
        ("--url a --url b", "--url: given 2 times"),
        ("--ulr a", "--ulr: neither an option nor a field of the input: did you mean --url?"),
        ("--zzz a", "--zzz: .* its fields are url, max_links"),
        ("stray", "stray: not expected here"),
        ("-- x", "--: not expected here"),
    ],
)
def test_what_does_not_fit_is_named(line: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint.replace("?", r"\?")):
        from_arguments(line.split(), SCHEMA)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(JSON)
def test_an_open_input_takes_any_json_value_unchanged(value: Any) -> None:
    assert from_arguments(["--any", json.dumps(value)], Open.model_json_schema()) == {"any": value}


@given(st.text().filter(lambda text: not text.startswith("--")))
def test_a_text_field_takes_any_text_as_it_is(text: str) -> None:
    assert from_arguments(["--url", text], SCHEMA) == from_arguments([f"--url={text}"], SCHEMA) == {"url": text}


@given(st.builds(Input, url=st.text(), tags=st.lists(st.text(), min_size=1), anything=JSON))
def test_whatever_the_model_holds_can_be_spelt_in_arguments(wanted: Input) -> None:
    spelt = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in wanted.model_dump(exclude_defaults=True).items()
        if not (name == "anything" and isinstance(value, str))
    }
    got = from_arguments([f"--{name}={text}" for name, text in spelt.items()], SCHEMA)
    assert got == {name: value for name, value in wanted.model_dump().items() if name in spelt}


@pytest.mark.parametrize("text", ["[1]", "5", "", "{", '{"a": NaN}'])
def test_an_input_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--input: "):
        from_json(text, "--input")


def test_each_field_is_described_by_what_it_takes() -> None:
    described = dict(fields(SCHEMA))
    assert described["--url"] == "text; required"
    assert described["--max_links"] == "a whole number; 5 by default"
    assert described["--title"] == "text or null; null by default"
    assert described["--nested"].startswith("a JSON object")
    assert described["--anything"] == "any JSON; null by default"
    assert list(fields({})) == []
