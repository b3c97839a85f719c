"""A child that finds a backlog claims again at once; it pauses only to let jobs arrive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from uuid_utils.compat import uuid7

from jobcore.host import clock
from jobcore.models import Claim
from jobcore.store.claims import Taken
from jobcore.supervision.slots import Slots
from jobcore.tasks import Registry
from jobcore.worker import claim_loop
from jobcore.worker.batching import BatchSize
from jobcore.worker.child_claims import ChildClaims
from jobcore.worker.claim_loop import ClaimLoop
from jobcore.worker.claimer import Claimer
from jobcore.worker.room import Room


def claims(count: int) -> list[Claim]:
    return [
        Claim(uuid7(), 1, "t", "default", "{}", 1, 1, 3, None, None, None, 2, datetime.now(UTC)) for _ in range(count)
    ]


def pauses(monkeypatch: pytest.MonkeyPatch, answers: Iterator[Taken], *, background: bool = False) -> list[int]:
    """How many jobs the claims brought after which the child paused; PostgreSQL gives these answers, then nothing."""
    paused: list[int] = []
    monkeypatch.setattr(claim_loop, "_pace", lambda count, _since: paused.append(count))
    slots = Slots(1, os.getpid())
    slots.renew(uuid7(), clock.now() + 60)
    nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731
    room, registry, settings = Room(32), Registry(), SimpleNamespace(lease_s=30.0)
    child_claims = ChildClaims(slots[0], os.getpid())
    db: Any = SimpleNamespace(call=lambda *_, **__: next(answers, Taken([], more=False)))
    claimer = Claimer(slots, slots[0], child_claims, db=db, registry=registry, settings=cast(Any, settings), room=room)
    parts: dict[str, Any] = {
        "claimer": claimer,
        "waker": SimpleNamespace(wake=nothing, publish=lambda _: True),
        "registry": registry,
        "settings": settings,
        "completer": SimpleNamespace(wait_for=nothing, flush=nothing, watch=nothing),
        "main_lane": SimpleNamespace(run=nothing),
        "background": SimpleNamespace(room=room, takes=lambda _: background, start=nothing),
        "batch_size": BatchSize(),
        "retirement": SimpleNamespace(why=None),
    }
    ClaimLoop(slots, slots[0], child_claims, **parts).work("default")
    return paused


def test_a_child_that_finds_a_backlog_claims_again_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = (Taken(claims(count), more=True) for count in (1, 2, 4))
    assert pauses(monkeypatch, backlog) == []


def test_a_child_that_took_all_there_was_lets_some_jobs_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Taken(claims(1), more=True), Taken(claims(1), more=False)])
    assert pauses(monkeypatch, answers) == [1]


def test_a_child_leaves_long_background_jobs_to_the_others_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Taken(claims(8), more=True)])
    assert pauses(monkeypatch, answers, background=True) == [8]
