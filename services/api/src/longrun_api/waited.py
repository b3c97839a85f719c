"""What a request gets that is ready to wait: the task as soon as it has news, or what there is when its time is over.

`Prefer: wait` (RFC 7240, section 4.3) bounds how long the client waits, so at the end of that time it gets the present
state. A submission or a cancel that is still under way then gets the same 202 as one without the header, which is what
`respond-async` (section 4.1) asks for; whether it is given makes no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders

from jobcore.errors import LongrunError
from jobcore.models.caller import Scope
from longrun_api import task_documents
from longrun_api.callers import caller_of
from longrun_api.idempotency import REPLAYED
from longrun_api.long_polls import Until
from longrun_api.preferences import preferences
from longrun_api.runtime import runtime_of

PREFER: Final = "Wait up to this number of seconds for the task: `wait=10` (RFC 7240)."
PARAMETER: Final[dict[str, Any]] = {
    "in": "header",
    "name": "Prefer",
    "required": False,
    "schema": {"type": "string"},
    "description": f"{PREFER} If the task ends in that time, the answer is `200` with the task. "
    "It has no effect without the scope `read`.",
}
CANCEL_PARAMETER: Final[dict[str, Any]] = {
    **PARAMETER,
    "description": f"{PREFER} If its run stops in that time, the answer is `200`, with a complete receipt.",
}


async def task(
    request: Request,
    task_id: UUID,
    prefer: Sequence[str],
    wait_s: float | None,
    after: int | None,
    until: Until = "ended",
) -> Response:
    """The task: at once, or when the wait is over that the client asked for, by `wait_s` or else by Prefer."""
    runtime, root_path = runtime_of(request), request.scope.get("root_path", "")
    headers = {"Vary": "Prefer"}
    if wait_s is None and (preferred_s := preferences(prefer).wait_s) is not None:
        wait_s = min(preferred_s, runtime.long_polls.max_s)
        headers["Preference-Applied"] = f"wait={wait_s}"
    if not wait_s:
        document = await runtime.database.call(task_documents.read, task_id, root_path)
    else:
        await runtime.long_polls.wait(request, task_id, min(wait_s, runtime.long_polls.max_s), after, until)
        document = await runtime.long_polls.read(task_documents.read, task_id, root_path)
    return document.response(request, headers)


async def submitted(request: Request, accepted: Response) -> Response:
    """The response to a submission that was answered `accepted`: the task, if it ends while the client waits for it.

    The task is stored, so its client gets `accepted` whatever happens to the wait. So does one that may not read tasks:
    the ended task has a result.
    """
    if not caller_of(request).may(Scope.READ):
        return accepted
    here = accepted.headers["Location"]
    headers = {"Location": here, "Content-Location": here}
    replayed = REPLAYED if "Idempotency-Replayed" in accepted.headers else {}
    return await _once_over(request, UUID(here.rpartition("/")[2]), accepted, "ended", headers | replayed)


async def cancelled(request: Request, task_id: UUID, stopping: Response) -> Response:
    """The response to a cancel that was answered `stopping`: the task, if its run stops while the client waits."""
    return await _once_over(request, task_id, stopping, "stopped", {})


async def _once_over(
    request: Request, task_id: UUID, earlier: Response, until: Until, headers: Mapping[str, str]
) -> Response:
    """200 with the task, if it ends or stops while the client waits as it prefers to; else the `earlier` response."""
    prefer = [value.decode("latin-1") for name, value in request.scope["headers"] if name == b"prefer"]
    if not prefer:
        return earlier
    preferred, applied = preferences(prefer), []
    if preferred.wait_s is not None:
        wait_s = min(preferred.wait_s, runtime_of(request).long_polls.max_s)
        applied.append(f"wait={wait_s}")
        document = await _over(request, task_id, wait_s, until)
        if document is not None:
            shown = {**document.headers(request), **headers, "Preference-Applied": applied[0]}
            return Response(document.text, HTTPStatus.OK, shown, "application/json")
    if preferred.respond_async:
        applied.append("respond-async")
    if applied:
        MutableHeaders(raw=earlier.raw_headers)["Preference-Applied"] = ", ".join(applied)
    return earlier


async def _over(request: Request, task_id: UUID, wait_s: int, until: Until) -> task_documents.TaskDocument | None:
    """The task if it is over before the time is."""
    runtime, root_path = runtime_of(request), request.scope.get("root_path", "")
    if not wait_s:
        return None
    try:
        await runtime.long_polls.wait(request, task_id, wait_s, until=until)
        document = await runtime.long_polls.read(task_documents.read, task_id, root_path)
    except LongrunError:
        return None
    job = document.job
    stops = until == "stopped" and job.cancel is not None and job.cancel.stopped_at is None
    return document if job.ended and not stops else None
