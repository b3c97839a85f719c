"""Responses about the quotas of owners."""

from __future__ import annotations

from longrun_client.wire import KeysetPage, Wire


class Quota(Wire):
    """What an owner may take."""

    owner: str
    submissions: int | None = None
    """Tasks that it may submit in a second; None: any number."""
    is_default: bool = False
    """Whether these are the quotas of the server's settings."""


class QuotaPage(KeysetPage[Quota]):
    """A page of the owners that have quotas of their own, by owner."""
