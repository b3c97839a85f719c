"""`longrun.submit` in the database accepts what `POST /tasks` accepts, and refuses the rest at the same field."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import uuid4

import psycopg
import pytest
from pydantic import BaseModel, ConfigDict, Field

from jobcore.errors import InvalidValue, LongrunError
from jobcore.files.names import checked_name
from jobcore.models.caller import OPERATOR
from jobcore.store import task_types
from jobcore.store.database import Database
from jobcore.tasks import Registry, RetryPolicy, TaskType
from longrun_api.problems import MalformedJson
from longrun_api.submission import parse, to_job


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=2, max_length=5)
    weight: float = Field(1.0, gt=0, lt=100)
    parts: list[Part] = []


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = Field(ge=1, le=10)
    ratio: float = 0.5
    flag: bool = False
    text: str | None = None
    colour: Colour = Colour.RED
    mode: Literal["fast", "slow"] = "fast"
    at: datetime | None = None
    parts: list[Part] = Field([], max_length=2)
    labels: dict[str, int] = {}
    either: int | str = 1
    renamed: str = Field("", alias="otherName")


def everything(ctx: object, value: Everything) -> Everything:
    raise AssertionError(ctx, value)


TYPE = TaskType(
    name="everything", function=everything, input_model=Everything, output_model=Everything, queue="own-queue",
    description="", retry=RetryPolicy(max_attempts=7), timeout_s=9.0, example=None,
)  # fmt: skip
REGISTRY = Registry()
REGISTRY.add(TYPE)
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def later(days: float) -> str:
    return (NOW + days * DAY).isoformat()


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing but what is required": {},
    "every option": {
        "queue": "a.b-c_1", "priority": 9, "timeout_s": 0.5, "max_attempts": 100, "concurrency_key": "k",
        "rate_key": "r", "fairness_key": "ü" * 200, "retry": {"backoff_s": 1, "backoff_max_s": 2, "jitter": 1},
        "tags": ["a"] * 20,
        "metadata": {"a": [1, None, "x"]}, "delay_s": 366 * 86_400, "dedupe_key": "d", "expires_at": later(400),
    },
    "nulls": dict.fromkeys(
        ["queue", "timeout_s", "max_attempts", "concurrency_key", "retry", "run_at", "delay_s", "expires_at"]
    ),
    "whole floats": {"priority": 5.0, "max_attempts": 3.0},
    "a time": {"run_at": later(365)},
    "a past time": {"run_at": later(-365)},
    "lower case": {"run_at": "2026-11-24t12:00:00.123456z"},
    "an owner": {"owner": "ü" * 200, "concurrency_key": "k", "rate_key": "r", "dedupe_key": "d"},
    "no files": {"files": {}}, "null files": {"files": None},
    "a webhook": {"webhook": {"url": "https://example.com"}}, "no webhook": {"webhook": None},
    "a webhook with every option": {
        "webhook": {"url": "HTTP://[::1]:8080/a?b=c#d", "events": ["task.running"], "format": "cloudevents"}
    },
    "deep metadata": {"metadata": {"a": nested(98)}},
}  # fmt: skip
REFUSED: dict[str, dict[str, Any]] = {
    "task_type": {"task_type": "nobody's"}, "task_type missing": {"task_type": None},
    "input": {"input": None}, "input list": {"input": []}, "input text": {"input": "x"},
    "queue": {"queue": "Upper"}, "queue long": {"queue": "q" * 64}, "queue dot": {"queue": ".q"},
    "queue number": {"queue": 5}, "queue newline": {"queue": "q\n"},
    "priority": {"priority": 10}, "priority below": {"priority": -1}, "priority half": {"priority": 1.5},
    "priority text": {"priority": "1"}, "priority true": {"priority": True},
    "timeout_s": {"timeout_s": 0}, "timeout_s long": {"timeout_s": 604_801},
    "max_attempts": {"max_attempts": 0}, "max_attempts many": {"max_attempts": 101},
    "concurrency_key": {"concurrency_key": ""}, "fairness_key": {"fairness_key": "x" * 201},
    "owner": {"owner": ""}, "owner long": {"owner": "x" * 201}, "owner control": {"owner": "a\nb"},
    "owner number": {"owner": 5}, "fairness_key owned": {"owner": "a", "fairness_key": "k"},
    "concurrency_key of an owner": {"concurrency_key": "a\x1fk"}, "rate_key of an owner": {"rate_key": "a\x1f"},
    "dedupe_key of an owner": {"dedupe_key": "a\x1fk"},
    "dedupe_key": {"dedupe_key": 5}, "delay_s": {"delay_s": -0.1}, "delay_s long": {"delay_s": 366 * 86_400 + 1},
    "run_at": {"run_at": later(367)}, "run_at naive": {"run_at": "2026-11-24T12:00:00"},
    "run_at number": {"run_at": 5}, "run_at date": {"run_at": "2026-11-24"},
    "run_at month": {"run_at": "2026-13-24T12:00:00Z"}, "run_at day": {"run_at": "2026-02-30T12:00:00Z"},
    "delay_s both": {"delay_s": 1, "run_at": later(1)},
    "expires_at": {"expires_at": later(-1)}, "expires_at early": {"expires_at": later(1), "delay_s": 172_800},
    "expires_at late": {"expires_at": later(733)},
    "retry": {"retry": 5}, "retry.backoff_s": {"retry": {"backoff_s": 601}},
    "retry.jitter": {"retry": {"jitter": 1.1}}, "retry.backoff_max_s": {"retry": {"backoff_max_s": "1"}},
    "retry.more": {"retry": {"more": 1}},
    "tags": {"tags": ["a"] * 21}, "tags text": {"tags": "a"}, "tags[1]": {"tags": ["a", ""]},
    "tags[0]": {"tags": ["x" * 65]}, "tags[0] number": {"tags": [1]},
    "metadata": {"metadata": {"a": "x" * 16_384}}, "metadata list": {"metadata": []},
    "files": {"files": 5}, "files many": {"files": {str(number): str(uuid4()) for number in range(101)}},
    "files twice": {"files": dict.fromkeys("ab", "01a20d81-31b7-76ab-b173-71d2561d351f")},
    "files.a": {"files": {"a": "no id"}}, "files.a number": {"files": {"a": 5}}, "files.a/b": {"files": {"a/b": ""}},
    "webhook": {"webhook": 5}, "webhook.more": {"webhook": {"url": "https://example.com", "more": 1}},
    "webhook.url": {"webhook": {}}, "webhook.url long": {"webhook": {"url": f"https://example.com/{'x' * 2048}"}},
    **{
        f"webhook.url {url}": {"webhook": {"url": url}}
        for url in ("ftp://example.com", "example.com", "https://", "https://a:b@example.com/", "https://a.b:65536/")
    },
    **{
        f"webhook.events {events}": {"webhook": {"url": "https://example.com", "events": events}}
        for events in ([], None, 5, ["task.failed"] * 5)
    },
    "webhook.events[1]": {"webhook": {"url": "https://example.com", "events": ["task.failed", "task.pending"]}},
    "webhook.format": {"webhook": {"url": "https://example.com", "format": None}},
    "unknown": {"unknown": 1}, "idempotency_key": {"idempotency_key": "k"}, "schedule_id": {"schedule_id": None},
}  # fmt: skip
INPUTS: dict[str, dict[str, Any]] = {
    "numbers as text": {"count": "5", "ratio": "0.25", "flag": "yes"}, "bool as number": {"flag": 1},
    "whole float": {"count": 5.0}, "null": {"text": None}, "a time": {"at": "2026-11-24T12:00:00Z"},
    "a time as number": {"at": 1_700_000_000}, "parts": {"parts": [{"name": "ab", "parts": [{"name": "cd"}]}]},
    "labels": {"labels": {"a": 1}}, "either": {"either": "x"}, "alias": {"otherName": "x"}, "enum": {"colour": "blue"},
}  # fmt: skip
REFUSED_INPUTS: dict[str, dict[str, Any]] = {
    "input.count": {"count": None}, "input.count low": {"count": 0}, "input.count high": {"count": 11},
    "input.count half": {"count": 1.5}, "input.count text": {"count": "many"}, "input.count list": {"count": [1]},
    "input.ratio": {"ratio": "much"}, "input.flag": {"flag": []}, "input.text": {"text": 5},
    "input.colour": {"colour": "green"}, "input.mode": {"mode": "medium"}, "input.at": {"at": []},
    "input.parts": {"parts": {}}, "input.parts many": {"parts": [{"name": "ab"}] * 3},
    "input.parts[0].name": {"parts": [{}]}, "input.parts[0].name short": {"parts": [{"name": "a"}]},
    "input.parts[0].name long": {"parts": [{"name": "abcdef"}]},
    "input.parts[0].weight": {"parts": [{"name": "ab", "weight": 0}]},
    "input.parts[1].weight": {"parts": [{"name": "ab"}, {"name": "ab", "weight": 100}]},
    "input.parts[0].parts[0].more": {"parts": [{"name": "ab", "parts": [{"name": "ab", "more": 1}]}]},
    "input.labels.a": {"labels": {"a": "x"}}, "input.more": {"more": 1}, "input.renamed": {"renamed": "x"},
}  # fmt: skip


def body(**fields: Any) -> str:
    return json.dumps({"task_type": "everything", "input": {"count": 1}, **fields})


def of_input(fields: dict[str, Any]) -> str:
    return body(input={"count": 1, **fields})


@pytest.fixture
def app(database_url: str) -> Iterator[psycopg.Connection]:
    database = Database(database_url, name="test")
    database.call(task_types.publish, [TYPE])
    database.close()
    with psycopg.connect(database_url) as connection:
        yield connection
        connection.rollback()


def posted(text: str) -> str | None:
    """The field that `POST /tasks` refuses; None if it accepts."""
    try:
        to_job(parse(text.encode()), REGISTRY, None, OPERATOR)
    except MalformedJson:
        return "submission"
    except LongrunError as error:
        return str(error).partition(":")[0]
    return None


def inside(app: psycopg.Connection, text: str) -> str | None:
    """The field that the function refuses; None if it accepts."""
    try:
        with app.transaction():
            app.execute("SELECT longrun.submit(CAST(%s AS text))", [text])
    except psycopg.Error as error:
        refused = error
    else:
        return None
    assert refused.sqlstate == "LR422", refused
    assert str(refused.diag.message_primary).startswith(f"{refused.diag.column_name}: ")
    return refused.diag.column_name


def test_it_accepts_what_a_post_accepts(app: psycopg.Connection) -> None:
    texts = {name: body(**fields) for name, fields in ACCEPTED.items()}
    texts |= {name: of_input(fields) for name, fields in INPUTS.items()}
    assert {name: posted(text) for name, text in texts.items()} == dict.fromkeys(texts)
    assert {name: inside(app, text) for name, text in texts.items()} == dict.fromkeys(texts)


def test_it_refuses_what_a_post_refuses_at_the_same_field(app: psycopg.Connection) -> None:
    texts = {name: body(**fields) for name, fields in REFUSED.items()}
    texts |= {name: of_input(fields) for name, fields in REFUSED_INPUTS.items()}
    expected = {name: name.partition(" ")[0] for name in texts} | {"retry.more": "retry"}
    assert {name: inside(app, text) for name, text in texts.items()} == expected
    assert {name: posted(text) is not None for name, text in texts.items()} == dict.fromkeys(texts, True)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{", '{"task_type": "everything", "input": {"count": 1e999}}',
        '{"task_type": "everything", "input": {"count": 1}, "metadata": {"a": "\\u0000"}}',
        '{"task_type": "everything", "input": {"count": 1}, "metadata": {"a": "\\ud800"}}',
        body(metadata={"a": nested(120)}), "[" * 500_000, '{"a": ' * 9_000, body(metadata={"a": 10**1001}),
        body(metadata={"a": "x" * 1_048_576}),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_as_a_whole(app: psycopg.Connection, text: str) -> None:
    assert inside(app, text) in ("submission", "metadata")
    if len(text) < 1_000_000:
        assert posted(text) is not None


def test_it_refuses_the_names_of_files_that_a_post_refuses(app: psycopg.Connection) -> None:
    unseen = [chr(code) for code in range(1, 0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp")]
    odd = [f"a{char}b" for char in unseen] + ["", ".", "..", "a/b", "a\\b", " a", "a\u3000", "x" * 201, "ü" * 128]
    good = ["a", "a b", ".a", "x" * 200, "ü" * 127, "मराठी\u200d", "👩‍🔬"]
    for name in odd + good:
        with pytest.raises(psycopg.Error) as error, app.transaction():  # there is no such file
            app.execute("SELECT longrun.submit(CAST(%s AS text))", [body(files={name: str(uuid4())})])
        refused = str(error.value.diag.message_primary)
        try:
            checked_name(name)
        except InvalidValue:
            assert ": the name must" in refused, ascii(name)
        else:
            assert "waits for a submission" in refused, ascii(name)


def test_a_job_has_what_its_task_type_says_unless_the_submission_does(app: psycopg.Connection) -> None:
    assert inside(app, body()) is None
    assert inside(app, body(queue="other", max_attempts=1, timeout_s=1)) is None
    rows = app.execute("SELECT queue, max_attempts, timeout_s FROM longrun.jobs ORDER BY id").fetchall()
    assert rows == [("own-queue", 7, 9.0), ("other", 1, 1.0)]


def test_a_job_of_an_owner_is_stored_as_a_post_stores_it(app: psycopg.Connection) -> None:
    given = body(owner="alice", concurrency_key="k", rate_key="r", dedupe_key="d")
    assert inside(app, given) is None
    posted_job = to_job(parse(given.encode()), REGISTRY, None, OPERATOR)
    columns = ("owner", "concurrency_key", "rate_key", "fairness_key", "dedupe_key")
    row = app.execute(f"SELECT {', '.join(columns)} FROM longrun.jobs").fetchone()
    assert row == tuple(getattr(posted_job, column) for column in columns)
    assert row == ("alice", "alice\x1fk", "alice\x1fr", "alice\x1f", "alice\x1fd")


def test_a_webhook_is_stored_as_a_post_stores_it(app: psycopg.Connection) -> None:
    urls = ["https://Example.com./a?b", "http://a_b.example:8080/", "https://[2001:DB8::1]/x", "http://127.0.0.1/#y"]
    for url in urls:
        given = body(webhook={"url": url, "events": ["task.running"]})
        assert inside(app, given) is None
        wanted = to_job(parse(given.encode()), REGISTRY, None, OPERATOR).webhook
        assert wanted is not None
        row = app.execute("SELECT webhook FROM longrun.jobs ORDER BY id DESC LIMIT 1").fetchone()
        assert row is not None
        assert row[0] == {"url": url, "host": wanted.host, "events": ["task.running"], "format": "standard"}
