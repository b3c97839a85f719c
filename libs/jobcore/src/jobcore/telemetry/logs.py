"""Logs with one event a line, for a console or as JSON; loggers of the standard library are formatted alike."""

from __future__ import annotations

import logging
import sys
import threading
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, Final

import structlog
from opentelemetry import trace

from jobcore.settings import CoreSettings
from jobcore.telemetry import streams
from jobcore.telemetry.redaction import Redaction

OUR_THREADS: Final = ("jobcore", "celery", "kombu", "opentelemetry")
"""Loggers of threads that do not work only for the job that runs."""

_job: str | None = None
"""The job on the main thread, also for threads that it starts."""
_own_job: ContextVar[str] = ContextVar("longrun_job")
"""The job of an async task or of a thread of the pool; empty in threads of ours that serve many jobs."""


def setup(settings: CoreSettings, process: str | None = None) -> None:
    """Write every log line of this process to standard error, in the format and from the level of the settings.

    `process` is the number of this process among equal ones, which every line then has.
    """
    shared: list[Any] = [
        partial(_add_process, process),
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_job,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                Redaction(),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    sys.excepthook = _log_uncaught
    logging.captureWarnings(True)
    streams.reopen_in_forks()
    root.setLevel(settings.log_level.upper())
    for noisy in ("celery.worker.strategy", "celery.app.trace", "urllib3", "alembic", "kombu"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def of_job(job_id: str | None) -> None:
    """From now on, add this job's id to log lines, also in threads that the job starts; None ends that."""
    global _job
    _job = job_id


def of_job_in_context(job_id: str) -> None:
    """Add this job's id to the log lines of the current context, whatever runs on the main thread; "": no job's."""
    _own_job.set(job_id)


def job_id() -> str | None:
    """The id of the job whose code runs here, if that is known; else of the one on the main thread, if there is one."""
    own = _own_job.get(None)
    return _job if own is None else own or None


class Outage:
    """Logs once that something is unavailable, and once that it is back, however often it is retried meanwhile."""

    def __init__(self, logger: structlog.stdlib.BoundLogger, away: str, back: str) -> None:
        self._logger = logger
        self._away = away
        self._back = back
        self._on = False

    def begin(self, error: BaseException) -> None:
        """It is unavailable, because of this error."""
        if not self._on:
            self._on = True
            self._logger.warning(self._away, error=getattr(error, "reason", str(error)))

    def end(self) -> None:
        """It is available."""
        if self._on:
            self._on = False
            self._logger.info(self._back)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what would be a bare traceback on standard error, in which secrets are not hidden."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("uncaught").critical("the process ends because of an error", exc_info=(kind, error, trace))


def _add_process(process: str | None, _logger: Any, _method: str, event: Any) -> Any:
    if process is not None:
        event.setdefault("process", process)
    return event


def _add_job(_logger: Any, _method: str, event: Any) -> Any:
    if own := _own_job.get(None):
        event.setdefault("job_id", own)
    # not a context variable, which the threads of a job would not inherit
    elif (
        own is None and _job is not None and (_in_main_thread() or not event.get("logger", "").startswith(OUR_THREADS))
    ):
        event.setdefault("job_id", _job)
    return event


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _add_trace(_logger: Any, _method: str, event: Any) -> Any:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
    return event
