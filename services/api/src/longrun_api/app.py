"""The FastAPI application: routes, middleware, problem documents, and docs that need no CDN."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Final

import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.responses import RedirectResponse

from jobcore.tasks import load_tasks
from jobcore.telemetry import logs, traces
from longrun_api import openapi, problems
from longrun_api.header_checks import PROBES, HeaderChecks
from longrun_api.hosts import Hosts
from longrun_api.methods import Methods
from longrun_api.origins import Origins
from longrun_api.parameters import check_parameters
from longrun_api.routes import (
    concurrency_limits,
    files,
    health,
    output,
    queues,
    schedules,
    stream,
    task_types,
    tasks,
    why,
    workers,
)
from longrun_api.runtime import running
from longrun_api.settings import ApiSettings

log = logs.get(__name__)

DESCRIPTION: Final = """\
Submit a task, get `202` and its id, then poll, stream or cancel it.

A task that was answered with `202` is stored and will not be lost. Every error is a problem document (RFC 9457).
"""


def create_app(settings: ApiSettings) -> FastAPI:
    """Create the application. Its threads and connections start when the server starts it."""
    logs.setup(settings)
    _let_uvicorn_log_through_root()
    traces.setup("longrun-api")
    registry = load_tasks(settings.tasks)
    for broken, reason in registry.broken.items():
        log.error("cannot import a module of task types; serving the others", module=broken, error=reason)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.openapi()  # build it now: otherwise the first request with a query would, and block all others
        async with running(settings) as runtime:
            app.state.runtime = runtime
            yield
        await anyio.to_thread.run_sync(traces.flush)

    app = FastAPIOffline(
        title="Longrun",
        version=version("longrun-api"),
        description=DESCRIPTION,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(check_parameters)],
        lifespan=lifespan,
        telemetry={"operation_spans": False, "logs": False, "exclude": _is_probe},
    )
    app.openapi = cache(partial(openapi.document, app, registry))  # type: ignore[method-assign]
    problems.install(app)
    app.add_middleware(Methods)
    app.add_middleware(HeaderChecks, hosts=Hosts(settings.allowed_hosts), origins=Origins(settings.allowed_origins))
    # A plain route for `POST /tasks`, found before FastAPI's own of the same function, which is only for the document:
    # FastAPI's route handling would take a third of the time of each of thousands of requests a second.
    app.add_route(tasks.router.prefix, tasks.submit_task, methods=["POST"], include_in_schema=False)
    for module in (
        tasks,
        why,
        output,
        stream,
        files,
        schedules,
        task_types,
        workers,
        queues,
        concurrency_limits,
        health,
    ):
        app.include_router(module.router)
    app.add_route("/", lambda _request: RedirectResponse("docs"), include_in_schema=False)
    return app


def _is_probe(scope: Mapping[str, Any]) -> bool:
    return scope["path"] in PROBES


def _let_uvicorn_log_through_root() -> None:
    for name in ("uvicorn", "uvicorn.access"):
        logger = logging.getLogger(name)
        if logger.handlers:  # none if --no-access-log switched it off
            logger.handlers.clear()
            logger.propagate = True
