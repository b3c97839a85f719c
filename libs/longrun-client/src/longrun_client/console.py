"""Output of the command line: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Final, TextIO

from pydantic import BaseModel
from rich.console import Console

from longrun_client.text import printable

# Width of a pipe: rich would assume 80 columns and cut tables.
PIPE_WIDTH: Final = 200


def stdout() -> Console:
    """The console for results."""
    return _console(sys.stdout)


def stderr() -> Console:
    """The console for progress, hints and errors."""
    return _console(sys.stderr)


def print_lines(values: Iterable[BaseModel]) -> None:
    """Print each value as one line of JSON on stdout as soon as it arrives, with the fields that the server sent.

    Control characters of strings are escaped, also those that JSON allows.
    """
    for value in values:
        print(printable(value.model_dump_json(exclude_unset=True)), flush=True)


def _console(file: TextIO) -> Console:
    width = None if file.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=file, width=width, markup=False, highlight=False)
