"""Shape the OpenAPI document so that generators make clients that compile, and whose optional fields are optional."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]


def camel_case(name: str) -> str:
    """`submit_task` as `submitTask`, the style of operation ids that every generator leaves as it is."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def for_clients(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """These schemas, for generators."""
    return {name: _open(_named_values(name, _each(schema, _plain))) for name, schema in schemas.items()}


def with_plain_parameters(operation: Schema) -> Schema:
    """The operation with parameters that generators understand."""
    parameters = [
        parameter
        | {"schema": _of_header(parameter["schema"]) if parameter["in"] == "header" else _sent(parameter["schema"])}
        for parameter in operation.get("parameters", [])
    ]
    return operation | {"parameters": parameters} if parameters else operation


def _of_header(schema: Schema) -> Schema:
    """One string: generators know no header that may be repeated.

    Repeated ones mean the same as one with commas (RFC 9110, section 5.3).
    """
    return {"type": "string"} if "array" in str(schema) else _sent(schema)


def _sent(schema: Schema) -> Schema:
    """The schema of a parameter that is sent: nobody can send null.

    openapi-generator also takes the null of a parameter over into every other schema that is equal to the rest of it.
    """
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return {name: value for name, value in schema.items() if name != "anyOf"} | kinds[0] if len(kinds) == 1 else schema


def _each(value: Any, change: Callable[[Schema], Schema]) -> Any:
    """The value with `change` applied to every schema in it."""
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    if isinstance(value, dict):
        return {
            key: {name: change(_each(item, change)) for name, item in member.items()}
            if key == "properties"
            else _each(member, change)
            for key, member in value.items()
        }
    return value


def _plain(schema: Schema) -> Schema:
    """The schema of a property without its default, for which generators would make the field mandatory.

    The description tells the default instead. Titles repeat the name of the property, and some generators make types
    of them.
    """
    default = schema.get("default")
    kept = {key: value for key, value in schema.items() if key not in {"default", "title"}}
    if default is None or default in ({}, []):
        return kept
    shown = "true" if default is True else "false" if default is False else default
    return kept | {"description": f"{kept.get('description', '')} Default: `{shown}`.".strip()}


def _open(schema: Schema) -> Schema:
    """The schema of an object, which says that it may have other fields: answers may gain some.

    This is what JSON Schema means anyway, but generated Go refuses unknown fields unless it is said.
    """
    return {"additionalProperties": True, **schema} if "properties" in schema else schema


def _named_values(name: str, schema: Schema) -> Schema:
    """An enum with a name for each value that begins with the enum's: in Go all enums share one namespace."""
    if "enum" not in schema:
        return schema
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
    names = [re.sub(r"\W", "_", str(value)).upper() for value in schema["enum"]]
    return schema | {"x-enum-varnames": [f"{prefix}_{name}" for name in names]}
