"""The FastAPI application: routes, middleware, problem documents, and docs that need no CDN."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, Final

import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.routing import Route
from starlette.types import ASGIApp

from jobcore.tasks import load_tasks
from jobcore.telemetry import logs, traces
from longrun_api import openapi, openapi_security, problems, siblings
from longrun_api.access_log import AccessLog
from longrun_api.auth.authenticator import Authenticator
from longrun_api.auth.middleware import Authentication
from longrun_api.auth.scopes import authorized, check_scope, scope_of
from longrun_api.compression import Compression
from longrun_api.console import routes as console
from longrun_api.console.page import sign_in_first
from longrun_api.cors import Cors
from longrun_api.direct import Direct
from longrun_api.header_checks import PROBES, HeaderChecks
from longrun_api.hosts import Hosts
from longrun_api.idempotency import check_key
from longrun_api.methods import Methods
from longrun_api.openapi_clients import camel_case
from longrun_api.openapi_document import OpenApiDocument
from longrun_api.origins import Origins
from longrun_api.parameters import check_parameters
from longrun_api.prefixes import Prefixes
from longrun_api.request_ids import RequestIds
from longrun_api.routes import (
    audit_log,
    batch,
    bulk,
    concurrency_limits,
    docs,
    events,
    exports,
    files,
    health,
    keys,
    output,
    queues,
    quotas,
    rate_limits,
    schedules,
    stats,
    stream,
    stream_tokens,
    subscriptions,
    task,
    task_list,
    task_types,
    tasks,
    uploads,
    webhooks,
    why,
    workers,
)
from longrun_api.runtime import running
from longrun_api.settings import ApiSettings

log = logs.get(__name__)

ROUTES: Final = (
    *(docs, tasks, batch, task_list, stats, bulk, exports, task, why, output, stream, events, files, uploads, webhooks),
    *(subscriptions, schedules, task_types, workers, queues, concurrency_limits, rate_limits, keys, quotas),
    *(stream_tokens, audit_log, health),
)
DESCRIPTION: Final = """\
Submit a task, get `202` and its id, then poll, stream or cancel it.

A task that was answered with `202` is stored and will not be lost. Every error is a problem document (RFC 9457).
"""


def create_app(settings: ApiSettings) -> FastAPI:
    """Create the application. Its threads and connections start when the server starts it."""
    process = siblings.number()
    logs.setup(settings, process=process)
    _let_uvicorn_log_through_root()
    traces.setup("longrun-api", process or "")
    registry = load_tasks(settings.tasks)
    for broken, reason in registry.broken.items():
        log.error("cannot import a module of task types; serving the others", module=broken, error=reason)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings) as runtime:
            app.state.runtime = runtime
            yield
        await anyio.to_thread.run_sync(traces.flush)

    app = FastAPIOffline(
        title="Longrun",
        version=version("longrun-api"),
        description=DESCRIPTION,
        root_path=settings.root_path,
        root_path_in_servers=False,  # the document names it already
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_tags=openapi.TAGS,
        generate_unique_id_function=lambda route: camel_case(route.name),
        dependencies=[Depends(check_scope), Depends(check_parameters), Depends(check_key)],
        lifespan=lifespan,
        telemetry={"operation_spans": False, "logs": False, "exclude": _is_probe},
    )
    document = OpenApiDocument(partial(openapi.document, app, registry, security=openapi_security.schemes(settings)))
    app.openapi = document.built  # type: ignore[method-assign]
    # before FastAPI's own, which would build the document on the event loop
    app.router.routes.insert(0, Route(str(app.openapi_url), document.respond, include_in_schema=False))
    problems.install(app)
    app.add_middleware(Compression)
    app.add_middleware(Methods)
    # a plain route, found before FastAPI's own of the same function, which is only for the document; see `direct`
    app.add_route(tasks.router.prefix, authorized(tasks.submit_task), methods=["POST"], include_in_schema=False)
    for module in ROUTES:
        for route in module.router.routes:
            scope_of(getattr(route, "endpoint", route))  # fails for a function that does not declare its scope
        app.include_router(module.router)
    app.router.routes.extend(console.ROUTES)
    app.state.inner = app.build_middleware_stack()
    app.middleware_stack = _around(app.state.inner, settings, lambda: app.state.runtime.authenticator)
    return app


def _around(app: ASGIApp, settings: ApiSettings, authenticator: Callable[[], Authenticator]) -> ASGIApp:
    """Middleware around Starlette's own, which answers unexpected errors: these responses need the headers too."""
    app = Direct(app, "POST", tasks.router.prefix, authorized(tasks.submit_task))
    if settings.asks_for_credentials:
        app = Authentication(app, authenticator, sign_in_first)
    app = HeaderChecks(app, hosts=Hosts(settings.allowed_hosts), origins=Origins(settings.allowed_origins))
    if settings.allowed_origins:
        app = Cors(app, settings.allowed_origins)
    if settings.access_log:
        app = AccessLog(app, quiet=PROBES)
    return Prefixes(RequestIds(app))


def _is_probe(scope: Mapping[str, Any]) -> bool:
    path: str = scope["path"]
    return path.endswith(tuple(PROBES))


def _let_uvicorn_log_through_root() -> None:
    for name in ("uvicorn", "uvicorn.access"):
        logger = logging.getLogger(name)
        if logger.handlers:  # none if --no-access-log switched it off
            logger.handlers.clear()
            logger.propagate = True
