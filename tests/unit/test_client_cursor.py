"""However a stream is cut and replayed, the cursor passes every event on once and in order."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from httpx2 import ServerSentEvent
from hypothesis import given
from hypothesis import strategies as st

from longrun_client.answers import TRIES
from longrun_client.cursor import Cursor
from longrun_client.errors import LongrunUnavailable, ProblemError, UnexpectedAnswer
from longrun_client.models import Task
from longrun_client.patience import LONGEST_RETRY_S, RETRY_S
from tests.unit.client_server import AT, task

CUT = httpx2.ReadError("cut")


def _cursor(after: int = 0, clock: Callable[[], float] = lambda: 0.0, jitter: float = 0.0) -> Cursor:
    return Cursor(after, "http://server", 60.0, clock=clock, jitter=lambda: jitter)


def _sse(seq: int, status: str | None = None) -> ServerSentEvent:
    data = f'{{"seq": {seq}, "at": "{AT}", "attempt": 1' + (f', "status": "{status}"}}' if status else "}")
    return ServerSentEvent("state" if status else "log", data, str(seq))


def _opened(cursor: Cursor) -> Cursor:
    cursor.opened(httpx2.Response(200, headers={"Content-Type": "text/event-stream"}))
    return cursor


@given(last=st.integers(1, 30), data=st.data())
def test_every_event_is_passed_on_once_in_order(last: int, data: st.DataObject) -> None:
    cursor, passed_on = _cursor(), []
    while not cursor.ended:
        # What a server may do: start anywhere up to the next event, stop anywhere after.
        start = data.draw(st.integers(1, cursor.seq + 1))
        stop = data.draw(st.integers(min(cursor.seq + 1, last), last))
        for seq in range(start, stop + 1):
            event = cursor.take(_sse(seq, "SUCCESS" if seq == last else None))
            passed_on += [event.seq] if event else []
        if not cursor.ended:
            assert cursor.headers()["Last-Event-ID"] == str(stop)
    assert passed_on == list(range(1, last + 1))


def test_waits_grow_from_the_servers_own_retry_and_never_fall_below_it() -> None:
    cursor = _opened(_cursor())
    assert cursor.broke(CUT) == RETRY_S
    cursor.take(ServerSentEvent(retry=3000))
    assert [cursor.broke(CUT) for _ in range(4)] == [6.0, 12.0, LONGEST_RETRY_S, LONGEST_RETRY_S]
    assert _opened(cursor).broke(CUT) == 3.0
    cursor.take(ServerSentEvent(retry=60_000))
    assert cursor.broke(CUT) == 60.0


def test_jitter_spreads_the_waits_of_many_readers() -> None:
    assert [_opened(_cursor(jitter=jitter)).broke(CUT) / RETRY_S for jitter in (0.0, 1.0)] == [1.0, 1.5]


def test_retry_after_of_a_busy_server_is_honoured() -> None:
    assert _opened(_cursor()).broke(ProblemError(503, "Busy", retry_after_s=9)) == 9


def test_patience_counts_from_the_break_not_from_the_last_event() -> None:
    now = [0.0]
    cursor = _opened(_cursor(clock=lambda: now[0]))
    now[0] = 10_000  # quiet, but connected
    cursor.broke(CUT)
    now[0] += 60
    cursor.broke(CUT)
    now[0] += 1
    with pytest.raises(LongrunUnavailable, match="http://server"):
        cursor.broke(CUT)


def test_patience_starts_anew_with_every_connection() -> None:
    now = [0.0]
    cursor = _opened(_cursor(clock=lambda: now[0]))
    pauses = []
    for _ in range(3):
        pauses.append(cursor.broke(CUT))
        now[0] += 50
        _opened(cursor)
    assert pauses == [RETRY_S] * 3, "three breaks of 50 s each are not one of 150 s"


def test_a_server_that_was_never_reached_gets_few_tries() -> None:
    cursor = _cursor()
    for _ in range(TRIES - 1):
        cursor.broke(CUT)
    with pytest.raises(LongrunUnavailable):
        cursor.broke(CUT)


@pytest.mark.parametrize("error", [ProblemError(404, "No such task"), UnexpectedAnswer("HTML")])
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    with pytest.raises(type(error)):
        _opened(_cursor()).broke(error)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "seq", "ended"), [("SUCCESS", 5, True), ("SUCCESS", 6, False), ("RUNNING", 5, False)]
)
def test_a_closed_stream_ends_only_past_the_last_event_of_an_ended_task(status: str, seq: int, ended: bool) -> None:
    cursor = _cursor(after=5)
    cursor.closed(Task.model_validate(task(status, seq=seq)))
    assert cursor.ended is ended


def test_an_event_that_cannot_be_read_is_said_to_be_so() -> None:
    with pytest.raises(UnexpectedAnswer, match="cannot parse an event"):
        _cursor().take(ServerSentEvent("log", "[1]"))
