"""Rolling deploys: each process is replaced in its turn, while jobs of all versions wait and run."""

from __future__ import annotations

import random

from tests.chaos.kinds import Strike, fault
from tests.chaos.process_faults import GRACE_S
from tests.chaos.stage import APIS, WORKERS, Stage
from tests.fault.tasks_of_versions import VERSION_VARIABLE

ROLLING = "all"
REFUSED = "was refused for good by workers of another version"


@fault((ROLLING,))
def everything_deployed(strike: Strike) -> None:
    """SIGTERM each API and worker, one after the other, each once the one before is back."""
    for name in (*APIS, *WORKERS):
        _replace(strike.stage, name)


@fault((ROLLING,))
def next_version_deployed(strike: Strike) -> None:
    """A version with one more field in a model and one more task type replaces each process, in any order."""
    stage = strike.stage
    stage.version += 1
    for name in random.Random(strike.seed).sample([*APIS, *WORKERS], len(APIS) + len(WORKERS)):
        stage.nodes[name].env = {**stage.nodes[name].env, VERSION_VARIABLE: str(stage.version)}
        _replace(stage, name)


def refused_for_good(stage: Stage) -> list[str]:
    """Jobs that no version ran; everything is of the newest version now."""
    rows = stage.sql(
        "SELECT id, task_type, error FROM jobs WHERE status = 'FAILED' "
        "AND error ->> 'kind' = 'invalid' "
        "AND (task_type = 'test_versioned' OR starts_with(task_type, 'test_of_version_'))"
    )
    return [f"{row['id']} ({row['task_type']}) {REFUSED}: {row['error']}" for row in rows]


def _replace(stage: Stage, name: str) -> None:
    with stage.locks[name]:
        process = stage.process(name)
        process.terminate()
        process.wait(GRACE_S)
        stage.process(name)
        if name in WORKERS:
            stage.worker(name)
