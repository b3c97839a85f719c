"""The form for an input: what is sent back unchanged is the same input, and nothing that is hidden is sent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from starlette.datastructures import ImmutableMultiDict

from longrun_api.console import input_forms


class Inner(BaseModel):
    """A part of an input."""

    n: int


class Everything(BaseModel):
    """An input with every kind of field."""

    text: str
    number: float = 0
    count: int | None = None
    yes: bool = False
    inner: Inner | None = None
    password: SecretStr | None = None


SCHEMA = Everything.model_json_schema()


@pytest.mark.parametrize(
    "value",
    [
        {"text": "a"},
        {"text": "", "number": 1.5, "count": 3, "yes": True, "inner": {"n": 1}},
        {"text": "two\nlines", "count": None, "yes": False},
        {"text": "line\r\nends \x1b", "unknown": [1, {"a": None}]},
        {"text": ' "quoted" null '},
    ],
)
@pytest.mark.parametrize("schema", [SCHEMA, {}], ids=["a field each", "as JSON"])
def test_a_form_that_nobody_changes_is_the_same_input(schema: dict[str, Any], value: dict[str, Any]) -> None:
    asked = input_forms.fields(schema, value)
    sent = ImmutableMultiDict([(field.name, field.text.replace("\n", "\r\n")) for field in asked])
    assert input_forms.read(asked, sent) == value


def test_a_secret_is_asked_for_again() -> None:
    asked = {field.name: field for field in input_forms.fields(SCHEMA, {"text": "a", "password": "**********"})}
    assert asked["input.password"].text == ""
    assert asked["input.password"].description.startswith(input_forms.ASK_AGAIN)


def test_a_field_that_is_no_json_is_named() -> None:
    asked = input_forms.fields(SCHEMA, {"text": "a"})
    with pytest.raises(input_forms.NoJson) as raised:
        input_forms.read(asked, ImmutableMultiDict([("input.text", "a"), ("input.number", "one")]))
    assert raised.value.args[0] == "input.number"
