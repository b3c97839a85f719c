"""One run of one job without a server: what a task does, and the outcome of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, RootModel
from uuid_utils.compat import uuid7

from jobcore.models import Claim, Outcome
from jobcore.store.database import Database
from jobcore.supervision.slots import Slots
from jobcore.tasks import JobContext, Registry, RetryPolicy, TaskType
from jobcore.worker.interrupts import Interrupts
from jobcore.worker.run import JobRun
from jobcore.worker.run_store import RunStore
from jobcore.worker.values import DEFAULT_BOUNDS, Bounds


class Input(BaseModel):
    """Takes a number."""

    n: int = 1


Anything = RootModel[Any]


def type_of(
    function: Callable[[JobContext, Any], Any],
    input_model: type[BaseModel] = Input,
    output_model: type[BaseModel] = Anything,
    retry: RetryPolicy | None = None,
) -> TaskType:
    """The task type `t`, of this function and these models."""
    return TaskType(
        "t", function, input_model, output_model, "default", "", retry or RetryPolicy(backoff_s=2), None, None
    )


def registered(task_type: TaskType) -> Registry:
    """A registry that knows this task type alone."""
    registry = Registry()
    registry.add(task_type)
    return registry


def run_type(
    task_type: TaskType,
    text: str,
    *,
    tries: int = 1,
    retry: Mapping[str, float] | None = None,
    refusals: int = 0,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Outcome:
    """One run with the input that this JSON text holds."""
    claim = Claim(uuid7(), 7, "t", "default", text, tries, tries, 3, None, None, None, 2, datetime.now(UTC))
    claim = claim._replace(retry=retry, refusals=refusals)
    slot = Slots(1, os.getpid())[0]
    interrupts = Interrupts(slot)
    # no connection is made: nothing here writes before the outcome
    db = Database("postgresql://nobody@127.0.0.1:1/none", name="test")
    store = RunStore(claim, slot, db, lambda _: None, lambda _: None, bounds)
    outcome = JobRun(store, registered(task_type)).execute(interrupts)
    assert outcome is not None
    assert (outcome.id, outcome.fence) == (claim.id, claim.fence)
    return outcome


def run(function: Callable[[JobContext, Any], Any], *, given: dict[str, Any] | None = None, **more: Any) -> Outcome:
    """One run of this function, which takes an `Input` and may return anything."""
    return run_type(type_of(function), json.dumps(given or {}), **more)


def raising(error: BaseException) -> Callable[[JobContext, Any], Any]:
    """A task that raises this."""

    def function(_ctx: JobContext, _input: Any) -> Any:
        raise error

    return function
