"""A shell session that types what a page says, and the comparison of what it shows with what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

END = "end-of-command"
_VARIES = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": r"[0-9a-f-]{36}",  # an id
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z": r"\d{4}-\d\d-\d\dT[\d:.]+Z",  # a time
    r"\d\d:\d\d:\d\d": r"\d\d:\d\d:\d\d",
    r"\b\d+(?:\.\d+)? m?s\b": r"[\d.]+ (?:ms|s|min)",  # a duration
    r"\d+\.\d+": r"[\d.e-]+",
    r"…": r".*?",
    r":\s*": r":\s*",  # JSON is shown with spaces or without
    r",\s*": r",\s*",
    r"\s+": r"\s*",
}
_VARIABLE = re.compile("|".join(f"({pattern})" for pattern in _VARIES))


def as_pattern(shown: str) -> re.Pattern[str]:
    """A pattern for the output that a page shows: ids, times, durations and white space vary, `…` is anything."""
    shown, replacements = shown.strip(), list(_VARIES.values())
    pattern, position = "", 0
    for match in _VARIABLE.finditer(shown):
        pattern += re.escape(shown[position : match.start()]) + replacements[(match.lastindex or 1) - 1]
        position = match.end()
    return re.compile(pattern + re.escape(shown[position:]), re.DOTALL)


class Shell:
    """One bash, so that a page's later commands see the variables of earlier ones."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def run(self, command: str) -> tuple[int, str]:
        """Type a command; its exit code, and what it showed on stdout and stderr."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{\n{command}\n}} </dev/null\nprintf '\\n{END} %s\\n' $?\n")
        self._process.stdin.flush()
        shown: list[str] = []
        for line in self._process.stdout:
            if line.startswith(END):
                return int(line.split()[1]), "".join(shown)
            shown.append(line)
        raise AssertionError(f"the shell ended in: {command}\n" + "".join(shown))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
