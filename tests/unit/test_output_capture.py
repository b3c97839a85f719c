"""What stands for stdout and stderr while a job runs."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator

import pytest

from jobcore.settings import CoreSettings
from jobcore.telemetry import logs
from jobcore.worker.output_capture import LINE_MAX, CapturedStream, of_job


class Lines(logging.Handler):
    """Keeps what was logged; says on the stream that it cannot, if `broken`."""

    def __init__(self, stream: CapturedStream) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.broken = False
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        if self.broken:
            self._stream.write("--- Logging error ---\n")
        else:
            self.seen.append(str(record.msg["event"] if isinstance(record.msg, dict) else record.msg))


@pytest.fixture
def real() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


@pytest.fixture
def captured(real: io.TextIOWrapper) -> CapturedStream:
    return CapturedStream(real, "stderr")


@pytest.fixture
def lines(captured: CapturedStream) -> Iterator[Lines]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.setup(CoreSettings(DATABASE_URL="postgresql://nobody@127.0.0.1/none"))
    handler = Lines(captured)
    root.handlers[:] = [handler]
    yield handler
    root.handlers[:] = before
    root.setLevel(level)


def written(real: io.TextIOWrapper) -> str:
    buffer = real.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def test_outside_of_jobs_text_passes_through(captured: CapturedStream, real: io.TextIOWrapper, lines: Lines) -> None:
    print("as it is", file=captured)
    assert (written(real), lines.seen) == ("as it is\n", [])


def test_within_a_job_each_line_is_logged_also_of_its_threads_and_the_last_without_its_end(
    captured: CapturedStream, real: io.TextIOWrapper, lines: Lines
) -> None:
    with of_job("some-id", [captured]):
        print("one\ntwo", file=captured)
        thread = threading.Thread(target=print, args=("three",), kwargs={"file": captured})
        thread.start()
        thread.join()
        captured.write("x" * (LINE_MAX + 1))
        captured.write("four")
    assert lines.seen == ["one", "two", "three", "x" * (LINE_MAX + 1), "four"]
    assert written(real) == ""
    assert logs.job_id() is None


def test_a_log_that_cannot_be_written_is_said_once_and_ends_nothing(
    captured: CapturedStream, real: io.TextIOWrapper, lines: Lines
) -> None:
    lines.broken = True
    with of_job("some-id", [captured]):
        print("lost", file=captured)
    assert written(real) == "--- Logging error ---\n"


def test_libraries_find_what_they_ask_a_stream_for(captured: CapturedStream, real: io.TextIOWrapper) -> None:
    assert (captured.encoding, captured.errors, captured.buffer) == (real.encoding, real.errors, real.buffer)
    assert not captured.isatty()
