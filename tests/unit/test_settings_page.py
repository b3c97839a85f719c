"""docs/settings.md lists every setting of every service."""

from __future__ import annotations

from pathlib import Path

from tests.settings_page import SECTIONS, page, table

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_settings_classes_say() -> None:
    assert (DOCS / "settings.md").read_text() == page(), "run: python -m tests.settings_page > docs/settings.md"


def test_every_setting_says_what_it_means() -> None:
    for _, cls, base in SECTIONS:
        for line in table(cls, base).splitlines():
            assert not line.endswith("|  |"), line
