"""The deletion of result files, in a thread of its own: a store of files that hangs delays no other work.

Files are deleted that were replaced, that were not finished before their run ended, or whose job was deleted. First
their bytes are deleted and then their rows, so a crash in between only has them deleted again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobcore.errors import FileStoreUnavailable, LongrunError
from jobcore.files import FileStore, open_store
from jobcore.host.background_thread import BackgroundThread
from jobcore.keeper.housekeeping import CHECK_S, Done, Pass
from jobcore.settings import CoreSettings
from jobcore.store import files
from jobcore.store.database import Database
from jobcore.telemetry import logs, traces

STALL_S: Final = 600.0
"""Seconds that the deletion of a batch may take before the thread counts as stalled."""
LONGEST_PASS_S: Final = 15.0
"""The longest pause between two passes, in seconds."""
BATCH: Final = 200
"""Files that are deleted at once."""

log = logs.get(__name__)


class FileDeletion(BackgroundThread):
    """The thread that deletes files while `leads` returns True. Without a place for files, it does nothing."""

    def __init__(self, settings: CoreSettings, leads: Callable[[], bool]) -> None:
        super().__init__("file-deletion", stall_s=STALL_S)
        self._settings = settings
        self._leads = leads
        self._db = Database(
            settings.database_url, schema=settings.database_schema, name="longrun-file-deletion", pool_size=1
        )
        self._pass = Pass(self._delete, longest_s=LONGEST_PASS_S)
        self._outage = logs.Outage(log, "cannot delete result files", "result files are deleted again")

    def run(self) -> None:
        """Check again and again until stopped."""
        with traces.quiet():
            while self._settings.files and not self.pause(CHECK_S):
                if self._leads():
                    self.check()

    def check(self) -> None:
        """Delete what is to be deleted, if a pass is due."""
        try:
            while self._pass.run_step() and not self.stopping:
                self.beat()
            self._outage.end()
        except LongrunError as error:
            self._outage.begin(error)

    def _delete(self, size: int) -> Done:
        abandoned = self._db.call(files.abandon)
        limit = min(size, BATCH)
        doomed = self._db.call(files.doomed, limit)
        if doomed:
            self._store().delete(doomed)
            self._db.call(files.forget, doomed)
        return Done(abandoned + len(doomed), len(doomed) == limit)

    def _store(self) -> FileStore:
        store = open_store(self._settings.files)
        if store is None:
            raise FileStoreUnavailable("LONGRUN_FILES is not set")
        return store
