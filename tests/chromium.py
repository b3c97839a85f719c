"""Chromium for tests of pages: what a page complains about fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

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


def complaints(page: Page, origin: str) -> list[str]:
    """A list to which are added: errors of scripts, what the console of the browser says, requests to other hosts."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("console", lambda said: found.append(f"{said.type}: {said.text}") if said.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: (found.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda made: None if made.url.startswith(origin) else found.append(f"request: {made.url}"))
    return found
