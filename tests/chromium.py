"""Chromium for tests of pages: what a page complains about fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, ConsoleMessage, Page, Response, sync_playwright

PROGRAM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser of the distribution; None: there is none."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that runs while the block lasts."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=options)
        try:
            yield browser
        finally:
            browser.close()


def complaints(page: Page, *origins: str) -> list[str]:
    """A list to which are added: errors of scripts, what the console of the browser says, requests to other origins."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("console", lambda said: found.extend(_of_console(said)))
    page.on("dialog", lambda dialog: found.append(f"dialog: {dialog.message}"))
    page.on("request", lambda made: found.extend([] if made.url.startswith(origins) else [f"request: {made.url}"]))
    page.on("response", lambda answer: found.extend(_of_answer(answer)))
    return found


def _of_console(said: ConsoleMessage) -> list[str]:
    # that an answer is an error is told without its address: see `_of_answer`
    is_worse = said.type in ("error", "warning") and not said.text.startswith("Failed to load resource")
    return [f"{said.type}: {said.text}"] if is_worse else []


def _of_answer(answer: Response) -> list[str]:
    is_shown = answer.request.is_navigation_request()
    return [] if answer.ok or answer.status in (304, 303) or is_shown else [f"{answer.status}: {answer.url}"]
