"""How long a task waited and ran."""

from __future__ import annotations

from pydantic import AwareDatetime

from longrun_client.wire import Wire


class Timings(Wire):
    """How long a task waited and ran, in seconds; None for what has not happened yet."""

    due_at: AwareDatetime
    """When its latest attempt became due or, while it is PENDING, when the next one did or will."""
    first_started_at: AwareDatetime | None = None
    queued_s: float | None = None
    """From `due_at` to the start of the latest attempt."""
    ran_s: float | None = None
    """Duration of the latest attempt."""
    total_s: float | None = None
    """From `created_at` to `finished_at`."""
