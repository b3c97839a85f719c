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
from jobcore.outbound.urls import web_url
from jobcore.settings import WorkerSettings

CONNECT_S: Final = 5.0
"""Seconds that each of name resolution, connecting and the TLS handshake may take."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, and its `Retry-After`. Nobody reads its body."""

    status_code: int
    retry_after: str | None


def post(url: str, body: str, signed: Mapping[str, str], settings: WorkerSettings) -> Answer:
    """Send this JSON with these headers; raises PermanentError or RetryableError if there is no answer."""
    with Deadline(settings.webhook_timeout_s) as deadline, requests.Session() as session:
        session.trust_env = False  # a proxy from the environment would bypass the guard
        guard = GuardedAdapter(AllowList(settings.webhook_allow, "LONGRUN_WEBHOOK_ALLOW"), CONNECT_S, deadline)
        session.mount("http://", guard)
        session.mount("https://", guard)
        target = web_url(url).href
        headers = {**signed, "Content-Type": "application/json", "User-Agent": "Longrun-Webhooks/0.1"}
        request = session.prepare_request(requests.Request("POST", target, data=body.encode(), headers=headers))
        request.url = target  # requests rewrites the URL; the guard parses this one
        try:
            timeout = (CONNECT_S, deadline.left_s())
            answer = session.send(request, stream=True, allow_redirects=False, timeout=timeout)
        except (requests.RequestException, HTTPError, OSError) as error:
            deadline.left_s()
            raise ConnectionFailed(f"the receiver did not answer: {error}"[:500]) from error
        with answer:
            return Answer(answer.status_code, answer.headers.get("Retry-After"))
