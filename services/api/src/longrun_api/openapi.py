"""Parts of the OpenAPI document that FastAPI cannot infer: problem documents and the bodies that routes parse."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from itertools import chain
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from jobcore.tasks import Registry
from longrun_api import openapi_security, openapi_webhooks
from longrun_api.openapi_clients import for_clients, with_plain_parameters
from longrun_api.prefixes import VERSION
from longrun_api.problems import MEDIA_TYPE
from longrun_api.scheduling import ScheduleSubmission
from longrun_api.schemas_events import FEED_EVENTS, STREAM_EVENTS
from longrun_api.submission import Submission, TaskTemplate
from longrun_api.task_batch import TaskBatch

REFERENCE: Final = "#/components/schemas/{model}"
CONTACT: Final = {"name": "The Longrun authors"}
LICENSE: Final = {"name": "MIT", "identifier": "MIT"}
TAGS: Final = [
    {"name": "tasks", "description": "Submit, follow, cancel and retry tasks."},
    {"name": "files", "description": "Upload files for tasks that are submitted later."},
    {"name": "webhooks", "description": "Have events of tasks sent to you."},
    {"name": "schedules", "description": "Submit a task again and again."},
    {"name": "task types", "description": "What can be submitted."},
    {"name": "queues", "description": "Pause and limit queues, and limit concurrency keys and rate keys."},
    {"name": "workers", "description": "What runs where."},
    {"name": "keys", "description": "Who may use the API."},
    {"name": "audit", "description": "What operators and admins did."},
    {"name": "health", "description": "Probes."},
]

FORM: Final[dict[str, Any]] = {
    "schema": {
        "type": "object",
        "description": "A task and its input files. The part `task`, which comes first, has a `Submission` as JSON; "
        "each further part is a file, by the name of the part.",
        "additionalProperties": {"type": "string", "format": "binary"},
    }
}
"""`POST /tasks` as a form; see `task_forms`. It names no property: openapi-generator makes no model that only a form
has, but imports it in Java."""


class ProblemField(BaseModel):
    """An invalid field and what is wrong with it."""

    field: str = Field(examples=["input.url"])
    message: str = Field(examples=["is required"])


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:longrun:problem:invalid-input"])
    title: str = Field(examples=["The request is not valid"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["input.url: is required"])
    instance: str | None = Field(None, description="The incident, under which the server's log has details.")
    errors: list[ProblemField] | None = Field(None, description="The invalid fields.")
    request_id: str | None = Field(None, description="The id of the request, as in `X-Request-Id` and the log.")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: a problem document for each of these statuses, and for any other."""
    content = {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="Problem")}}}
    descriptions: dict[int | str, str] = {status: HTTPStatus(status).phrase for status in statuses} | {
        "default": "Any other problem"
    }
    return {status: {"description": description, "content": content} for status, description in descriptions.items()}


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that parses its body itself as this model."""
    content = {"application/json": {"schema": model.model_json_schema(ref_template=REFERENCE)}}
    return {"requestBody": {"required": True, "content": content}}


def document(app: FastAPI, registry: Registry, *, security: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAPI document, with an example of each task type, and with these security schemes, if there are any."""
    openapi = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        openapi_version=app.openapi_version,
        tags=app.openapi_tags,
        servers=[{"url": f"{app.root_path}{VERSION}", "description": "The server that serves this document."}],
        contact=CONTACT,
        license_info=LICENSE,
        routes=app.routes,
    )
    openapi["security"] = []
    openapi["webhooks"] = openapi_webhooks.operations()
    schemas = openapi["components"]["schemas"] | {"ScheduleChange": _change(ScheduleSubmission)}
    streamed = {"/tasks/{task_id}/stream": STREAM_EVENTS.values(), "/events/stream": FEED_EVENTS.values()}
    models: list[type[BaseModel]] = [Problem, Submission, TaskBatch, ScheduleSubmission, *chain(*streamed.values())]
    models += openapi_webhooks.MESSAGES.values()
    for model in models:
        schemas |= _schemas(model)
    for operations in openapi["paths"].values():
        for operation in operations.values():
            schemas |= _shared_schemas_of_body(operation)
    openapi["components"]["schemas"] = for_clients(schemas)
    openapi["paths"] = {
        path: {method: with_plain_parameters(operation) for method, operation in operations.items()}
        for path, operations in openapi["paths"].items()
    }
    openapi["paths"]["/schedules"]["post"]["requestBody"] = _body("ScheduleSubmission")
    openapi["paths"]["/schedules/{schedule}"]["patch"]["requestBody"] = _body("ScheduleChange")
    openapi["paths"]["/tasks:batch"]["post"]["requestBody"] = _body("TaskBatch")
    submission = _body("Submission")
    submission["content"]["application/json"]["examples"] = {
        task_type.name: {
            "summary": task_type.description,
            "value": {"task_type": task_type.name, "input": task_type.example or {}},
        }
        for task_type in registry.submittable()
    }
    # behind JSON: generators that know one type of body take the first
    submission["content"]["multipart/form-data"] = FORM
    openapi["paths"]["/tasks"]["post"]["requestBody"] = submission
    for path, events in streamed.items():
        stream = openapi["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
        # the schema of the data of each event; OpenAPI 3.2 has `itemSchema` for this, which few generators know yet
        data = [{"$ref": REFERENCE.format(model=model.__name__)} for model in events]
        stream["schema"] = {"type": "string", "contentMediaType": "text/event-stream", "contentSchema": {"oneOf": data}}
    if security:
        openapi_security.declare(openapi, app.routes, security)
    return openapi


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=REFERENCE)
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _shared_schemas_of_body(operation: dict[str, Any]) -> dict[str, Any]:
    """The schemas to which the body of this operation refers, removed from it (see `request_body`)."""
    contents = operation.get("requestBody", {}).get("content", {}).values()
    return {name: schema for content in contents for name, schema in content["schema"].pop("$defs", {}).items()}


def _body(model: str) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=model)}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _change(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a PATCH: every field is optional, and null resets it to its default."""
    schema = model.model_json_schema(ref_template=REFERENCE)
    schema.pop("$defs", None)
    schema["properties"].pop("owner", None)  # it cannot be changed
    fields = {name: _change(TaskTemplate) if name == "task" else field for name, field in schema["properties"].items()}
    properties = {name: {"anyOf": [field, {"type": "null"}]} for name, field in fields.items()}
    return schema | {
        "properties": properties,
        "required": [],
        "title": f"{schema['title']} to change",
        "description": "The fields to change; null resets a field to its default.",
    }
