"""Convert command line arguments to the input of a task, typed by the task type's JSON Schema.

--url https://example.org --max-links 5 --verbose
{"url": "https://example.org", "max_links": 5, "verbose": true}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from longrun_client.errors import LongrunError

Schema = Mapping[str, Any]

JSON_TYPES: Final[Mapping[type, frozenset[str]]] = {
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    str: frozenset({"string"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
    type(None): frozenset({"null"}),
}
ANYTHING: Final[frozenset[str]] = frozenset().union(*JSON_TYPES.values())


class InputError(LongrunError):
    """An argument does not match the task type's input, or the command line is malformed."""


def from_arguments(arguments: Sequence[str], schema: Schema) -> dict[str, Any]:
    """The input from `--key value`, `--key=value` and `--flag`; raises InputError.

    A repeated key makes an array. The value of a text field is taken literally; other values are parsed as JSON.
    """
    given: dict[str, list[str | None]] = {}
    for key, text in _pairs(arguments):
        given.setdefault(_field_name(key, schema), []).append(text)
    return {name: _field_value(name, texts, schema) for name, texts in given.items()}


def from_json(text: str, source: str) -> dict[str, Any]:
    """The input from a JSON object; raises InputError, which names the `source`."""
    try:
        value = _json(text)
    except ValueError as error:
        raise InputError(f"{source}: this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f'{source}: give a JSON object, such as {{"key": "value"}}')
    return value


def fields(schema: Schema) -> Iterator[tuple[str, str]]:
    """Each field of the input as an argument, and what it takes: `--times`, `a whole number; 1 by default`."""
    for name, shape in schema.get("properties", {}).items():
        types = _types(list(_alternatives(shape, schema)))
        takes = (
            "any JSON"
            if types >= ANYTHING
            else " or ".join(filter(None, ["text" * ("string" in types), _spoken(types)]))
        )
        default = "required" if name in schema.get("required", ()) else f"{json.dumps(shape.get('default'))} by default"
        yield f"--{name}", "; ".join(filter(None, [takes, default, shape.get("description", "")]))


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    rest = list(arguments)
    while rest:
        key, equals, text = rest.pop(0).partition("=")
        if not key.startswith("--") or key == "--":
            raise InputError(f"{key}: not expected here; give the input's fields as --name value")
        if equals:
            yield key, text
        elif rest and not rest[0].startswith("--"):
            yield key, rest.pop(0)
        else:
            yield key, None


def _field_name(key: str, schema: Schema) -> str:
    given = key.removeprefix("--")
    known = schema.get("properties", {})
    for name in (given, given.replace("-", "_")):
        if name in known:
            return name
    if schema.get("additionalProperties") or not schema:
        return given
    close = get_close_matches(given.replace("-", "_"), known, 1)
    hint = f"did you mean --{close[0]}?" if close else f"its fields are {', '.join(known) or 'none'}"
    raise InputError(f"{key}: neither an option nor a field of the input: {hint}")


def _field_value(name: str, texts: Sequence[str | None], schema: Schema) -> Any:
    shapes = list(_alternatives(schema.get("properties", {}).get(name, {}), schema))
    types = _types(shapes)
    if len(texts) == 1 and types - {"array", "null"}:
        return _value(name, texts[0], types)
    if "array" not in types:
        raise InputError(f"--{name}: given {len(texts)} times, but takes one value")
    items = [shape["items"] for shape in shapes if "items" in shape] or [{}]
    item_types = _types([leaf for item in items for leaf in _alternatives(item, schema)])
    values = [_value(name, text, item_types | {"array"}) for text in texts]
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _alternatives(shape: Schema | bool, root: Schema) -> Iterator[Schema]:
    """The schema, or the schemas to which its `$ref`, `anyOf`, `oneOf` or `allOf` lead."""
    if isinstance(shape, bool):
        yield {}
    elif "$ref" in shape:
        yield from _alternatives(root.get("$defs", {}).get(str(shape["$ref"]).rpartition("/")[2], {}), root)
    elif union := shape.get("anyOf") or shape.get("oneOf") or shape.get("allOf"):
        for part in union:
            yield from _alternatives(part, root)
    else:
        yield shape


def _types(shapes: Sequence[Schema]) -> frozenset[str]:
    return frozenset().union(*(_types_of(shape) for shape in shapes))


def _types_of(shape: Schema) -> frozenset[str]:
    if "type" in shape:
        return frozenset([shape["type"]] if isinstance(shape["type"], str) else shape["type"])
    constants = shape.get("enum", [shape["const"]] if "const" in shape else [])
    return frozenset().union(*(JSON_TYPES[type(value)] for value in constants)) or ANYTHING


def _value(name: str, text: str | None, types: frozenset[str]) -> Any:
    if text is None:
        if "boolean" in types:
            return True
        raise InputError(f"--{name}: its value is missing (if the value begins with --, write --{name}=VALUE)")
    try:
        value = _json(text)
    except ValueError:
        value = text
    if types >= ANYTHING:
        return value
    if "string" in types and (isinstance(value, str) or value is None):
        return text
    if isinstance(value, float) and value.is_integer() and "number" not in types:
        value = int(value)
    if not isinstance(value, str) and JSON_TYPES[type(value)] & types:
        return value
    if "string" in types:
        return text
    raise InputError(f"--{name}: {text!r} is not {_spoken(types)}")


def _json(text: str) -> Any:
    """Parse strict JSON (RFC 8259), without Python's NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a JSON value")

    return json.loads(text, parse_constant=refuse)


def _spoken(types: frozenset[str]) -> str:
    names = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "null",
             "array": "a JSON array", "object": "a JSON object"}  # fmt: skip
    return " or ".join(spoken for name, spoken in names.items() if name in types)
