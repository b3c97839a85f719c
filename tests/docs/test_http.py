"""docs/http.md lists every clause that tests/conformance tests, and no other."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

PAGE = ROOT / "docs/http.md"
ROW = re.compile(r"^\| .+ \| (?:RFC \d+|WHATWG HTML|draft-\d+), .+ \| `(test_\w+)` \|$", re.MULTILINE)
TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


def test_each_clause_has_its_test_and_each_test_its_clause() -> None:
    text = PAGE.read_text()
    listed = ROW.findall(text)
    files = (ROOT / "tests/conformance").glob("test_*.py")
    written = [name for file in files for name in TEST.findall(file.read_text())]
    assert sorted(listed) == sorted(written)
    assert len(listed) == text.count("`test_"), "a row of the table is malformed"
