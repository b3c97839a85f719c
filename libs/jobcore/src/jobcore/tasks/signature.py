"""The models of a plain function, read from its signature.

    @task
    def thumbnail(url: HttpUrl, width: int = 320) -> Thumbnail: ...

Each parameter is a field of the input, and the return annotation is the output. A parameter annotated as `JobContext`
(in an `async def`: `AsyncContext`), or one named `ctx` without an annotation, gets the context of the job.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaMode

from jobcore.tasks.context import AsyncContext, Context, JobContext
from jobcore.tasks.lanes import is_async, place

CONTEXT: Final = "ctx"
FIELD_PREFIX: Final = "p_"
"""Fields are stored under this prefix, so that a parameter may be named like a member of Pydantic's models."""


Keywords = Callable[[Context, BaseModel], Mapping[str, Any]]
"""Makes the keyword arguments of a plain function from the context and an input."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The models of a function, and how it gets the context and the input; None: as its two positional arguments."""

    input_model: type[BaseModel]
    output_model: type[BaseModel]
    keywords: Keywords | None = None


def read(function: Callable[..., Any]) -> Signature:
    """Read the signature. Raises ValueError, with one line that says what to change."""
    if not inspect.isfunction(function) or not function.__name__.isidentifier():
        raise ValueError(f"@task: {place(function)} has no name: decorate a function that def or async def defines")
    hints = _hints(function)
    parameters = inspect.signature(function).parameters
    for name, parameter in parameters.items():
        _check(function, name, parameter, hints)
    context = [name for name in parameters if _is_context(name, hints)]
    if len(context) > 1:
        raise ValueError(f"@task: {place(function)} takes the context twice: {', '.join(context)}")
    fields = {name: FIELD_PREFIX + name for name in parameters if name not in context}

    def keywords(ctx: Context, value: BaseModel) -> Mapping[str, Any]:
        return {name: getattr(value, field) for name, field in fields.items()} | dict.fromkeys(context, ctx)

    title = "".join(part.title() for part in function.__name__.split("_"))
    definitions: dict[str, Any] = {
        field: (hints[name], _field(name, hints[name], parameters[name])) for name, field in fields.items()
    }
    config = ConfigDict(extra="forbid")
    input_model = create_model(f"{title}Input", __config__=config, __module__=function.__module__, **definitions)
    return Signature(input_model, _output_model(f"{title}Result", function, hints.get("return", Any)), keywords)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:  # an annotation is any expression
        raise ValueError(
            f"@task: cannot read the annotations of {place(function)}: {type(error).__name__}: {error}"
        ) from None


def _check(function: Callable[..., Any], name: str, parameter: Parameter, hints: Mapping[str, Any]) -> None:
    if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD, Parameter.POSITIONAL_ONLY):
        raise ValueError(f"@task: {place(function)}: {parameter} must be a parameter that can be given by name")
    if isinstance(parameter.default, FieldInfo):
        raise ValueError(f"@task: {place(function)}: write {name}: Annotated[…, Field(…)], so that = is the default")
    if name not in hints and name != CONTEXT:
        raise ValueError(f"@task: {place(function)}: parameter {name} needs a type, such as {name}: str")
    check_context(function, hints.get(name))
    if not _is_context(name, hints):
        _check_json(function, f"parameter {name}", hints[name], "validation")


def _is_context(name: str, hints: Mapping[str, Any]) -> bool:
    return hints.get(name, JobContext if name == CONTEXT else None) in (JobContext, AsyncContext)


def check_context(function: Callable[..., Any], annotation: Any) -> None:
    """Raise ValueError if a parameter is annotated as the context of the other kind of function."""
    fitting, other = (AsyncContext, JobContext) if is_async(function) else (JobContext, AsyncContext)
    if annotation in (other, other.__name__):
        kind = "async" if is_async(function) else "not async"
        raise ValueError(f"@task: {place(function)} is {kind}: annotate its context as {fitting.__name__}")


def _field(name: str, annotation: Any, parameter: Parameter) -> Any:
    own = FieldInfo.from_annotation(annotation)
    options: dict[str, Any] = {} if own.alias or own.validation_alias else {"alias": name}
    if parameter.default is not Parameter.empty:
        options["default"] = parameter.default
    return Field(**options)


def _output_model(name: str, function: Callable[..., Any], annotation: Any) -> type[BaseModel]:
    _check_json(function, "the return type", annotation, "serialization")
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return create_model(name, __base__=RootModel[annotation], __module__=function.__module__)


def _check_json(function: Callable[..., Any], what: str, annotation: Any, mode: JsonSchemaMode) -> None:
    try:
        create_model("Checked", value=(annotation, ...)).model_json_schema(mode=mode)
    except PydanticUserError:
        kind = getattr(annotation, "__qualname__", annotation)
        raise ValueError(
            f"@task: {place(function)}: {what} is {kind}, which JSON does not have: use a Pydantic model, "
            "a dataclass or a plain type"
        ) from None
