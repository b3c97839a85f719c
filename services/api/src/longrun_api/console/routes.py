"""The addresses of the console."""

from __future__ import annotations

from typing import Final

from starlette.routing import Route

from longrun_api.auth.sessions import CONSOLE
from longrun_api.console import (
    assets,
    job,
    jobs,
    operations,
    overview,
    provider_sign_in,
    schedule,
    sign_in,
    submit,
    webhooks,
)
from longrun_api.console.page import Endpoint, nothing

_GET: Final[dict[str, Endpoint]] = {
    "": overview.show,
    "/jobs": jobs.show,
    "/jobs/{id}": job.show,
    "/jobs/{id}/again": submit.again,
    "/jobs/{id}/stream": job.stream,
    "/jobs/{id}/{kind:str}/{name}": job.file,
    "/new": submit.new,
    "/queues": operations.queues,
    "/workers": operations.workers,
    "/schedules": operations.schedules,
    "/schedules/{id}/edit": schedule.edit,
    "/webhooks": webhooks.show_all,
    "/webhooks/{id}": webhooks.show,
    "/keys": operations.keys,
    "/audit-log": operations.audit_log,
    "/sign-in": sign_in.show,
    "/sign-in/provider": provider_sign_in.begin,
    "/sign-in/callback": provider_sign_in.end,
    "/assets/{name}": assets.serve,
    "/{rest:path}": nothing,
}
_POST: Final[dict[str, Endpoint]] = {
    "/jobs": jobs.confirm,
    "/jobs/{id}/cancel": job.cancel,
    "/jobs/{id}/retry": job.retry,
    "/jobs/{id}/again": submit.submit_again,
    "/new": submit.submit_new,
    "/queues/{name}": operations.change_queue,
    "/schedules/{id}": operations.change_schedule,
    "/schedules/{id}/edit": schedule.save,
    "/webhooks/{id}": webhooks.change,
    "/keys/{id}/revoke": operations.revoke_key,
    "/sign-in": sign_in.sign_in,
    "/sign-out": sign_in.sign_out,
}
ROUTES: Final = [
    Route(f"{CONSOLE}{path}", endpoint, methods=[method], include_in_schema=False)
    for method, routes in (("GET", _GET), ("POST", _POST))
    for path, endpoint in routes.items()
]
