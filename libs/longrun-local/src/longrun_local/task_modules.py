"""What the modules of task types define, found out by a process that imports them as the API and the workers do.

The launcher imports none of them itself: what was imported once would stay, and a module may do anything.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from jobcore.settings import CoreSettings, read
from jobcore.tasks import load_tasks
from jobcore.tasks.decorator import DEFAULT_QUEUE
from longrun_local import services, sessions
from longrun_local.errors import StartError
from longrun_local.processes import how_it_ended

SLOW_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class TaskModules:
    """The queues of all task types by name, the user's own types, and why modules cannot be imported, by their name."""

    queues: Mapping[str, str]
    own: tuple[str, ...]
    broken: Mapping[str, str]

    def queues_of_worker(self) -> list[str]:
        """The queues that the general worker serves: all but those of the scraper's worker."""
        others = set(self.queues.values()) - {DEFAULT_QUEUE, services.SCRAPER_QUEUE}
        return [DEFAULT_QUEUE, *sorted(others)]

    def complaints(self) -> list[str]:
        """A line for each module that cannot be imported."""
        return [f"cannot import {module}: {why}" for module, why in self.broken.items()]


class Import:
    """A process that imports the modules of LONGRUN_TASKS and of entry points; it ends with the `with` block."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                services.task_modules(),
                stdin=subprocess.DEVNULL,
                stdout=self._answer,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
            )

    def result(self, say: Callable[[str], None], enough: Callable[[], bool]) -> TaskModules | None:
        """Wait for what it finds; None once `enough()`, which pauses. Calls `say` if it takes longer than SLOW_S.

        Raises StartError if a module ended the process.
        """
        slow_at = time.monotonic() + SLOW_S
        while self._process.poll() is None:
            if enough():
                return None
            if time.monotonic() > slow_at:
                say(f"the modules of task types are still being imported after {SLOW_S:g} s")
                slow_at = math.inf
        self._answer.seek(0)
        answer = self._answer.read()
        if self._process.returncode != 0 or not answer:
            how = how_it_ended(self._process.returncode)
            said = self._log.read_text(errors="replace").strip()
            raise StartError(f"the process that imports the modules of task types {how}\n{said}".strip())
        found = json.loads(answer)
        return TaskModules(found["queues"], tuple(found["own"]), found["broken"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sessions.kill_all(self._process.pid)
        self._process.wait()
        self._answer.close()


def main() -> None:
    """Import them; write what they define to stdout, and what they print to stderr."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    installed = load_tasks().names()
    registry = load_tasks(read(CoreSettings).tasks)
    queues = {task_type.name: task_type.queue for task_type in registry.submittable()}
    own = tuple(name for name in registry.names() if name not in installed)
    json.dump(asdict(TaskModules(queues, own, registry.broken)), answer)
    answer.flush()
    sys.stdout.flush()
    os._exit(0)  # a thread that a module started does not keep it


if __name__ == "__main__":
    main()
