"""Lost runs: their worker is dead, gone or unknown, so their jobs must return to their queues."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.releases import Release

LOST: Final = text("""
SELECT jobs.id, jobs.fence FROM jobs LEFT JOIN workers ON workers.id = jobs.worker_id
WHERE jobs.status = 'RUNNING' AND (workers.id IS NULL OR workers.state IN ('dead', 'gone'))
ORDER BY jobs.id LIMIT :limit
""")


def lost(connection: Connection, limit: int = 500) -> list[Release]:
    """The first `limit` lost runs, as releases that hand their jobs back."""
    return [Release(row.id, row.fence, "loss") for row in connection.execute(LOST, {"limit": limit})]
