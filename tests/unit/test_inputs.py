"""An input from the request's body to the task: what the client sent is stored, and the model reads it at each end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    Base64Bytes,
    BaseModel,
    ByteSize,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    Json,
    RootModel,
    SecretStr,
    Tag,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from jobcore.errors import InvalidInput
from jobcore.models import NewJob
from jobcore.models.caller import OPERATOR
from jobcore.sealing.keys import SecretKeys, new_key
from jobcore.states import Status
from jobcore.tasks import JobContext
from longrun_api.submission import parse, to_job
from tests.unit.running import registered, run_type, type_of

ID = UUID("019a5e0c-7c5e-7b6f-9c53-2f6d8a3b1e47")
SENT_AT = "2026-11-24T12:00:00+05:30"


class Colour(Enum):
    """A choice."""

    RED = "red"


class Aliased(BaseModel):
    """A field that clients know under another name, and one that they may spell in several ways."""

    from_: int = Field(alias="from")
    to: int = Field(validation_alias=AliasChoices("to", "until"))
    first: int = Field(0, validation_alias=AliasPath("pair", 0))


class Camel(BaseModel):
    """Names made by a generator, unknown ones forbidden."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    page_size: int
    deep_one: list[Aliased] = []


class Different(BaseModel):
    """Written under other names than read."""

    n: int = Field(validation_alias="in", serialization_alias="out")


class Strict(BaseModel):
    """Takes no value of another type than declared."""

    model_config = ConfigDict(strict=True, extra="forbid")

    at: datetime
    day: date
    hour: time
    span: timedelta
    id: UUID
    colour: Colour
    price: Decimal
    pair: tuple[int, str]
    numbers: set[int]
    frozen: frozenset[str]
    data: bytes
    address: IPv4Address
    path: Path
    by_id: dict[UUID, int]
    by_number: dict[int, str]


class Area(BaseModel):
    """Has a field of its own making, and forbids unknown ones."""

    model_config = ConfigDict(extra="forbid")

    width: int
    height: int

    @computed_field
    def area(self) -> int:
        """What is not given."""
        return self.width * self.height


class Hidden(BaseModel):
    """Has a field that it never writes."""

    n: int
    token: str = Field(exclude=True)


class Payload(BaseModel):
    """JSON within JSON."""

    payload: Json[dict[str, int]]
    anything: Json[Any]


class Hex(BaseModel):
    """Bytes written otherwise than read."""

    model_config = ConfigDict(val_json_bytes="base64")

    data: bytes


class Encoded(BaseModel):
    """Bytes that are read by a type, and sizes with units."""

    data: Base64Bytes
    size: ByteSize
    url: HttpUrl


class Cat(BaseModel):
    """One of two."""

    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    """The other one."""

    kind: Literal["dog"]
    name: str


class Pets(BaseModel):
    """Which model is meant is said by a field, or by a function."""

    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    other: Annotated[
        Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(lambda value: value["kind"])
    ]


class Doubling(BaseModel):
    """A validator that must not be run on what it made itself."""

    n: int
    name: str

    @field_validator("n")
    @classmethod
    def double(cls, value: int) -> int:
        """Twice as much."""
        return 2 * value

    @model_validator(mode="before")
    @classmethod
    def rename(cls, data: Any) -> Any:
        """Take it under its old name alone."""
        return {"n": data["n"], "name": data["title"]}


class Open(BaseModel):
    """Keeps what it does not know."""

    model_config = ConfigDict(extra="allow")

    n: int = 1


Mapped = RootModel[dict[str, list[int]]]

CASES: dict[str, tuple[type[BaseModel], dict[str, Any], Callable[[Any], Any], Any]] = {
    "alias": (Aliased, {"from": 1, "until": 2, "pair": [3]}, lambda seen: (seen.from_, seen.to, seen.first), (1, 2, 3)),
    "camelCase": (
        Camel,
        {"pageSize": 5, "deepOne": [{"from": 1, "to": 2}]},
        lambda seen: (seen.page_size, seen.deep_one[0].from_),
        (5, 1),
    ),
    "read and written under different names": (Different, {"in": 1}, lambda seen: seen.n, 1),
    "strict": (
        Strict,
        {
            "at": SENT_AT,
            "day": "2026-11-24",
            "hour": "12:30:00",
            "span": "PT1H",
            "id": str(ID),
            "colour": "red",
            "price": "1.10",
            "pair": [1, "a"],
            "numbers": [1, 2],
            "frozen": ["a"],
            "data": "bytes",
            "address": "192.0.2.1",
            "path": "/a/b",
            "by_id": {str(ID): 1},
            "by_number": {"7": "seven"},
        },
        lambda seen: tuple(dict(seen).values()),
        (
            datetime.fromisoformat(SENT_AT),
            date(2026, 11, 24),
            time(12, 30),
            timedelta(hours=1),
            ID,
            Colour.RED,
            Decimal("1.10"),
            (1, "a"),
            {1, 2},
            frozenset({"a"}),
            b"bytes",
            IPv4Address("192.0.2.1"),
            Path("/a/b"),
            {ID: 1},
            {7: "seven"},
        ),
    ),
    "computed field, extra forbidden": (Area, {"width": 2, "height": 3}, lambda seen: seen.area, 6),
    "excluded field": (Hidden, {"n": 1, "token": "t"}, lambda seen: seen.token, "t"),
    "JSON in JSON": (
        Payload,
        {"payload": '{"a": 1}', "anything": "[1.50]"},
        lambda seen: (seen.payload, seen.anything),
        ({"a": 1}, [1.5]),
    ),
    "bytes read as base64": (Hex, {"data": "AP-_"}, lambda seen: seen.data, b"\x00\xff\xbf"),
    "encoded bytes, sizes, URLs": (
        Encoded,
        {"data": "AP8=", "size": "1 KiB", "url": "http://EXAMPLE.com"},
        lambda seen: (seen.data, seen.size, str(seen.url)),
        (b"\x00\xff", 1024, "http://example.com/"),
    ),
    "discriminated unions": (
        Pets,
        {"pet": {"kind": "dog", "name": "Rex"}, "other": {"kind": "cat"}},
        lambda seen: (seen.pet.name, seen.other.lives),
        ("Rex", 9),
    ),
    "validators with effects": (Doubling, {"n": 3, "title": "t"}, lambda seen: (seen.n, seen.name), (6, "t")),
    "root model": (Mapped, {"a": [1], "b": []}, lambda seen: seen.root, {"a": [1], "b": []}),
    "unknown fields kept": (
        Open,
        {"x": {"y": [None, True, 1.0, -0.0, 1e300, 10**30]}},
        lambda seen: json.dumps(seen.model_extra),
        '{"x": {"y": [null, true, 1.0, -0.0, 1e+300, 1000000000000000000000000000000]}}',
    ),
}


def accepted(model: type[BaseModel], sent: Mapping[str, Any]) -> NewJob:
    """The job that a request with this input becomes."""
    body = json.dumps({"task_type": "t", "input": sent})
    registry, keys = registered(type_of(lambda _ctx, _input: None, model)), SecretKeys([new_key()])
    return to_job(parse(body.encode()), registry, None, OPERATOR, keys)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_task_sees_what_its_model_makes_of_what_the_client_sent(case: Any) -> None:
    model, sent, look, expected = case
    job = accepted(model, sent)
    assert json.dumps(json.loads(str(job.input))) == json.dumps(sent), "stored as it was sent"
    seen: list[Any] = []

    def function(_ctx: JobContext, input: Any) -> None:
        seen.append(look(input))

    outcome = run_type(type_of(function, model), str(job.input))
    assert (outcome.status, outcome.error) == (Status.SUCCESS, None)
    assert seen == [expected]


def test_a_validator_runs_once_at_each_end() -> None:
    calls = []

    class Counting(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def count(cls, value: int) -> int:
            calls.append(value)
            return value

    job = accepted(Counting, {"n": 1})
    assert calls == [1]
    run_type(type_of(lambda _ctx, _input: None, Counting), str(job.input))
    assert calls == [1, 1]


def test_defaults_are_those_of_the_version_that_runs_the_job() -> None:
    class Older(BaseModel):
        model_config = ConfigDict(extra="forbid")
        n: int

    class Newer(Older):
        depth: int = 3

    job = accepted(Newer, {"n": 1})
    assert json.loads(str(job.input)) == {"n": 1}
    assert run_type(type_of(lambda _ctx, _input: None, Older), str(job.input)).status is Status.SUCCESS


@pytest.mark.parametrize(
    ("model", "sent", "field"),
    [
        (Aliased, {"from_": 1, "to": 2}, "input.from"),
        (Camel, {"page_size": 1}, "input.pageSize"),
        (Area, {"width": 1, "height": 1, "area": 1}, "input.area"),
        (Payload, {"payload": {"a": 1}, "anything": "1"}, "input.payload"),
        (Doubling, {"n": 1}, "input"),
        (Mapped, {"a": "no"}, "input.a"),
    ],
)
def test_what_the_model_refuses_is_refused_at_the_door_by_the_name_that_clients_use(
    model: type[BaseModel], sent: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        accepted(model, sent)
    assert field in [error.field for error in refused.value.errors]


@pytest.mark.parametrize(("model", "names"), [(Camel, "pageSize, deepOne"), (Area, "width, height")])
def test_an_unknown_field_is_told_the_names_that_clients_use(model: type[BaseModel], names: str) -> None:
    with pytest.raises(InvalidInput, match=f"input.other: unknown field; known fields: {names}"):
        accepted(model, {"other": 1})


def test_a_refusal_shows_no_value_of_the_input() -> None:
    class Checked(BaseModel):
        password: SecretStr
        n: int

        @field_validator("password")
        @classmethod
        def check(cls, value: SecretStr) -> SecretStr:
            raise ValueError("is too short")

    with pytest.raises(InvalidInput) as refused:
        accepted(Checked, {"password": "hunter2", "n": "hunter3"})
    assert "hunter" not in str(refused.value)


def test_results_have_the_names_and_forms_that_the_output_schema_says() -> None:
    class Out(BaseModel):
        model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

        page_count: int
        at: datetime
        price: Decimal
        n: int = Field(1, serialization_alias="number")
        token: str = Field("secret", exclude=True)

        @computed_field
        def twice(self) -> int:
            """Made when it is written."""
            return 2 * self.page_count

    def function(_ctx: JobContext, _input: Any) -> Out:
        return Out(page_count=2, at=datetime(2026, 1, 2, tzinfo=UTC), price=Decimal("1.10"))

    outcome = run_type(type_of(function, output_model=Out), "{}")
    assert json.loads(outcome.result) == {
        "pageCount": 2,
        "at": "2026-01-02T00:00:00Z",
        "price": "1.10",
        "number": 1,
        "twice": 4,
    }
    assert set(json.loads(outcome.result)) == set(Out.model_json_schema(mode="serialization")["properties"])
