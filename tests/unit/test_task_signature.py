"""The input and output of a plain function are those of its signature; what cannot be a task is refused in one line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel, Field, HttpUrl, ValidationError

from jobcore import JobContext
from jobcore.tasks import Registry, TaskType, decorator, task
from jobcore.worker.results import result_of

CONTEXT = cast("JobContext", object())
MAX_BYTES = 1000


class Thumbnail(BaseModel):
    path: str


@dataclass
class Size:
    width: int
    height: int


class Opaque:
    pass


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of this test's own."""
    own = Registry()
    monkeypatch.setattr(decorator, "registry", own)
    return own


def run(task_type: TaskType, text: str) -> str:
    """The JSON result of a call with this JSON input."""
    args, kwargs = task_type.arguments(CONTEXT, task_type.input_model.model_validate_json(text))
    return result_of(task_type, task_type.function(*args, **kwargs), MAX_BYTES)


def problems(task_type: TaskType, text: str) -> list[tuple[str, ...]]:
    """The fields that the input model refuses."""
    with pytest.raises(ValidationError) as raised:
        task_type.input_model.model_validate_json(text)
    return [tuple(map(str, problem["loc"])) for problem in raised.value.errors()]


def test_parameters_are_the_input_and_the_return_type_is_the_output(registry: Registry) -> None:
    @task
    def thumbnail(url: HttpUrl, ctx: JobContext, width: Annotated[int, Field(ge=1)] = 320) -> Thumbnail:
        """Make a small picture of a big one."""
        assert ctx is CONTEXT
        return Thumbnail(path=f"{url.host} {width}")

    found = registry.get("thumbnail")
    assert found.description == "Make a small picture of a big one."
    assert found.output_model is Thumbnail
    assert found.input_model.model_json_schema() == {
        "title": "ThumbnailInput",
        "type": "object",
        "additionalProperties": False,
        "required": ["url"],
        "properties": {
            "url": {"title": "Url", "type": "string", "format": "uri", "minLength": 1, "maxLength": 2083},
            "width": {"title": "Width", "type": "integer", "minimum": 1, "default": 320},
        },
    }
    assert run(found, '{"url": "http://example.com/"}') == '{"path":"example.com 320"}'
    assert problems(found, '{"url": "no", "width": 0, "ctx": 1}') == [("url",), ("width",), ("ctx",)]
    assert thumbnail(HttpUrl("http://a.b/"), CONTEXT).path == "a.b 320", "the function itself is still that"


def test_a_name_and_options_may_be_given(registry: Registry) -> None:
    @task("resize", queue="pictures", max_attempts=7, timeout_s=3, example={"width": 1})
    def f(width: int) -> int:
        return width

    @task(queue="pictures")
    def g() -> None: ...

    found = registry.get("resize")
    assert (found.queue, found.retry.max_attempts, found.timeout_s) == ("pictures", 7, 3)
    assert found.example == {"width": 1}
    assert registry.names() == ("g", "resize")
    assert f(3) == 3
    assert run(registry.get("g"), "{}") == "null"


@pytest.mark.parametrize(
    ("returned", "annotation", "result"),
    [
        ("Hello", str, '"Hello"'),
        (3, float, "3.0"),
        ({"a": [1]}, dict[str, list[int]], '{"a":[1]}'),
        ([Thumbnail(path="a")], list[Thumbnail], '[{"path":"a"}]'),
        ((1, 2), tuple[int, int], "[1,2]"),
        (Size(1, 2), Size, '{"width":1,"height":2}'),
        (Thumbnail(path="a"), Thumbnail | None, '{"path":"a"}'),
        (None, Thumbnail | None, "null"),
        (datetime(2026, 1, 2), datetime, '"2026-01-02T00:00:00"'),  # noqa: DTZ001
        ({"free": None}, Any, '{"free":null}'),
    ],
)
def test_a_result_of_any_json_type_is_stored(registry: Registry, returned: Any, annotation: Any, result: str) -> None:
    def give() -> Any:
        return returned

    give.__annotations__["return"] = annotation
    task(give)
    assert run(registry.get("give"), "{}") == result


def test_a_function_without_a_return_type_may_return_any_json(registry: Registry) -> None:
    def give():  # type: ignore[no-untyped-def]
        return ["any", 1]

    task(give)
    assert run(registry.get("give"), "{}") == '["any",1]'


def test_parameters_may_be_named_like_members_of_a_model(registry: Registry) -> None:
    @task
    def f(json: int, copy: int, model_config: int, schema: int, _hidden: int, ctx: str, p_json: int = 7) -> list[Any]:
        return [json, copy, model_config, schema, _hidden, ctx, p_json]

    given = '{"json": 1, "copy": 2, "model_config": 3, "schema": 4, "_hidden": 5, "ctx": "mine"}'
    assert run(registry.get("f"), given) == '[1,2,3,4,5,"mine",7]'


def test_an_alias_of_a_parameter_is_the_name_of_its_field(registry: Registry) -> None:
    @task
    def f(sender: Annotated[str, Field(alias="from")] = "nobody") -> str:
        return sender

    assert run(registry.get("f"), '{"from": "me"}') == '"me"'
    assert run(registry.get("f"), "{}") == '"nobody"'
    assert problems(registry.get("f"), '{"sender": "me"}') == [("sender",)]


def test_a_default_that_can_change_is_fresh_in_each_call(registry: Registry) -> None:
    @task
    def f(items: list[int] = []) -> list[int]:  # noqa: B006
        items.append(1)
        return items

    assert [run(registry.get("f"), "{}") for _ in range(3)] == ["[1]"] * 3


async def _async_generator(x: int) -> AsyncIterator[int]:
    yield x


def _generator(x: int) -> Iterator[int]:
    yield x


def _untyped(x) -> int:  # type: ignore[no-untyped-def]
    return int(x)


def _many(*xs: int) -> int:
    return sum(xs)


def _any(**xs: int) -> int:
    return sum(xs.values())


def _positional(x: int, /) -> int:
    return x


def _unknown(x: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821
    return int(x)


def _opaque(x: Opaque) -> int:
    return id(x)


def _callback(x: Callable[[int], int]) -> int:
    return x(1)


def _opaque_result(x: int) -> Opaque:
    return Opaque()


def _field(x: int = Field(3, ge=1)) -> int:
    return x


def _twice(ctx, context: JobContext) -> int:  # type: ignore[no-untyped-def]
    return 1


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_async_generator, "is a generator: return the result"),
        (_generator, "is a generator: return the result"),
        (_untyped, "parameter x needs a type, such as x: str"),
        (_many, r"\*xs: 'int' must be a parameter that can be given by name"),
        (_any, r"\*\*xs: 'int' must be a parameter that can be given by name"),
        (_positional, "must be a parameter that can be given by name"),
        (_unknown, "name 'Nowhere' is not defined"),
        (_opaque, "parameter x is Opaque, which JSON does not have"),
        (_callback, "parameter x is Callable, which JSON does not have"),
        (_opaque_result, "the return type is Opaque, which JSON does not have"),
        (_field, r"write x: Annotated\[…, Field\(…\)\]"),
        (_twice, "takes the context twice: ctx, context"),
        (Opaque, "is not a function"),
        (len, "has no name"),
        (lambda: 1, "has no name"),
    ],
)
def test_what_cannot_be_a_task_is_refused_in_one_line(registry: Registry, function: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        task(function)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("@task: ")
    assert registry.names() == ()


@pytest.mark.parametrize("function", [_async_generator, _generator])
def test_the_long_form_refuses_what_no_child_can_run(registry: Registry, function: Any) -> None:
    with pytest.raises(ValueError, match="@task: "):
        task("long", input=Thumbnail, output=Thumbnail)(function)
    assert registry.names() == ()


def test_half_of_the_long_form_and_unknown_options_are_refused() -> None:
    untyped: Any = task
    with pytest.raises(ValueError, match="both input and output, or neither"):
        untyped("half", input=Thumbnail)
    with pytest.raises(TypeError, match="@task has no option retries, time"):
        untyped("x", time=3, retries=1)
