"""Output of the command line: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import partial
from typing import Final, TextIO

from pydantic import BaseModel
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from longrun_client.text import printable

# Width of a pipe: rich would assume 80 columns and cut tables.
PIPE_WIDTH: Final = 200
LAST_COLUMN: Final = 20
"""To how many characters the last column of a table may be cut."""
ENDLESS: Final = 100_000


def stdout() -> Console:
    """The console for results."""
    return _console(sys.stdout)


def stderr() -> Console:
    """The console for progress, hints and errors."""
    return _console(sys.stderr)


def print_table(table: Table) -> None:
    """Print a table on stdout. Only its last column is cut to the width of the terminal: ids and names are copied."""
    console = stdout()
    measured = partial(Measurement.get, console, console.options.update(max_width=ENDLESS))
    last = max((measured(cell).maximum for cell in table.columns[-1].cells), default=0)
    needed = measured(table).maximum - max(0, last - LAST_COLUMN)
    _console(sys.stdout, max(console.width, needed)).print(table, crop=False)


def print_lines(values: Iterable[BaseModel]) -> None:
    """Print each value as one line of JSON on stdout as soon as it arrives, with the fields that the server sent.

    Control characters of strings are escaped, also those that JSON allows.
    """
    for value in values:
        print(printable(value.model_dump_json(exclude_unset=True)), flush=True)


def _console(file: TextIO, width: int | None = None) -> Console:
    if width is None and not file.isatty() and "COLUMNS" not in os.environ:
        width = PIPE_WIDTH
    return Console(file=file, width=width, markup=False, highlight=False)
