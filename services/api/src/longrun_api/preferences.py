"""The request header Prefer (RFC 7240): what a client would like, and what a server may ignore."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
QUOTED: Final = r'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
SPACE: Final = r"[\t ]*+"
PAIR: Final = rf"{NAME}(?:{SPACE}={SPACE}(?:{NAME}|{QUOTED})?+)?+"
PREFERENCE: Final = re.compile(
    rf"({NAME})(?:{SPACE}={SPACE}({NAME}|{QUOTED})?+)?+(?:{SPACE};{SPACE}(?:{PAIR})?+)*+", re.ASCII
)
"""A preference with its parameters (section 2). No defined preference has parameters, so they are skipped."""
ELEMENT: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"|")++')
"""What is between two commas that are not part of a quoted string."""
ESCAPED: Final = re.compile(r"\\(.)")
DELTA_SECONDS: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What Longrun does of what the client prefers."""

    wait_s: int | None = None
    """For how many seconds the client is ready to wait for the answer (section 4.3)."""
    respond_async: bool = False
    """The client would like to have its answer before the work is done (section 4.1)."""


def preferences(values: Iterable[str]) -> Preferences:
    """The preferences in the values of all Prefer headers of a request.

    Those that are unknown or malformed are ignored, and of several with the same name all but the first (section 2).
    """
    found: dict[str, str] = {}
    for element in ELEMENT.findall(",".join(values)):
        if match := PREFERENCE.fullmatch(element.strip(" \t")):
            found.setdefault(match[1].lower(), _unquoted(match[2] or ""))
    wait = found.get("wait", "")
    return Preferences(
        wait_s=int(wait) if DELTA_SECONDS.fullmatch(wait) else None,
        respond_async=found.get("respond-async") == "",
    )


def _unquoted(word: str) -> str:
    return ESCAPED.sub(r"\1", word[1:-1]) if word.startswith('"') else word
