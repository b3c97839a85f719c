"""The Markdown pages of the project, and the fenced blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/**/*.md")]
    if not {".venv", "node_modules", "build", "dist"} & set(path.parts)
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line it starts at."""

    language: str
    text: str
    line: int

    def commands(self) -> Iterator[tuple[str, str | None]]:
        """The shell commands of a `sh` or `console` block; with a console's, the output that the page shows."""
        if self.language == "sh":
            for line in re.sub(r"\\\n\s*", "", self.text).splitlines():
                yield line.partition(" # ")[0].strip(), None
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:] if self.language == "console" else ():
            command, _, output = re.sub(r"\\\n\s*", "", _one_argument(part)).partition("\n")
            yield command.replace("\0", "\n"), output


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order."""
    text = page.read_text()
    return [
        Block(match[1], match[2], text[: match.start()].count("\n") + 1)  # the line of the fence
        for match in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """The page without its fenced blocks; lines keep their numbers."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), page.read_text())


def _one_argument(text: str) -> str:
    """The text with the line breaks inside single quotes as NUL, so that a command ends at the first that is left."""
    command, quote, rest = text.partition("'")
    if not quote or "\n" in re.sub(r"\\\n", "", command):
        return text
    argument, quote, rest = rest.partition("'")
    return command + "'" + argument.replace("\n", "\0") + quote + _one_argument(rest)
