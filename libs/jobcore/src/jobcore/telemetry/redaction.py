"""Secrets are hidden in every log line, also in those of libraries and in tracebacks.

redis://:***@host              the password in a URL
?token=***&limit=5             values with a name of a secret, in queries, DSNs, JSON and keyword arguments
Authorization: ***             headers that authenticate
***                            wherever they stand: long secrets of the environment
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

HIDDEN: Final = "***"
SHORTEST_SECRET: Final = 12
"""A shorter value of the environment is hidden only beside its name: as a word, it may have another meaning."""

NAME: Final = (
    r"[\w.-]*(?:(?:passw(?:or)?d|passphrase|secret(?:[_-]?key)?|api[_-]?key|access[_-]?key|private[_-]?key|credential|signature)"
    r"(?:[_-]?id|s)?|token|authorization)"
)
VALUE: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s&;,"'<>)}\]]+)"""
# A line without any of these holds nothing to hide.
SUSPECT: Final = re.compile(r"""[='"]|://|(?i:authorization|cookie|bearer)""")
URL_PASSWORD: Final = re.compile(r"""([a-z][a-z0-9+.-]*://[^\s/:@"'<>]*):[^\s/"'<>]+@""", re.IGNORECASE)
NAMED: Final = re.compile(rf"""(?<![\w.-])({NAME})(=|["']\s*[:,]\s*)b?({VALUE})""", re.IGNORECASE)
HEADER: Final = re.compile(
    r"""\b((?:proxy-)?authorization|(?:set-)?cookie)(["']?\s*:\s*)[^\r\n"']+|\b(bearer)(\s+)[\w.~+/=-]{16,}""",
    re.IGNORECASE,
)
SECRET_NAME: Final = re.compile(rf"{NAME}\Z", re.IGNORECASE)


class Redaction:
    """Hides secrets in log events; `environment` is where it finds those that it hides wherever they stand."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        known = sorted({secret for secret in _secrets(environment) if len(secret) >= SHORTEST_SECRET}, key=len)
        self._known = re.compile("|".join(map(re.escape, reversed(known)))) if known else None

    def __call__(self, _logger: Any, _method: str, event: Any) -> Any:
        """The event without secrets: a processor of structlog, the last before the renderer."""
        return {name: HIDDEN if is_secret(name) and value else self._value(value) for name, value in event.items()}

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if SUSPECT.search(text) is None:
            return text
        text = URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
        text = NAMED.sub(_hide_named, text)
        return HEADER.sub(lambda found: f"{found[1] or found[3]}{found[2] or found[4]}{HIDDEN}", text)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, Mapping):
            return self(None, "", {str(name): each for name, each in value.items()})
        if isinstance(value, list | tuple):
            return [self._value(each) for each in value]
        shown = repr(value)
        hidden = self.text(shown)
        return value if hidden == shown else hidden


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a value with this name is a secret."""
    return SECRET_NAME.match(name) is not None


def _hide_named(found: re.Match[str]) -> str:
    quote = found[3][0] if found[3][0] in "\"'" else ""
    return f"{found[1]}{found[2]}{quote}{HIDDEN}{quote}"


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """The secrets of the environment: variables with such a name, and the passwords in URLs."""
    for name, value in environment.items():
        if is_secret(name):
            yield from {value, *value.split(",")}  # LONGRUN_SECRET_KEYS has several
        for found in re.finditer(r"""://[^\s/:@]*:([^\s/]+)@""", value):
            yield from {found[1], unquote(found[1])}
