"""Rolling deploys: each process is replaced in its turn, while jobs of all versions wait and run."""

from __future__ import annotations

import random

from tests.chaos.deployment import APIS, WORKERS, Deployment
from tests.chaos.kinds import Strike, fault
from tests.chaos.process_faults import GRACE_S
from tests.fault.tasks_of_versions import VERSION_VARIABLE

ROLLING = "all"
REFUSED = "was refused for good by workers of another version"


@fault((ROLLING,))
def everything_deployed(strike: Strike) -> None:
    """SIGTERM each API and worker, one after the other, each once the one before is back."""
    for name in (*APIS, *WORKERS):
        _replace(strike.deployment, name)


@fault((ROLLING,))
def next_version_deployed(strike: Strike) -> None:
    """A version with one more field in a model and one more task type replaces each process, in any order."""
    deployment = strike.deployment
    deployment.version += 1
    for name in random.Random(strike.seed).sample([*APIS, *WORKERS], len(APIS) + len(WORKERS)):
        deployment.nodes[name].env = {**deployment.nodes[name].env, VERSION_VARIABLE: str(deployment.version)}
        _replace(deployment, name)


def refused_for_good(deployment: Deployment) -> list[str]:
    """Jobs that no version ran; everything is of the newest version now."""
    rows = deployment.sql(
        "SELECT id, task_type, error FROM jobs WHERE status = 'FAILED' "
        "AND error ->> 'kind' = 'invalid' "
        "AND (task_type = 'test_versioned' OR starts_with(task_type, 'test_of_version_'))"
    )
    return [f"{row['id']} ({row['task_type']}) {REFUSED}: {row['error']}" for row in rows]


def _replace(deployment: Deployment, name: str) -> None:
    with deployment.locks[name]:
        process = deployment.process(name)
        process.terminate()
        process.wait(GRACE_S)
        deployment.process(name)
        if name in WORKERS:
            deployment.worker(name)
