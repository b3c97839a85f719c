"""`?validate_only=true`: a submission is checked, and answered with the task that it would make, but nothing is stored.

Neither PostgreSQL nor the idempotency key is used, so a repetition without the parameter is a first request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import Request

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import Job, NewJob
from jobcore.states import Status
from jobcore.store import json_text
from longrun_api.parameters import refuse_others
from longrun_api.schemas import task_json

NAME: Final = "validate_only"
PARAMETER: Final[dict[str, Any]] = {
    "name": NAME,
    "in": "query",
    "required": False,
    "description": "Check the request and return what it would make, but store nothing.",
    "schema": {"type": "boolean"},
}


def is_wanted(request: Request) -> bool:
    """Whether the request has the parameter; raises InvalidInput for another one, or another value than a boolean."""
    if not request.scope["query_string"]:
        return False
    refuse_others(request.query_params, {NAME: False})
    value = request.query_params[NAME]
    if value not in ("true", "false"):
        raise InvalidInput(FieldError(NAME, f"must be true or false, not {value[:100]!r}"))
    return value == "true"


def validated_json(new: NewJob, root_path: str, warnings: Sequence[Mapping[str, str]]) -> bytes:
    """The `Task` that would be stored, with the `warnings` of its submission, as JSON. No task has its id."""
    text = task_json(_job(new, datetime.now(UTC)), root_path)
    return text[:-1] + b',"warnings":%b}' % json_text.dumps(warnings).encode() if warnings else text


def _job(new: NewJob, now: datetime) -> Job:
    due_at = new.run_at or now + timedelta(seconds=new.delay_s or 0)
    return Job(
        id=new.id,
        task_type=new.task_type,
        queue=new.queue,
        priority=new.priority,
        status=Status.PENDING,
        run_at=due_at,
        expires_at=new.expires_at,
        timeout_s=new.timeout_s,
        error=None,
        tags=new.tags,
        metadata=new.metadata,
        fence=0,
        attempt=0,
        tries=0,
        max_attempts=new.max_attempts,
        retry=new.retry,
        progress=None,
        last_seq=0,
        cancel=None,
        traceparent=None,
        created_at=now,
        started_at=None,
        finished_at=None,
        concurrency_key=new.concurrency_key,
        rate_key=new.rate_key,
        fairness_key=new.fairness_key,
        schedule_id=None,
        scheduled_for=None,
        dedupe_key=new.dedupe_key,
        owner=new.owner,
        due_at=due_at,
        first_started_at=None,
        input=str(new.input),
    )
