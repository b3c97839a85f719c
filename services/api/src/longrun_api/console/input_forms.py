"""Fields of forms. An input has one for each property of the JSON Schema of its task type, or one for all as JSON."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from jobcore.sealing.fields import MASK
from longrun_api.console.forms import Form
from longrun_api.console.inner_api import Refused

WHOLE: Final = "input"
"""The name of the one field of an input without a schema, and what the names of the others begin with."""
SIMPLE: Final = {"string": "text", "integer": "number", "number": "number", "boolean": "choice"}
LONG: Final = 80
ASK_AGAIN: Final = "It has a secret, which nobody is shown: enter it again."
_CHOICES: Final = ("true", "false")


@dataclass(frozen=True, slots=True)
class Field:
    """A field as the page shows it. `name` is that of the error which the API has for it."""

    name: str
    label: str
    kind: str
    """`text` is taken as it is; `number`, `choice` and `json` are JSON."""
    text: str
    description: str = ""
    choices: tuple[str, ...] = ()
    is_required: bool = False

    @property
    def is_long(self) -> bool:
        """Whether it needs several lines."""
        return self.kind == "json" or len(self.text) > LONG or "\n" in self.text


class NoJson(Exception):
    """A field that must be JSON is not; the arguments are its name and what is wrong."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a form, by its fields and as a whole, and the status of the page that says so."""

    errors: Mapping[str, str]
    detail: str
    status: int


NOTHING: Final = Wrong({}, "", 200)
"""Nothing is wrong."""


def fields(schema: Mapping[str, Any], value: Mapping[str, Any]) -> list[Field]:
    """The fields of an input with this schema, filled with a value."""
    known = schema.get("properties", {})
    if not known:
        return [Field(WHOLE, "Input (JSON)", "json", _as_json(value))]
    required = schema.get("required", ())
    extra: dict[str, Any] = {name: {} for name in value if name not in known}
    return [_field(name, about, value, name in required) for name, about in {**known, **extra}.items()]


def read(asked: list[Field], form: Form) -> dict[str, Any] | Any:
    """The input that a form with these fields has; an optional field that is empty is left out. Raises NoJson."""
    if [field.name for field in asked] == [WHOLE]:
        return _parsed(asked[0], form.get(WHOLE, ""))
    return members(asked, form)


def wrong(error: NoJson | Refused, shown: Container[int]) -> Wrong:
    """What a form says of a refusal, if its status is one of those `shown`; raises it otherwise."""
    if isinstance(error, NoJson):
        name, message = error.args
        return Wrong({name: message}, "", 422)
    if error.status not in shown:
        raise error
    return Wrong(error.fields, error.detail, error.status)


def members(asked: Iterable[Field], form: Form) -> dict[str, Any]:
    """The values of these fields by their names, without those that are optional and empty; raises NoJson."""
    return dict(_members(asked, form))


def filled(field: Field, value: Any) -> Field:
    """The field with this value; None is nothing."""
    return replace(field, text="" if value is None else value if field.kind == "text" else _as_json(value))


def refilled(asked: Iterable[Field], form: Form) -> list[Field]:
    """The fields with what the form has sent."""
    return [replace(each, text=form.get(each.name, "")) for each in asked]


def _field(name: str, about: Mapping[str, Any], value: Mapping[str, Any], is_required: bool) -> Field:
    kind = SIMPLE.get(str(about.get("type")), "json")
    description, text = str(about.get("description", "")), ""
    if name in value:
        given = value[name]
        if MASK in _as_json(given):
            description = f"{ASK_AGAIN} {description}"
        elif kind == "text" and isinstance(given, str) and _keeps(given):
            text = given
        else:
            kind, text = "json" if kind == "text" else kind, _as_json(given)
    choices = _CHOICES if kind == "choice" else ()
    return Field(f"{WHOLE}.{name}", str(about.get("title") or name), kind, text, description, choices, is_required)


def _keeps(text: str) -> bool:
    """Whether a field of a form sends this text back as it is: line ends and control characters would change."""
    return text != "" and all(character == "\n" or character >= " " for character in text)


def _members(asked: Iterable[Field], form: Form) -> Iterator[tuple[str, Any]]:
    for field in asked:
        text = form.get(field.name, "").replace("\r\n", "\n")
        if text or (field.is_required and field.kind == "text"):
            yield field.name.removeprefix(f"{WHOLE}."), text if field.kind == "text" else _parsed(field, text)


def _parsed(field: Field, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise NoJson(field.name, f"is no JSON: {error}") from None


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
