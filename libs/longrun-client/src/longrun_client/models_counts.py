"""Responses about how many tasks there are."""

from __future__ import annotations

from longrun_client.models import Status
from longrun_client.wire import Wire


class StatusCount(Wire):
    """How many tasks have a status; if it is not `exact`, there may be more, because counting ends at a bound."""

    count: int
    exact: bool


class TaskCounts(Wire):
    """How many tasks of a filter there are, by status."""

    counts: dict[Status, StatusCount]
