"""The deletion of files, in a thread of its own: a store of files that hangs delays no other work.

Result files are deleted that were replaced, that were not finished before their run ended, or whose job was deleted;
input files that no submission named in time, or whose job was deleted. First their bytes are deleted and then their
rows, so a crash in between only has them deleted again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from jobcore.errors import FileStoreUnavailable, LongrunError
from jobcore.files import FileStore, open_store
from jobcore.host.background_thread import BackgroundThread
from jobcore.keeper.housekeeping import CHECK_S, Done, Pass
from jobcore.settings import CoreSettings
from jobcore.store import files, input_files
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
        self._passes = [
            Pass(self._delete_results, longest_s=LONGEST_PASS_S),
            Pass(self._delete_inputs, longest_s=LONGEST_PASS_S),
        ]
        self._outage = logs.Outage(log, "cannot delete files", "files are deleted again")

    def run(self) -> None:
        """Check again and again until stopped."""
        with traces.quiet():
            while self._settings.files and not self.pause(CHECK_S):
                if self._leads():
                    self.check()

    def check(self) -> None:
        """Delete what is to be deleted, if a pass is due."""
        try:
            for each in self._passes:
                while each.run_step() and not self.stopping:
                    self.beat()
            self._outage.end()
        except LongrunError as error:
            self._outage.begin(error)

    def _delete_results(self, size: int) -> Done:
        return self._delete(self._db.call(files.abandon), files.doomed, files.forget, size)

    def _delete_inputs(self, size: int) -> Done:
        return self._delete(self._db.call(input_files.expire), input_files.doomed, input_files.forget, size)

    def _delete(
        self,
        marked: int,
        find: Callable[[Any, int], list[UUID]],
        forget: Callable[[Any, Sequence[UUID]], None],
        size: int,
    ) -> Done:
        limit = min(size, BATCH)
        doomed = self._db.call(find, limit)
        if doomed:
            self._store().delete(doomed)
            self._db.call(forget, doomed)
        return Done(marked + len(doomed), len(doomed) == limit)

    def _store(self) -> FileStore:
        store = open_store(self._settings.files)
        if store is None:
            raise FileStoreUnavailable("LONGRUN_FILES is not set")
        return store
