"""Responses about the quotas of owners."""

from __future__ import annotations

from typing import TypedDict

from longrun_client.wire import KeysetPage, Wire


class Amounts(TypedDict, total=False):
    """Quotas of an owner; None: any number. Those that are left out are those of the server's settings."""

    submissions: int | None
    queued: int | None
    names: int | None
    streams: int | None
    stored_bytes: int | None


class Used(Wire):
    """What an owner has taken of its quotas."""

    queued: int = 0
    """Its tasks that are PENDING."""
    names: int = 0
    """Its schedules, concurrency limits and rate limits."""
    streams: int | None = None
    """Its open streams; None: it has no such quota, or the server cannot count them now."""
    stored_bytes: int = 0
    """Bytes of its inputs, results and files."""


class Quota(Wire):
    """What an owner may take."""

    owner: str
    submissions: int | None = None
    """Tasks that it may submit in a second; None: any number."""
    queued: int | None = None
    """Tasks of it that may be PENDING at once; None: any number."""
    names: int | None = None
    """Schedules and limits that it may keep, together; None: any number."""
    streams: int | None = None
    """Streams of it that may be open at once; None: any number."""
    stored_bytes: int | None = None
    """Bytes of inputs, results and files that it may have stored; None: any number."""
    is_default: bool = False
    """Whether these are the quotas of the server's settings."""
    used: Used = Used()


class QuotaPage(KeysetPage[Quota]):
    """A page of the owners that have quotas of their own, by owner."""
