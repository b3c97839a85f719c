"""Which parts of an input are secret: what its model takes as SecretStr, SecretBytes or Secret.

The JSON Schema of the model marks these with `writeOnly`. Where a secret may be, everything is hidden that the schema
does not name: a model may take more than its schema says, such as a second alias. Then the secrets that the model
really found are looked for in what is left; if one is there, the whole input is hidden. So a mistake hides too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic.json_schema import JsonSchemaMode

MASK: Final = "**********"
"""What is shown in place of a secret, as Pydantic does."""
SHORT: Final = 4
"""A text with fewer characters is in other texts by chance."""
SECRETS: Final = (Secret, SecretStr, SecretBytes)

Schema = Mapping[str, Any]


class Hidden(NamedTuple):
    """An input with MASK in place of its secrets, and the texts and numbers that it hides, by their paths."""

    shown: dict[str, Any]
    secrets: tuple[tuple[str, Any], ...]


@cache
def has_secrets(model: type[BaseModel]) -> bool:
    """Whether the model takes secrets anywhere, also if its JSON Schema does not say so."""
    model.model_rebuild()
    pending: list[Any] = [model.__pydantic_core_schema__]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending.extend(node.values())
        elif isinstance(node, list | tuple):
            pending.extend(node)
        elif isinstance(node, type):
            if issubclass(node, SECRETS):
                return True
        elif getattr(node, "__module__", "") == Secret.__module__ and _is_part_of_secret(node):
            return True
    return False


def _is_part_of_secret(function: object) -> bool:
    """Whether Pydantic made this function for a `Secret[…]`, which leaves no class in the schema."""
    return str(getattr(function, "__qualname__", "")).startswith(f"{Secret.__name__}.")


def hidden(model: type[BaseModel], given: Mapping[str, Any]) -> Hidden:
    """What can be shown of an input, as far as the JSON Schema of its model tells."""
    schema = _schema(model, "validation")
    walk = _Walk(schema)
    shown = walk.shown(given, [schema], "input")
    return Hidden(shown if isinstance(shown, dict) else {}, tuple(walk.secrets))


def surely_hidden(found: Hidden, checked: BaseModel) -> dict[str, Any]:
    """What can be shown of an input that the model has read as `checked`: none of its secrets is in there."""
    texts = {_text(secret) for secret in (*(secret for _, secret in found.secrets), *_read(checked))} - {""}
    return next(shown for shown in _attempts(found.shown) if not _is_in(shown, texts))


def _attempts(shown: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield shown
    yield dict.fromkeys(shown, MASK)
    yield {}


def _is_in(shown: Mapping[str, Any], texts: Iterable[str]) -> bool:
    leaves = [_text(leaf) for leaf in _leaves(shown)]
    return any(text == leaf or (len(text) >= SHORT and text in leaf) for text in texts for leaf in leaves)


def hiding(secrets: Iterable[Any]) -> Callable[[str], str]:
    """A function that hides these secrets in a text, but none of less than SHORT characters."""
    texts = sorted({text for secret in secrets if len(text := _text(secret)) >= SHORT}, key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in texts:
            text = text.replace(secret, MASK)
        return text

    return hide


def _text(secret: Any) -> str:
    return secret.decode(errors="replace") if isinstance(secret, bytes) else str(secret)


@cache
def _schema(model: type[BaseModel], mode: JsonSchemaMode) -> Schema:
    return model.model_json_schema(mode=mode)


class _Walk:
    """Walks an input and the schemas of each of its parts side by side."""

    def __init__(self, root: Schema) -> None:
        self._definitions: Mapping[str, Schema] = root.get("$defs", {})
        self.secrets: list[tuple[str, Any]] = []

    def shown(self, value: Any, schemas: Sequence[Schema], path: str) -> Any:
        """The part of the input that the schemas are about, with MASK in place of secrets."""
        flat = [each for schema in schemas for each in self._alternatives(schema)]
        if value is None or not any(map(self.reaches, flat)):
            return value
        if not any(_is_secret(schema) or _is_secret(schema.get("propertyNames", {})) for schema in flat):
            if isinstance(value, dict):
                return {name: self._member(name, each, flat, f"{path}.{name}") for name, each in value.items()}
            if isinstance(value, list):
                return [self._item(i, each, flat, f"{path}[{i}]") for i, each in enumerate(value)]
        return self._masked(value, path)

    def reaches(self, schema: Schema, seen: frozenset[int] = frozenset()) -> bool:
        """Whether a secret is in this schema or below it."""
        if id(schema) in seen:
            return False
        seen |= {id(schema)}
        return any(
            _is_secret(each) or any(self.reaches(part, seen) for part in _parts(each))
            for each in self._alternatives(schema)
        )

    def _member(self, name: str, value: Any, schemas: Sequence[Schema], path: str) -> Any:
        named = [schema["properties"][name] for schema in schemas if name in schema.get("properties", {})]
        rest = [
            other
            for schema in schemas
            if name not in schema.get("properties", {})
            for other in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values())
            if isinstance(other, dict)
        ]
        found = [*named, *rest]
        return self.shown(value, found, path) if found else self._masked(value, path)

    def _item(self, index: int, value: Any, schemas: Sequence[Schema], path: str) -> Any:
        found = [
            item
            for schema in schemas
            for item in (schema.get("items"), *schema.get("prefixItems", ())[index : index + 1])
            if isinstance(item, dict)
        ]
        return self.shown(value, found, path) if found else self._masked(value, path)

    def _masked(self, value: Any, path: str) -> Any:
        self.secrets.extend((path, leaf) for leaf in _leaves(value))
        return value if value is None else MASK

    def _alternatives(self, schema: Schema, seen: frozenset[str] = frozenset()) -> Iterator[Schema]:
        """The schema, and those to which its `$ref`, `anyOf`, `oneOf` and `allOf` lead."""
        yield schema
        reference = str(schema.get("$ref", ""))
        name = reference.rpartition("/")[2]
        if name in self._definitions and name not in seen:
            yield from self._alternatives(self._definitions[name], seen | {name})
        for union in ("anyOf", "oneOf", "allOf"):
            for part in schema.get(union, ()):
                yield from self._alternatives(part, seen)


def _is_secret(schema: Schema) -> bool:
    return schema.get("writeOnly") is True


def _parts(schema: Schema) -> Iterator[Schema]:
    for name in ("properties", "patternProperties"):
        yield from schema.get(name, {}).values()
    yield from schema.get("prefixItems", ())
    for name in ("additionalProperties", "propertyNames", "items"):
        if isinstance(part := schema.get(name), dict):
            yield part


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield name
            yield from _leaves(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _leaves(each)
    elif value is not None and not isinstance(value, bool):
        yield value


def _read(value: Any) -> Iterator[Any]:
    """The texts and numbers of all secrets in what a model has read."""
    if isinstance(value, SECRETS):
        inner = value.get_secret_value()
        yield from _leaves(inner.model_dump() if isinstance(inner, BaseModel) else inner)
    elif isinstance(value, BaseModel):
        yield from _read(list(dict(value).values()))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _read([getattr(value, field.name) for field in fields(value)])
    elif isinstance(value, Mapping):
        yield from _read([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _read(each)
