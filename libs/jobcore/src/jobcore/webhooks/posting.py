"""A POST to a URL of a client, through the SSRF guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import requests
from urllib3.exceptions import HTTPError

from jobcore.outbound.allow_list import AllowList
from jobcore.outbound.deadline import Deadline
from jobcore.outbound.errors import ConnectionFailed
from jobcore.outbound.guard import GuardedAdapter
from jobcore.outbound.session import GuardedSession
from jobcore.outbound.urls import web_url
from jobcore.settings import WorkerSettings

CONNECT_S: Final = 5.0
"""Seconds that each of name resolution, connecting and the TLS handshake may take."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, and its `Retry-After`. Nobody reads its body."""

    status_code: int
    retry_after: str | None


def post(url: str, body: str, content_type: str, signed: Mapping[str, str], settings: WorkerSettings) -> Answer:
    """Send this body with these headers; raises PermanentError or RetryableError if there is no answer."""
    allow = AllowList(settings.webhook_allow, "LONGRUN_WEBHOOK_ALLOW")
    headers = {**signed, "Content-Type": content_type, "User-Agent": "Longrun-Webhooks/0.1"}
    with (
        Deadline(settings.webhook_timeout_s) as deadline,
        GuardedSession(GuardedAdapter(allow, CONNECT_S, deadline)) as session,
    ):
        target = web_url(url)
        try:
            timeout = (CONNECT_S, deadline.left_s())
            answer = session.ask("POST", target, timeout, headers=headers, body=body.encode())
        except (requests.RequestException, HTTPError, OSError) as error:
            deadline.left_s()
            raise ConnectionFailed(f"the receiver did not answer: {error}"[:500]) from error
        with answer:
            return Answer(answer.status_code, answer.headers.get("Retry-After"))
