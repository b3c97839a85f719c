"""`/audit-log`: what operators and admins did."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from jobcore.models.acts import AuditEntry, Kind
from jobcore.models.caller import Scope
from jobcore.store import audit_log
from longrun_api.auth.scopes import needs
from longrun_api.callers import caller_of, owner_to_look_at
from longrun_api.key_parameters import OfOwner
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.times import Utc

router = APIRouter(prefix="/audit-log", tags=["audit"])

Text = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class AuditLogEntry(BaseModel):
    """An act: who did what, from where, and what it changed."""

    id: int
    at: Utc
    actor: str = Field(description="The id of a key, the subject of a token, or the name of a program.")
    actor_owner: str | None = Field(description="For whom the actor acted; null: the operator.")
    address: str | None = Field(description="The address from which the request came.")
    request_id: str | None
    act: str = Field(description="What was done: the `operationId` of the request, or that of a program.")
    kind: Kind | str = Field(description="What kind of thing was acted on.")
    subject: str = Field(description="Its name or id.")
    owner: str | None = Field(description="Whose it is; null: the operator's.")
    before: dict[str, Any] | None = Field(description="Its settings before the act; null: there was no such thing.")
    after: dict[str, Any] | None = Field(description="Its settings after the act; null: it does not exist any more.")

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """The entry as clients see it."""
        return cls.model_validate(asdict(entry))


class AuditLogPage(BaseModel):
    """A page of the audit log, newest first."""

    items: list[AuditLogEntry]
    next: str | None = Field(description="Pass it as `after` to get the next page; null on the last page.")


@router.get("", responses=problem_responses(422, 503))
@needs(Scope.ADMIN)
async def list_audit_log(
    request: Request,
    actor: Annotated[Text, Query(description="Only acts of this actor.")] = None,
    subject: Annotated[Text, Query(description="Only acts on what has this name or id.")] = None,
    owner: OfOwner = None,
    after: Annotated[str | None, Query(pattern=r"^[1-9]\d{0,17}$", description="`next` of the previous page.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of items in the page.")] = 100,
) -> AuditLogPage:
    """List acts of operators and admins, newest first: changes of queues, limits, schedules and keys.

    A caller with an owner sees the acts on what belongs to that owner. Entries are kept for `LONGRUN_AUDIT_DAYS` days,
    and nothing ever changes one.
    """
    found = await runtime_of(request).database.call(
        audit_log.page,
        limit=limit + 1,
        before=audit_log.LAST if after is None else int(after),
        actor=actor,
        subject=subject,
        owner=owner_to_look_at(caller_of(request), owner),
    )
    items = [AuditLogEntry.of(entry) for entry in found[:limit]]
    return AuditLogPage(items=items, next=str(items[-1].id) if len(found) > limit else None)
