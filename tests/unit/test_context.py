"""What task code sees of its job, and what a run's buffer of events keeps in order."""

from __future__ import annotations

import jobcore
from jobcore.tasks import JobContext
from jobcore.worker.context import RunContext
from jobcore.worker.event_buffer import BUFFERED_MAX, LEAST_LINES, LONG_LINE, Buffered, EventBuffer

PROMISED = {
    "attempt",
    "cancelled",
    "checkpoint",
    "checkpoint_state",
    "emit",
    "fence",
    "file",
    "input_file",
    "job_id",
    "log",
    "owner",
    "progress",
    "raise_if_cancelled",
    "run",
    "step",
}
"""docs/writing-a-task.md has a row for each. A name that is added here must be kept for as long as tasks use it."""


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def messages(buffered: Buffered) -> list[str]:
    return [str(event.data.get("message", event.data.get("done"))) for event in buffered.events]


def test_task_code_sees_only_what_its_author_needs() -> None:
    assert public(JobContext) == PROMISED
    assert public(RunContext) == PROMISED, "what the worker alone needs belongs into RunStore"


def test_packages_of_tasks_import_no_more_than_is_promised() -> None:
    assert set(jobcore.__all__) == {
        "AsyncContext",
        "CompletedProgram",
        "InvalidStep",
        "InvalidValue",
        "JobCancelled",
        "JobContext",
        "LongrunError",
        "PermanentError",
        "ProgramFailed",
        "RetryableError",
        "task",
    }


def test_the_latest_progress_is_among_the_last_events_once() -> None:
    buffer = EventBuffer(log_lines=100, seq=0)
    assert buffer.set_progress({"done": 1})
    assert not buffer.set_progress({"done": 2}), "a second one within a second is only streamed"
    assert messages(buffer.take_last()) == ["1", "2"]
    assert messages(buffer.take_last()) == []


def test_lines_beyond_the_limit_are_dropped_and_counted() -> None:
    buffer = EventBuffer(log_lines=LEAST_LINES, seq=LEAST_LINES)
    added = [buffer.add_line("info", str(number)) for number in range(LEAST_LINES + 5)]
    assert added.count(True) == LEAST_LINES
    buffer.add_traceback("Traceback")
    last = messages(buffer.take_last())
    assert last[-2:] == [
        "Traceback",
        "5 lines of this log were dropped: a job may have 1,000 (LONGRUN_MAX_LOG_LINES)",
    ]


def test_a_long_line_fills_the_buffer_as_several_do() -> None:
    buffer = EventBuffer(log_lines=100_000, seq=0)
    for _ in range(BUFFERED_MAX // 10):
        buffer.add_line("info", "x" * LONG_LINE * 10)
    assert buffer.full
    buffer.take()
    assert not buffer.full
