"""A session of requests that leads through the SSRF guard and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

import requests

from jobcore.outbound.guard import GuardedAdapter
from jobcore.outbound.urls import WebUrl


class GuardedSession(requests.Session):
    """All its connections are the guard's, it uses nothing of the environment, and it follows no redirect.

    requests would read the whole body of a redirect, however long, also where it is told not to follow it.
    """

    def __init__(self, guard: GuardedAdapter) -> None:
        super().__init__()
        self.trust_env = False  # a proxy would bypass the guard, and .netrc would add credentials
        self.mount("http://", guard)
        self.mount("https://", guard)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, whatever the response says: whoever has asked decides about it."""
        return None

    def ask(
        self,
        method: str,
        url: WebUrl,
        timeout: tuple[float, float],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> requests.Response:
        """The response, with its body unread; `timeout` is for the connection and for each read, in seconds."""
        request = self.prepare_request(requests.Request(method, url.href, data=body, headers=headers))
        request.url = url.href  # requests rewrites the URL; the guard parses this one
        return self.send(request, stream=True, allow_redirects=False, timeout=timeout)
