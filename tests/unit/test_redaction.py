"""No secret is in a log line, whoever wrote it and however; and other text stays as it is."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jobcore.telemetry import logs
from jobcore.telemetry.redaction import Redaction

SECRET = "hunter2-is-secret"
TEXTS = [
    "cannot reach redis://:{}@10.0.0.1:6379/0: refused",
    "postgresql+psycopg2://longrun:{}@db/longrun",
    "proxy HTTP://me:{}@proxy:3128 failed",
    "https://user:p@ss{}@host/path",
    "connection failed: host=db user=longrun password={} dbname=longrun",
    "connection failed: host=db password='{}' dbname=longrun",
    "GET /tasks?limit=5&token={}&x=1",
    "https://bucket.s3/key?X-Amz-Credential=AKIA&X-Amz-Signature={}&X-Amz-Expires=60",
    "Authorization: Bearer {}",
    "authorization: Basic {}",
    "{{'Authorization': 'Bearer {}'}}",
    "[(b'authorization', b'{}')]",
    '{{"aws_secret_access_key": "{}", "n": 1}}',
    "connect(dsn='x', api_key='{}')",
    "Cookie: session={}; other=1",
    "sent a bearer {} to the server",
    "LONGRUN_REDIS_SENTINEL_PASSWORD={}",
]
HARMLESS = [
    "request",
    "password authentication failed for user longrun",
    "postgresql://longrun@db:5432/longrun?sslmode=require",
    "https://example.com:8443/@someone?q=a:b@c",
    'idempotency_key="order-7" dedupe_key=a fairness_key=tenant-1',
    "unexpected token: }",
    "2026-11-30T12:00:00+00:00",
    "tokens=5000",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_is_hidden_and_the_rest_stays(text: str) -> None:
    shown = Redaction({}).text(text.format(SECRET))
    assert SECRET not in shown
    assert "***" in shown
    assert shown[:4] == text.format(SECRET)[:4]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_not_touched(text: str) -> None:
    assert Redaction({}).text(text) == text


def test_a_secret_of_the_environment_is_hidden_wherever_it_stands() -> None:
    environment = {
        "DATABASE_URL": "postgresql://u:p%40ss-word-12@db/x",
        "S3_SECRET_KEY": "0123456789abcdef",
        "DB_PASSWORD": "db",
    }
    shown = Redaction(environment).text("the driver said p@ss-word-12, p%40ss-word-12, 0123456789abcdef and db")
    assert shown == "the driver said ***, ***, *** and db"


class _Opaque:
    def __repr__(self) -> str:
        return f"Engine(postgresql://u:{SECRET}@db/x)"


@pytest.fixture(params=["json", "console"])
def output(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    logs.setup(cast(Any, SimpleNamespace(log_format=request.param, log_level="info")))
    yield written
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_no_logger_and_no_traceback_tells_a_secret(output: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"redis://:{SECRET}@host/0"
    log = logs.get("jobcore.test")
    log.warning("lost", error=f"cannot reach {url}", password=SECRET, settings={"token": SECRET, "urls": [url]})
    log.warning("lost", engine=_Opaque())
    for name in ("uvicorn.error", "celery.worker", "sqlalchemy.engine", "httpx"):
        logging.getLogger(name).warning("cannot reach %s with %s", url, {"Authorization": SECRET})
    try:
        raise ConnectionError(f"{url} refused")
    except ConnectionError:
        log.exception("failed")
        logging.getLogger("kombu.connection").exception("failed")
    assert SECRET not in output.getvalue()
    assert len(output.getvalue().splitlines()) >= 8
    assert "ConnectionError" in output.getvalue()


def test_an_uncaught_error_tells_no_secret(output: io.StringIO) -> None:
    try:
        raise RuntimeError(f"postgresql://u:{SECRET}@db")
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert SECRET not in output.getvalue()
    assert "RuntimeError" in output.getvalue()


def test_a_line_of_json_stays_one(output: io.StringIO) -> None:
    logs.get("jobcore.test").info("request", route="/tasks", status=202, duration_ms=1.5, none=None)
    line = output.getvalue()
    if line.startswith("{"):
        assert json.loads(line)["duration_ms"] == 1.5
    assert "202" in line
