"""The `longrun` command: `longrun --help` lists what it does.

Results go to stdout, everything else to stderr. Exit codes: 0 done (a followed task: SUCCESS), 1 the followed
task FAILED, 2 a request that cannot be fulfilled as it is, 3 the followed task was CANCELLED, 4 no usable answer
from the server, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer

from longrun_client import cli_limits, cli_local, cli_queues, cli_schedules, cli_tasks, cli_workers
from longrun_client.console import stderr
from longrun_client.errors import InvalidAddress, LongrunError, ProblemError, ServerNotInstalled
from longrun_client.inputs import InputError
from longrun_client.server import DEFAULT_URL
from longrun_client.text import printable

USAGE: Final = 2
UNREACHABLE: Final = 4

app = typer.Typer(
    help="Submit tasks to a Longrun server, follow them, cancel them, try them again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_tasks.app)
app.add_typer(cli_schedules.app, name="schedules")
app.add_typer(cli_queues.app, name="queues")
app.add_typer(cli_limits.app, name="limits")
app.add_typer(cli_workers.app)
app.add_typer(cli_local.app)


def main() -> None:
    """Run the command line; every known error is said on stderr, without a traceback."""
    try:
        app()
    except LongrunError as error:
        stderr().print(f"longrun: {printable(str(error))}", soft_wrap=True)
        sys.exit(_exit_code(error))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version("longrun-client"))
        raise typer.Exit


@app.callback()
def _server(
    context: typer.Context,
    server: Annotated[
        str, typer.Option(envvar="LONGRUN_URL", metavar="URL", help="The server's address.")
    ] = DEFAULT_URL,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = server


def _exit_code(error: LongrunError) -> int:
    refused = isinstance(error, ProblemError) and error.status < 500
    return USAGE if refused or isinstance(error, InputError | InvalidAddress | ServerNotInstalled) else UNREACHABLE
