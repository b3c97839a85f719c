"""Calls of the API for the quotas of owners."""

from __future__ import annotations

from urllib.parse import quote

from longrun_client.calls import PAGE_SIZE, Call, without_none
from longrun_client.models_quotas import Amounts, Quota, QuotaPage
from longrun_client.wire import KeysetPage


def quota_page(after: str | None) -> Call[KeysetPage[Quota]]:
    """GET /quotas: one page, by owner."""
    return Call("GET", "/quotas", QuotaPage.model_validate, params=without_none({"limit": PAGE_SIZE, "after": after}))


def quota(owner: str) -> Call[Quota]:
    """GET /quotas/{owner}."""
    return Call("GET", _path(owner), Quota.model_validate)


def set_quota(owner: str, amounts: Amounts) -> Call[Quota]:
    """PUT /quotas/{owner}."""
    return Call("PUT", _path(owner), Quota.model_validate, body={**amounts})


def clear_quota(owner: str) -> Call[None]:
    """DELETE /quotas/{owner}."""
    return Call("DELETE", _path(owner), lambda _: None)


def _path(owner: str) -> str:
    return f"/quotas/{quote(owner, safe='')}"
