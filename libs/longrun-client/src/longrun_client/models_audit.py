"""Responses about the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import AwareDatetime

from longrun_client.wire import KeysetPage, Wire


class AuditLogEntry(Wire):
    """An act: who did what, from where, and what it changed."""

    id: int
    at: AwareDatetime
    actor: str
    """The id of a key, the subject of a token, or the name of a program."""
    actor_owner: str | None = None
    """For whom the actor acted; None: the operator."""
    address: str | None = None
    """The address from which the request came."""
    request_id: str | None = None
    act: str
    kind: str
    subject: str
    """The name or id of what was acted on."""
    owner: str | None = None
    """Whose that is; None: the operator's."""
    before: Mapping[str, Any] | None = None
    """Its settings before the act; None: there was no such thing."""
    after: Mapping[str, Any] | None = None
    """Its settings after the act; None: it does not exist any more."""


class AuditLogPage(KeysetPage[AuditLogEntry]):
    """A page of the audit log, newest first."""
