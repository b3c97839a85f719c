"""A background thread is restarted when it fails, reported when it hangs, and ended by `stop`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from jobcore.host import background_thread
from jobcore.host.background_thread import BackgroundThread
from jobcore.telemetry import metrics
from tests.waiting import until

SOON_S = 10.0


class Body(BackgroundThread):
    """Runs a function of the test; `stopped` and `stalls` count what the base class called."""

    def __init__(self, body: Callable[[Body], None], *, stop_s: float = SOON_S, stall_s: float = 60.0) -> None:
        super().__init__("a test", stop_s=stop_s, stall_s=stall_s)
        self._body = body
        self.go_on = threading.Event()
        self.runs = self.stalls = 0

    def run(self) -> None:
        self.runs += 1
        self._body(self)

    def on_stop(self) -> None:
        self.go_on.set()

    def on_stall(self) -> None:
        self.stalls += 1


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the metric of failed threads counted: name and reason."""
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(metrics, "thread_failed", lambda name, why: seen.append((name, why)))
    return seen


@pytest.fixture
def started() -> Iterator[Callable[..., Body]]:
    """Starts a thread with this body; it is stopped after the test."""
    threads: list[Body] = []

    def start(body: Callable[[Body], None], **options: float) -> Body:
        threads.append(Body(body, **options))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.stop()


def test_a_thread_that_fails_is_logged_counted_and_restarted(
    started: Callable[..., Body], failures: list[tuple[str, str]]
) -> None:
    def fail_twice(thread: Body) -> None:
        if thread.runs <= 2:
            raise SystemExit("whatever it is")
        thread.rest()
        thread.go_on.wait()

    with capture_logs() as lines:
        thread = started(fail_twice)
        until(lambda: thread.runs == 3, what="it was restarted")
    assert [line["event"] for line in lines] == ["thread failed; restarting it"] * 2
    assert failures == [("a test", "error")] * 2
    assert not thread.stalled


def test_a_thread_that_hangs_is_reported_once_and_again_once_it_continues(
    started: Callable[..., Body], failures: list[tuple[str, str]]
) -> None:
    hangs = threading.Event()

    def hang(thread: Body) -> None:
        thread.beat()
        hangs.wait()
        while not thread.pause(0.01):
            pass

    with capture_logs() as lines:
        thread = started(hang, stall_s=0.2)
        until(lambda: thread.stalls, what="it counts as stalled")
        assert background_thread.stalled() == ["a test"]
        time.sleep(0.5)  # further ticks
        hangs.set()
        until(lambda: not thread.stalled, what="it continues")
        until(lambda: lines[-1]["event"] == "thread continues", what="that is logged")
    stalled, continues = lines
    assert (stalled["event"], "hangs.wait()" in stalled["stack"]) == ("thread is stalled", True)
    assert continues["event"] == "thread continues"
    assert (thread.stalls, failures) == (1, [("a test", "stall")])
    assert background_thread.stalled() == []


@pytest.mark.parametrize(
    "wait", [lambda thread: thread.pause(60.0), lambda thread: thread.go_on.wait()], ids=["pause", "a wait of its own"]
)
def test_a_thread_that_waits_for_work_is_not_stalled(
    started: Callable[..., Body], wait: Callable[[Body], object]
) -> None:
    def rest(thread: Body) -> None:
        thread.beat()
        thread.rest()
        wait(thread)

    thread = started(rest, stall_s=0.1)
    time.sleep(0.5)  # longer than `stall_s`
    assert (thread.stalls, background_thread.stalled()) == (0, [])


def test_stop_ends_a_pause_and_waits_for_the_last_work(started: Callable[..., Body]) -> None:
    done: list[str] = []

    def work(thread: Body) -> None:
        while not thread.pause(60.0):
            pass
        time.sleep(0.2)  # the last work
        done.append("the last work")

    thread = started(work)
    assert thread.stop()
    assert (done, thread.stopping) == (["the last work"], True)
    assert background_thread.stalled() == []


def test_stop_waits_no_longer_than_its_deadline_and_says_so(started: Callable[..., Body]) -> None:
    release = threading.Event()
    thread = started(lambda _thread: release.wait(), stop_s=0.2)
    with capture_logs() as lines:
        assert not thread.stop()
    assert [(line["event"], line["thread"]) for line in lines] == [("thread did not end in time", "a test")]
    release.set()
    assert thread.stop()


def test_a_thread_that_fails_while_it_is_stopped_still_does_its_last_work(
    started: Callable[..., Body], failures: list[tuple[str, str]]
) -> None:
    done: list[int] = []

    def fail_once(thread: Body) -> None:
        thread.pause(60.0)
        if thread.runs == 1:
            raise OSError("its last work failed")
        done.append(thread.runs)

    thread = started(fail_once)
    assert thread.stop()
    assert (done, failures) == ([2], [("a test", "error")])


def test_a_thread_that_was_never_started_stops_at_once() -> None:
    assert Body(lambda thread: None).stop()
