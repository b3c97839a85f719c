"""`longrun dev tasks.py`: everything as `longrun run-local` starts it, and API and workers anew at each save.

a save ──▶ a process imports the modules ──▶ API and workers stop and start; PostgreSQL and Valkey stay, and so does
                      │                      the socket of the API: connections wait for the new one
                      └─ one cannot be imported any more ──▶ a line says why; what runs goes on
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from jobcore.settings import CoreSettings, read
from longrun_local.changes import Changes
from longrun_local.errors import StartError
from longrun_local.launcher import Launcher, launch
from longrun_local.output import Output
from longrun_local.signals import Signals
from longrun_local.sources import Sources
from longrun_local.task_modules import TaskModules

IDLE_S: Final = 0.1
NOTE: Final = "  Save a file of yours, and API and workers start anew.\n\n"
UNTIL: Final = "what runs goes on, until a save mends it"


class Dev:
    """Restarts API and workers when a source file has changed and can be imported."""

    def __init__(self, launcher: Launcher, changes: Changes, output: Output) -> None:
        self._launcher = launcher
        self._changes = changes
        self._output = output

    def serve(self, served: TaskModules) -> None:
        """Wait for changes until a signal arrives, which raises Interrupted."""
        while True:
            self._launcher.pause(IDLE_S)
            if self._changes.found() and (changed := self._changes.take()):
                served = self._reload(changed, served)

    def _reload(self, changed: Sequence[Path], served: TaskModules) -> TaskModules:
        """Import the modules and restart with them; returns what is served then."""
        self._output.say(f"{_names(changed)} changed")
        for path in changed:
            # Python takes bytecode for current if size and second of the source are the same
            with suppress(OSError):
                Path(importlib.util.cache_from_source(path)).unlink()
        started = time.monotonic()
        try:
            found = self._launcher.import_tasks(self._changes.found)
        except StartError as error:
            self._output.say(f"{error}; {UNTIL}")
            return served
        if found is None:  # there was another save meanwhile
            return served
        if found.broken.keys() - served.broken.keys() or (found.broken and not found.own):
            for line in found.complaints():
                self._output.say(f"{line}; {UNTIL}")
            return served
        if self._launcher.restart(found, self._changes.found):
            self._output.say(
                f"restarted in {time.monotonic() - started:.1f} s, with {', '.join(found.own) or 'no tasks of yours'}"
            )
            for line in found.complaints():
                self._output.say(line)
        return found


def main(given: Sequence[str]) -> int:
    """Run Longrun with these files, folders and modules until Ctrl-C; returns the exit code, 1 if it cannot start."""
    signals = Signals()
    given = given or read(CoreSettings).tasks
    try:
        if not given:
            raise StartError("name your file of task types: longrun dev tasks.py")
        sources = Sources(given)
    except StartError as error:
        print(f"longrun: {error}", file=sys.stderr)
        return 2
    os.environ["LONGRUN_TASKS"] = ",".join(sources.modules)
    return launch(signals, lambda launcher, output: _run(launcher, output, sources))


def _run(launcher: Launcher, output: Output, sources: Sources) -> None:
    with Changes(sources, output.say) as changes:
        launcher.run(Dev(launcher, changes, output).serve, NOTE)


def _names(paths: Sequence[Path], most: int = 3) -> str:
    names = [path.name for path in paths[:most]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
