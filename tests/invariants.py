"""What must be true of every job whatever died meanwhile, read from PostgreSQL and from the diaries of the runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any

from jobcore.states import TERMINAL, TRANSITIONS
from tests.harness import Harness, Tick

Rows = Callable[..., list[dict[str, Any]]]
"""Runs a statement with its values; the rows as dicts."""
LOST = "was accepted and is lost"
NOT_ENDED = "and not at its end"
TERMINAL_EVENTS = "terminal events and is"
OVERLAP = "s before run"
THAWED_S = 2.0
"""The watchdogs look four times a second; a busy machine has them wait."""
MOVES = {(str(start), str(end)) for (start, _), end in TRANSITIONS.items()}


def check(harness: Harness, accepted: Collection[str], due: Collection[str] = (), frozen: Collection[str] = ()) -> None:
    """AssertionError names each broken promise. `due` are jobs that may still wait or run.

    `frozen` are jobs of a host that was frozen as a whole: only there may a run go on past its lease (until it thaws).
    """
    broken = broken_promises(harness.sql, accepted, due)
    for job_id in set(accepted) - set(frozen):
        broken += [f"{job_id}: {problem}" for problem in overlaps(harness.ticks(job_id))]
    assert not broken, "\n".join(broken)


def broken_promises(sql: Rows, accepted: Collection[str], due: Collection[str] = ()) -> list[str]:
    """What PostgreSQL says against the promises to these jobs; `due` may still wait or run."""
    ids = list(accepted)
    jobs = {str(job["id"]): job for job in sql("SELECT * FROM jobs WHERE id = ANY(%s::uuid[])", ids)}
    stories: dict[str, list[dict[str, Any]]] = {job_id: [] for job_id in jobs}
    for event in sql("SELECT * FROM job_events WHERE job_id = ANY(%s::uuid[]) ORDER BY job_id, seq", ids):
        stories[str(event["job_id"])].append(event)
    broken = [f"{job_id}: {LOST}" for job_id in ids if job_id not in jobs]
    for job_id, job in jobs.items():
        broken += [f"{job_id}: {problem}" for problem in _problems(job, stories[job_id], still_due=job_id in due)]
    return broken


def _problems(job: dict[str, Any], story: Sequence[dict[str, Any]], still_due: bool) -> list[str]:
    states = [event for event in story if event["kind"] == "state"]
    statuses = [event["data"]["status"] for event in states]
    terminal = [event for event in states if event["data"]["status"] in TERMINAL]
    claims = Counter(statuses)["RUNNING"]
    found = []
    if job["status"] not in TERMINAL and not still_due:
        found.append(f"is {job['status']} {NOT_ENDED}")
    lives = 1 + sum(event["data"].get("reason") == "manual" for event in states)
    if len(terminal) != lives - (job["status"] not in TERMINAL):
        found.append(f"has {len(terminal)} {TERMINAL_EVENTS} {job['status']}, in {lives} lives")
    if [event["seq"] for event in story] != list(range(1, job["last_seq"] + 1)):
        found.append(f"has the seqs {[event['seq'] for event in story]}, and last_seq {job['last_seq']}")
    if statuses[:1] != ["PENDING"] or statuses[-1:] != [job["status"]]:
        found.append(f"is {job['status']} and its story says {statuses}")
    found += [f"went from {move[0]} to {move[1]}" for move in pairwise(statuses) if move not in MOVES]
    follows = {before["seq"]: after for before, after in pairwise(story)}
    for end in terminal:
        if end["seq"] in follows and follows[end["seq"]]["data"].get("reason") != "manual":
            found.append("has events after its terminal one")
    if job["fence"] != claims:
        found.append(f"has the fence {job['fence']} and was claimed {claims} times")
    if job["attempt"] > job["fence"]:
        found.append(f"counts {job['attempt']} attempts in {job['fence']} claims")
    if job["status"] == "CANCELLED" and not (job["cancel_acknowledged_at"] and job["cancel_stopped_at"]):
        found.append("was cancelled and its receipt is not complete")
    return found


def overlaps(ticks: Sequence[Tick], thawed_at: float = -math.inf) -> list[str]:
    """Runs of one job in two processes at once: the last sign of a run comes before the first of the next.

    A host that was frozen as a whole and thawed at `thawed_at` has THAWED_S seconds to end what it runs.
    """
    fences = sorted({tick.fence for tick in ticks})
    first = {fence: min(tick.at for tick in ticks if tick.fence == fence) for fence in fences}
    last = {fence: max(tick.at for tick in ticks if tick.fence == fence) for fence in fences}
    return [
        f"run {later} began {last[earlier] - first[later]:.2f} {OVERLAP} {earlier} ended"
        for earlier, later in pairwise(fences)
        if first[later] <= last[earlier] and last[earlier] > thawed_at + THAWED_S
    ]
