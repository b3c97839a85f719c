"""What bulk actions did."""

from __future__ import annotations

from pydantic import Field

from longrun_client.models import Status, Task
from longrun_client.wire import Wire


class BulkOutcome(Wire):
    """What became of one of the given ids.

    `outcome` is `changed`, `skipped` (its status does not allow it; `detail` may say more) or `unknown`.
    """

    task_id: str
    outcome: str
    status: Status | None = None
    """The status that the task had."""
    detail: str | None = None


class BulkResult(Wire):
    """What a bulk action did, or in a dry run would do.

    If there are more than 1,000 tasks, the server leaves them to `task`, a task of its own: the counts are then in the
    `result` of that task once it has ended, and 0 here.
    """

    dry_run: bool = False
    matched: int = 0
    changed: int = 0
    skipped: dict[Status, int] = Field(default_factory=dict)
    """How many tasks were left as they were, by their status."""
    unknown: int = 0
    exact: bool = True
    """False if there may be more than these, because the server's counting ends at a bound."""
    outcomes: tuple[BulkOutcome, ...] = ()
    """One for each of the given ids, in their order."""
    task: Task | None = None
