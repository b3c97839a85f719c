"""A process whose servers fail, and whose task modules log carelessly, logs none of its passwords."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from longrun_local.ports import free_port
from tests.waiting import PATIENCE_S, until

PASSWORD = "correct-horse-battery"
CARELESS = """
import logging
import os

logging.getLogger("driver").warning("connecting to %s", os.environ["DATABASE_URL"])
try:
    raise ConnectionError(f"password={os.environ['REDIS_URL'].split(':')[2].split('@')[0]}")
except ConnectionError:
    logging.getLogger("driver").exception("refused")
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_password_of_a_url_is_logged(tmp_path: Path, log_format: str) -> None:
    (tmp_path / "careless.py").write_text(CARELESS)
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://longrun:{PASSWORD}@127.0.0.1:{free_port()}/longrun",
        "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0",
        "LONGRUN_TASKS": str(tmp_path / "careless.py"),
        "LONGRUN_LOG_FORMAT": log_format,
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        api = subprocess.Popen(
            [sys.executable, "-m", "longrun_api", "--port", str(free_port())],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: "PostgreSQL" in log.read_text() and "Redis is unavailable" in log.read_text())
    finally:
        api.send_signal(signal.SIGTERM)
        api.wait(PATIENCE_S)
    said = log.read_text()
    assert "connecting to postgresql://longrun:***@127.0.0.1" in said
    assert "ConnectionError: password=***" in said
    assert PASSWORD not in said
