"""docs/schema.sql shows the schema that the migrations make."""

from __future__ import annotations

from difflib import unified_diff

from tests.harness import ROOT
from tests.schema_page import page


def test_the_page_is_what_the_migrations_make() -> None:
    kept = (ROOT / "docs" / "schema.sql").read_text()
    difference = list(
        unified_diff(kept.splitlines(), page().splitlines(), "docs/schema.sql", "migrations", lineterm="")
    )
    assert not difference, "\n".join([*difference, "Wanted? Run: make pages"])
