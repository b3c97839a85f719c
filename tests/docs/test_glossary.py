"""docs/glossary.md defines each word once; docs, and comments and texts of the code, use no word that it forbids."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, prose

GLOSSARY = ROOT / "docs/glossary.md"
SCOPES = [page for page in PAGES if page != GLOSSARY and page.parts[len(ROOT.parts)] in {"docs", "README.md", "tests"}]
"""The pages that follow the glossary."""
CODE = sorted(
    path
    for folder in ("libs", "services")
    for path in (ROOT / folder).rglob("*.py")
    if path.parent.name != "versions"  # what a migration said stays
)
COLUMN = re.compile(r"\bgate(?= = | IS | AS )|(?<=, )gate(?=, | FROM )")
"""The column `gate` where SQL reads or writes it: the one forbidden name that stays, because version 0.1 uses it."""
ROW = re.compile(r"^\| ([a-z -]+) \| (.+?) \| (.*?) ?\| (.*?) ?\|$", re.MULTILINE)


@dataclass(frozen=True)
class Word:
    """A row: the word, its meaning, where it shows, and the synonyms that must not be used."""

    word: str
    meaning: str
    banned: tuple[str, ...]


def words() -> list[Word]:
    rows = [row for row in ROW.findall(GLOSSARY.read_text()) if row[0] != "word"]
    return [Word(word, meaning, tuple(re.findall(r'"([^"]+)"', banned))) for word, meaning, _, banned in rows]


@cache
def banned() -> tuple[re.Pattern[str], dict[str, str]]:
    """What finds any banned phrase, the longest first, and the word to use for each."""
    instead = {phrase: word.word for word in words() for phrase in word.banned}
    longest_first = sorted(instead, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])"), instead


def banned_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, banned phrase, and the word to use, for each banned phrase in the prose; code spans are left out."""
    spoken = re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)
    pattern, instead = banned()
    for match in pattern.finditer(spoken):
        yield spoken[: match.start()].count("\n") + 1, match[0], instead[match[0]]


def test_every_word_is_defined_once_in_one_sentence() -> None:
    defined = words()
    assert len(defined) > 40
    assert len({word.word for word in defined}) == len(defined)
    for word in defined:
        assert re.fullmatch(r"[A-Z`][^.]*\.(?: [A-Z][^.]{1,30}\.)?", word.meaning), word


def test_no_word_is_a_forbidden_synonym_of_another() -> None:
    names = {word.word for word in words()}
    assert not [phrase for word in words() for phrase in word.banned if phrase in names]


@pytest.mark.parametrize("page", SCOPES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_uses_no_forbidden_synonym(page: Path) -> None:
    found = [f"line {line}: {phrase!r}: say {word!r}" for line, phrase, word in banned_in(prose(page))]
    assert not found, "\n".join(found)


def test_the_code_uses_no_forbidden_synonym() -> None:
    found = []
    for path in CODE:
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                for line, phrase, word in banned_in(COLUMN.sub("", token.string)):
                    found.append(f"{path.relative_to(ROOT)}:{token.start[0] + line - 1}: {phrase!r}: say {word!r}")
    assert not found, "\n".join(found)


def test_a_forbidden_synonym_is_found_in_prose_and_not_in_code() -> None:
    assert [phrase for _, phrase, _ in banned_in("It waits at a gate.")] == ["at a gate"]
    assert not list(banned_in("The column `gate`."))


def test_the_column_gate_is_allowed_in_sql_and_nothing_else_is() -> None:
    sql = "SELECT id, gate FROM jobs WHERE gate = 'key' AND gate IS NOT NULL"
    assert not list(banned_in(COLUMN.sub("", sql)))
    assert [phrase for _, phrase, _ in banned_in(COLUMN.sub("", "-- its gate, or gates"))] == ["gate", "gates"]
