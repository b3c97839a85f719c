"""Acts: what a caller does to the settings that others work with, and what the audit log says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What can be acted on."""

    QUEUE = "queue"
    CONCURRENCY_LIMIT = "concurrency_limit"
    RATE_LIMIT = "rate_limit"
    SCHEDULE = "schedule"
    KEY = "key"
    QUOTA = "quota"
    WEBHOOK = "webhook"
    WEBHOOK_SECRET = "webhook_secret"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Act:
    """One act of a caller."""

    act: str
    """What it does, such as `change_queue`."""
    actor: str
    """The id of a key, the subject of a token, or the name of a program."""
    actor_owner: str | None = None
    """For whom the actor acts; None: the operator."""
    address: str | None = None
    """From where the request came."""
    request_id: str | None = None

    def encoded(self) -> str:
        """This act for the setting `longrun.act`: JSON in hex, which needs no quoting in any statement."""
        return json.dumps(asdict(self)).encode().hex()


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An act in the audit log: who did what, and what was changed."""

    id: int
    at: datetime
    actor: str
    actor_owner: str | None
    address: str | None
    request_id: str | None
    act: str
    kind: str
    subject: str
    """The name or the id of what was acted on."""
    owner: str | None
    """Whose that is; None: the operator's."""
    before: Mapping[str, Any] | None
    """The settings before the act; None: there was nothing."""
    after: Mapping[str, Any] | None
    """The settings after it; None: there is nothing any more."""
