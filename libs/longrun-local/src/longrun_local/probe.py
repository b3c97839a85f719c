"""Asks a service whether it is ready, in a thread of its own: whoever waits for the answer hears Ctrl-C meanwhile.

The launcher listens for the API before the API runs, so a connection is open at once, and the answer comes as soon as
the API serves.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Final

ANSWER_S: Final = 5.0
"""How long an answer may take, in seconds, before the question is sent again."""


class Probe:
    """One question at a time to one URL; call it as often as you like."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._asking: threading.Thread | None = None
        self._answered = False

    def __call__(self) -> bool:
        """Whether it has answered 200. Never blocks: it sends a question, or looks whether the answer has come."""
        if not self._answered and (self._asking is None or not self._asking.is_alive()):
            self._asking = threading.Thread(target=self._ask, name="probe", daemon=True)
            self._asking.start()
        return self._answered

    def _ask(self) -> None:
        try:
            with urllib.request.urlopen(self._url, timeout=ANSWER_S) as answer:  # noqa: S310
                self._answered = answer.status == HTTPStatus.OK
        except (OSError, urllib.error.URLError):
            self._answered = False
