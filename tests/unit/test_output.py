"""What `ctx.emit` takes and refuses, and that nothing it took is dropped."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from jobcore.errors import InvalidValue
from jobcore.states import Status
from jobcore.tasks import JobContext
from jobcore.worker.event_buffer import BATCH_MAX, BUFFERED_MAX, LEAST_LINES, EventBuffer
from jobcore.worker.output import PIECE_COST, PIECE_MAX, Piece
from jobcore.worker.values import DEFAULT_BOUNDS
from tests.unit.running import run

PIECE = Piece.of("token", "x")


def buffer(output_bytes: int = 10**9, emitted: int = 0) -> EventBuffer:
    return EventBuffer(100_000, 0, output_bytes, emitted)


def emitted(events: Any) -> list[tuple[str, Any]]:
    return [(event.data["name"], event.data["data"]) for event in events if event.kind == "output"]


def test_what_a_task_emits_is_stored_with_its_outcome_in_order() -> None:
    def task(ctx: JobContext, _input: Any) -> None:
        ctx.emit("token", "Hel")
        ctx.log("half way")
        ctx.emit("row", {"n": (1, None)})

    outcome = run(task)
    assert [event.kind for event in outcome.events] == ["output", "log", "output"]
    assert emitted(outcome.events) == [("token", "Hel"), ("row", {"n": [1, None]})]
    assert outcome.output_bytes == len('"Hel"') + len('{"n":[1,null]}') + 2 * PIECE_COST


@pytest.mark.parametrize("how", ["raises", "is refused"])
def test_a_run_that_fails_keeps_what_it_emitted(how: str) -> None:
    def task(ctx: JobContext, _input: Any) -> object:
        ctx.emit("token", "last words")
        if how == "raises":
            raise RuntimeError("no")
        return object()

    outcome = run(task)
    assert outcome.status is not Status.SUCCESS
    assert emitted(outcome.events) == [("token", "last words")]


def test_a_value_that_changes_later_is_emitted_as_it_was() -> None:
    def task(ctx: JobContext, _input: Any) -> None:
        row: dict[str, int] = {}
        for number in range(3):
            row["n"] = number
            ctx.emit("row", row)

    assert [data["n"] for _, data in emitted(run(task).events)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("", 1, "emit: name must be a string of 1 to 200 characters"),
        ("x" * 201, 1, "emit: name must be a string of 1 to 200 characters"),
        (7, 1, "emit: name must be a string of 1 to 200 characters"),
        ("a\0", 1, "emit: name contains a NUL"),
        ("row", object(), "emit: data is not JSON"),
        ("row", float("nan"), "emit: data is not JSON"),
        ("row", {"a": ["\0"]}, r"emit: data\.a\[0\] contains a NUL"),
        ("row", "x" * PIECE_MAX, "emit: data has 65,538 bytes as JSON, but may have 65,536 a piece"),
    ],
)
def test_what_cannot_be_stored_is_refused_at_the_line_that_emits_it(name: Any, data: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Piece.of(name, data)


def test_output_beyond_the_bound_of_the_job_is_refused_by_the_name_of_the_setting_and_none_before_is_lost() -> None:
    def task(ctx: JobContext, _input: Any) -> str:
        for number in range(100):
            try:
                ctx.emit("row", number)
            except InvalidValue as error:
                return str(error)
        return "all of it"

    outcome = run(task, bounds=replace(DEFAULT_BOUNDS, output_bytes=10 * (PIECE_COST + 1)))
    assert emitted(outcome.events) == [("row", number) for number in range(10)]
    assert "LONGRUN_MAX_OUTPUT_BYTES" in str(outcome.result)
    assert "2,010" in str(outcome.result)


def test_the_bound_counts_what_earlier_attempts_emitted() -> None:
    rest = buffer(output_bytes=3 * PIECE.size, emitted=2 * PIECE.size)
    rest.add_output(PIECE)
    with pytest.raises(InvalidValue, match="LONGRUN_MAX_OUTPUT_BYTES"):
        rest.add_output(PIECE)
    assert len(rest.take().events) == 1


def test_output_is_never_dropped_as_log_lines_are() -> None:
    full = EventBuffer(LEAST_LINES, LEAST_LINES, 10**9)
    for _ in range(LEAST_LINES + 5):
        full.add_line("info", "line")
        full.add_output(PIECE)
    kinds = [event.kind for event in full.take_last().events]
    assert kinds.count("output") == LEAST_LINES + 5
    assert kinds.count("log") == LEAST_LINES + 1


def test_many_threads_emit_no_more_than_fits() -> None:
    shared = buffer(output_bytes=500 * PIECE.size)
    accepted = []

    def emit() -> None:
        for _ in range(200):
            try:
                shared.add_output(PIECE)
            except InvalidValue:
                return
            accepted.append(True)

    threads = [threading.Thread(target=emit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == len(shared.take().events) == 500


def test_large_pieces_fill_the_buffer_as_several_events_do() -> None:
    waiting = buffer()
    while not waiting.full:
        waiting.add_output(Piece.of("row", "x" * (PIECE_MAX - 2)))
    taken = waiting.take()
    assert len(taken.events) * PIECE_MAX < 2 * BUFFERED_MAX * 1_000
    assert not waiting.full


def test_no_more_is_taken_at_once_than_one_statement_should_store() -> None:
    waiting = buffer()
    for number in range(2 * BATCH_MAX):
        waiting.add_output(Piece.of("row", number))
    taken = []
    while waiting.size:
        taken.append(waiting.take())
    assert [len(each.events) for each in taken] == [BATCH_MAX, BATCH_MAX]
    assert [data for each in taken for _, data in emitted(each.events)] == list(range(2 * BATCH_MAX))
    assert sum(each.output_bytes for each in taken) == sum(Piece.of("row", n).size for n in range(2 * BATCH_MAX))


def test_a_thread_that_outlives_its_run_cannot_add_to_the_output_unseen() -> None:
    ended = buffer()
    ended.add_output(PIECE)
    assert len(ended.take_last().events) == 1
    with pytest.raises(InvalidValue, match="this run has ended"):
        ended.add_output(PIECE)
