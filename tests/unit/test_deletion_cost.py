"""A scale-down takes idle pods first, then those whose runs lose least."""

from __future__ import annotations

from uuid import UUID

import pytest
from pydantic import ValidationError

from jobcore.settings import WorkerSettings
from jobcore.states import Lane
from jobcore.supervision.child_state import IDLE, ChildState, RunKey, RunState
from jobcore.supervision.deletion_cost import cost

NOW = 10_000.0


def running(since_s: float) -> ChildState:
    key = RunKey(UUID(int=1), 1)
    return ChildState(1, False, (key,), RunState(key, Lane.PROCESS, NOW - since_s, None))


def test_an_idle_pod_costs_nothing_and_a_busy_one_the_more_the_longer_it_runs() -> None:
    pods = [[IDLE, IDLE], [IDLE, running(1)], [running(200), running(1)], [running(1000), IDLE]]
    costs = [cost(pod, NOW) for pod in pods]
    assert costs == [0, 10, 13, 26]


def test_without_the_pods_name_the_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGRUN_POD_DELETION_COST", "true")
    monkeypatch.setenv("POD_NAME", "worker-1")
    with pytest.raises(ValidationError, match="needs POD_NAME and POD_NAMESPACE"):
        WorkerSettings()
