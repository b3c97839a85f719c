"""Which parts of an input are secret: whatever shape a model takes, no secret is left in what is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from jobcore.sealing.fields import MASK, has_secrets, hidden, hiding, surely_hidden

SECRET = "correct horse"


class Login(BaseModel):
    """A secret below a field that is none."""

    user: str
    password: SecretStr


class Cat(BaseModel):
    """One kind of several."""

    kind: Literal["cat"]
    collar: str


class Key(BaseModel):
    """Another kind."""

    kind: Literal["key"]
    value: SecretStr


class Tree(BaseModel):
    """A model that contains itself."""

    name: str
    token: SecretStr | None = None
    below: list[Tree] = []


@dataclass
class Account:
    """A dataclass in an input."""

    name: str
    pin: SecretStr


class Aliased(BaseModel):
    """A field with several names, and other fields."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    plain: str
    token: Annotated[SecretStr, Field(validation_alias=AliasChoices("api_token", "apiToken"))]


class Untold(BaseModel):
    """Its JSON Schema does not say that there is a secret."""

    plain: str
    token: Annotated[SecretStr, WithJsonSchema({"type": "string"})]


class Split(BaseModel):
    """It finds the secret in a text that its schema does not know."""

    login: Login

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value.get("login"), str):
            user, _, password = value["login"].partition(":")
            return {"login": {"user": user, "password": password}}
        return value


def _model(annotation: Any) -> type[BaseModel]:
    class Input(BaseModel):
        plain: str = ""
        value: annotation

    return Input


CASES: list[tuple[type[BaseModel], dict[str, Any], dict[str, Any]]] = [
    (_model(SecretStr), {"plain": "a", "value": SECRET}, {"plain": "a", "value": MASK}),
    (_model(SecretBytes), {"value": SECRET}, {"value": MASK}),
    (_model(SecretStr | None), {"value": None}, {"value": None}),
    (_model(list[SecretStr]), {"value": [SECRET, "other"]}, {"value": [MASK, MASK]}),
    (_model(tuple[int, SecretStr]), {"value": [1, SECRET]}, {"value": [1, MASK]}),
    (_model(dict[str, SecretStr]), {"value": {"a": SECRET}}, {"value": {"a": MASK}}),
    (_model(dict[SecretStr, str]), {"value": {SECRET: "a"}}, {"value": MASK}),
    (_model(list[Login]), {"value": [{"user": "u", "password": SECRET}]}, {"value": [{"user": "u", "password": MASK}]}),
    (_model(Account), {"value": {"name": "n", "pin": SECRET}}, {"value": {"name": "n", "pin": MASK}}),
    (_model(Login | str), {"value": "a text where a login may be"}, {"value": MASK}),
    (
        _model(Annotated[Cat | Key, Field(discriminator="kind")]),
        {"value": {"kind": "key", "value": SECRET}},
        {"value": {"kind": "key", "value": MASK}},
    ),
    (
        _model(Annotated[Cat | Key, Field(discriminator="kind")]),
        {"value": {"kind": "cat", "collar": "red"}},
        {"value": {"kind": "cat", "collar": "red"}},
    ),
    (
        Tree,
        {"name": "a", "below": [{"name": "b", "token": SECRET}]},
        {"name": "a", "below": [{"name": "b", "token": MASK}]},
    ),
    (Aliased, {"plain": "a", "apiToken": SECRET}, {"plain": "a", "apiToken": MASK}),
    (Aliased, {"plain": "a", "token": SECRET, "more": "b"}, {"plain": "a", "token": MASK, "more": MASK}),
    (Untold, {"plain": "a", "token": SECRET}, {"plain": MASK, "token": MASK}),
    (Split, {"login": f"u:{SECRET}"}, {"login": MASK}),
    (_model(Secret[int]), {"value": 271828}, {"value": MASK}),
    (RootModel[dict[SecretStr, str]], {SECRET: "a"}, {}),
]


@pytest.mark.parametrize(("model", "given", "shown"), CASES)
def test_what_is_shown_of_an_input_has_a_mask_in_place_of_each_secret(
    model: type[BaseModel], given: dict[str, Any], shown: dict[str, Any]
) -> None:
    assert has_secrets(model)
    found = surely_hidden(hidden(model, given), model.model_validate_json(json.dumps(given)))
    assert found == {name: value for name, value in shown.items() if name in given}
    assert SECRET not in json.dumps(found)


def test_an_input_without_secrets_is_known_as_such() -> None:
    assert not has_secrets(_model(str))
    assert not has_secrets(_model(dict[str, list[Cat]]))


def test_a_secret_is_hidden_in_the_texts_about_a_run() -> None:
    hide = hiding([SECRET, b"other secret", "abc"])
    assert hide(f"login with {SECRET} or other secret failed: abc") == f"login with {MASK} or {MASK} failed: abc"
