"""The text of a page, collected once; the text of each element is a passage of it.

Nested elements (a link in a heading) share their text, and only the needed part of a passage is read. The time is
therefore linear, whatever the nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from bs4 import PageElement, Tag

MAX_PASSAGE: Final = 1001
"""Characters of a passage that are read: enough to see whether there are more than 1,000."""


@dataclass(eq=False)
class _PageText:
    """The text of a page, with white space collapsed."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    gap: bool = False

    def write(self, text: str) -> None:
        words = text.split()
        if words:
            line = (" " if self.gap or text[0].isspace() else "") + " ".join(words)
            self.parts.append(line)
            self.length += len(line)
        self.gap = (text[-1:].isspace() or (self.gap and not words)) if text else self.gap

    @cached_property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(eq=False, slots=True)
class Passage:
    """An element of a page and its text."""

    tag: Tag
    _page_text: _PageText
    _start: int
    _end: int = 0

    @property
    def text(self) -> str:
        """The text of the element, stripped, up to MAX_PASSAGE characters."""
        return self._page_text.text[self._start : min(self._end, self._start + MAX_PASSAGE + 2)].strip()[:MAX_PASSAGE]


def passages_of(page: Tag) -> list[Passage]:
    """All elements of a page in document order."""
    page_text, passages = _PageText(), list[Passage]()
    opened: list[tuple[Iterator[PageElement], Passage | None]] = [(iter(page.contents), None)]
    while opened:
        children, passage = opened[-1]
        node = next(children, None)
        if isinstance(node, Tag):
            passages.append(Passage(node, page_text, page_text.length))
            opened.append((iter(node.contents), passages[-1]))
        elif node is not None:
            page_text.write(str(node))
        else:
            opened.pop()
            if passage is not None:
                passage._end = page_text.length
    return passages
