"""Output reaches every reader once and in order, whatever breaks between the task and its readers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import pytest

from longrun_client import AsyncLongrun, Longrun, Piece
from tests.fault.link import Link
from tests.fault.test_partition import at_rest
from tests.harness import NOTICED_S, Harness
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

READERS = 10
PIECES = 500
PAUSE_S = 0.02


class Readers:
    """Ten readers of one job's output, which keep what they get; every other one reads through a link."""

    def __init__(self, job_id: str, url: str, linked_url: str) -> None:
        self.got: list[list[Piece]] = [[] for _ in range(READERS)]
        self._job_id = job_id
        self._urls = [url, linked_url]

    def each_gets(self, count: int) -> None:
        """Wait until each has got so many pieces."""
        until(lambda: all(len(pieces) >= count for pieces in self.got), what=f"each reader has {count} pieces")

    async def read(self) -> None:
        """Read until the job has ended."""
        await asyncio.gather(*(self._read(number) for number in range(READERS)))

    async def _read(self, number: int) -> None:
        async with AsyncLongrun(self._urls[number % 2]) as client:
            async for piece in client.output(self._job_id):
                self.got[number].append(piece)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read in a thread meanwhile, until the job has ended."""
        thread = threading.Thread(target=lambda: asyncio.run(self.read()), daemon=True)
        thread.start()
        yield
        thread.join(NOTICED_S)


def numbers(pieces: list[Piece]) -> dict[int, list[int]]:
    """The numbers that each attempt emitted."""
    return {
        attempt: [piece.data["number"] for piece in its] for attempt, its in groupby(pieces, lambda one: one.attempt)
    }


def test_ten_readers_get_fifty_pieces_a_second_once_over_reconnects_and_the_death_of_the_child(apart: Harness) -> None:
    apart.worker()
    url = str(apart.api.base_url)
    job_id = apart.submit("test_emit", {"pieces": PIECES, "pause_s": PAUSE_S})
    with Link(url) as link:
        readers = Readers(job_id, url, link.url)
        with readers.reading():
            readers.each_gets(50)
            link.cut()
            readers.each_gets(100)
            link.cut()
            readers.each_gets(200)
            os.kill(readers.got[0][0].data["pid"], signal.SIGKILL)
            until(lambda: any(piece.attempt == 2 for piece in readers.got[0]), NOTICED_S, "the next attempt emits")
            link.cut()
    job = apart.reaches(job_id, "SUCCESS")
    with Longrun(url) as client:
        stored = list(client.output(job_id, follow=False))
    assert all(pieces == stored for pieces in readers.got)
    by_attempt = numbers(stored)
    dead, last = by_attempt[1], by_attempt[2]
    assert dead == list(range(len(dead)))
    assert len(dead) >= 200, "what a reader has seen stays"
    assert last == list(range(job["result"]["start"], PIECES)), "the next attempt goes on"
    assert job["result"]["start"] <= len(dead), "a checkpoint is never stored before what was emitted before it"
    check(apart, [job_id])


def emits_on(longrun: Harness, job_id: str) -> None:
    """Wait until something is stored that is emitted from now on."""
    [now] = longrun.sql("SELECT now() AS at")
    later = "SELECT 1 FROM job_events WHERE job_id = %s AND kind = 'output' AND at > %s"
    until(lambda: longrun.sql(later, job_id, now["at"]), what="output is stored")


def test_output_whose_commit_was_not_confirmed_is_stored_once(apart: Harness, tmp_path: Path) -> None:
    enough = tmp_path / "enough"
    with Link(apart.stack.database_url) as link:
        apart.worker(concurrency=1, DATABASE_URL=link.url)
        # without checkpoints, so that the connection of the completer is the only one
        emits = {"pieces": 1, "pause_s": PAUSE_S / 2, "until": str(enough), "checkpoint_every": 10**9}
        job_id = apart.submit("test_emit", emits)
        for _ in range(5):
            emits_on(apart, job_id)
            with link.held(replies_only=True):
                until(lambda: at_rest(apart), what="the reply to a commit is held, so nothing more is stored")
                link.cut()
        enough.touch()
        job = apart.reaches(job_id, "SUCCESS")
    with Longrun(str(apart.api.base_url)) as client:
        stored = list(client.output(job_id, follow=False))
    assert numbers(stored) == {1: list(range(job["result"]["end"]))}
    check(apart, [job_id])
