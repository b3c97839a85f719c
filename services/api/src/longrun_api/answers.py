"""Answers that are stored with their idempotency key, and given again to repeated requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request, Response

from jobcore.errors import LongrunError
from jobcore.models import IdempotencyKey
from jobcore.store import idempotency
from jobcore.store.idempotency import StoredAnswer
from longrun_api.idempotency import REPLAYED
from longrun_api.runtime import runtime_of

T = TypeVar("T")


async def once(
    request: Request, key: IdempotencyKey | None, work: Callable[[Any], tuple[StoredAnswer, T]]
) -> tuple[StoredAnswer, T | None]:
    """Do the work of a request, or find the answer that its key has: then the second value is None.

    `work` returns the answer and what is to be announced once it is committed. What it raises leaves the key free.
    """
    if key is None:
        return await runtime_of(request).database.call(work)
    return await runtime_of(request).database.call(idempotency.once, key, work)


async def repeated(request: Request, key: IdempotencyKey | None, refusal: LongrunError) -> Response:
    """The stored answer of a request that would be refused now; raises `refusal` if its key has none."""
    stored = None if key is None else await runtime_of(request).database.call(idempotency.find, key)
    if stored is None:
        raise refusal
    return response(stored, replayed=True)


def response(answer: StoredAnswer, *, replayed: bool, **headers: str) -> Response:
    """The response to a request that was answered so."""
    place = {"Location": answer.location} if answer.location else {}
    shown = {**headers, **place, **(REPLAYED if replayed else {})}
    return Response(answer.body, answer.status, shown, "application/json")
