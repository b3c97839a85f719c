"""The methods of both clients about the audit log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from functools import partial

from longrun_client.async_transport import AsyncTransport
from longrun_client.calls import PAGE_SIZE, Call, without_none
from longrun_client.models_audit import AuditLogEntry, AuditLogPage
from longrun_client.transport import Transport
from longrun_client.wire import KeysetPage


def audit_log_page(
    actor: str | None, subject: str | None, owner: str | None, after: str | None
) -> Call[KeysetPage[AuditLogEntry]]:
    """GET /audit-log: one page, newest first."""
    given = {"limit": PAGE_SIZE, "actor": actor, "subject": subject, "owner": owner, "after": after}
    return Call("GET", "/audit-log", AuditLogPage.model_validate, params=without_none(given))


class AuditClient:
    """Read what operators and admins did. It takes the scope `admin`."""

    _transport: Transport

    def audit_log(
        self, *, actor: str | None = None, subject: str | None = None, owner: str | None = None
    ) -> Iterator[AuditLogEntry]:
        """Iterate over acts, newest first: of an actor, on what has this name or id, or on what an owner has."""
        return self._transport.walk(partial(audit_log_page, actor, subject, owner))


class AsyncAuditClient:
    """Read what operators and admins did. It takes the scope `admin`."""

    _transport: AsyncTransport

    def audit_log(
        self, *, actor: str | None = None, subject: str | None = None, owner: str | None = None
    ) -> AsyncGenerator[AuditLogEntry, None]:
        """Iterate over acts, newest first: of an actor, on what has this name or id, or on what an owner has."""
        return self._transport.walk(partial(audit_log_page, actor, subject, owner))
