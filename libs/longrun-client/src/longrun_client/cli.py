"""The `longrun` command.

Results go to stdout, everything else to stderr. Exit codes: 0 success (a followed task ended as SUCCESS), 1 the
followed task FAILED, 2 an invalid request or ids that could not all be cancelled or retried, 3 the followed task was
CANCELLED, 4 no valid response from the server, 124 the time of `wait` was over, 130 interrupted, or a question was
answered with no.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer

from longrun_client import (
    cli_audit,
    cli_bulk,
    cli_files,
    cli_keys,
    cli_limits,
    cli_list,
    cli_local,
    cli_output,
    cli_queues,
    cli_quotas,
    cli_rates,
    cli_schedules,
    cli_secrets,
    cli_stats,
    cli_submit,
    cli_submit_many,
    cli_tasks,
    cli_top,
    cli_watch,
    cli_webhooks,
    cli_why,
    cli_workers,
)
from longrun_client.console import stderr
from longrun_client.errors import InvalidAddress, InvalidKey, LongrunError, ProblemError, ServerNotInstalled
from longrun_client.inputs import InputError
from longrun_client.server import DEFAULT_URL
from longrun_client.text import printable

USAGE: Final = 2
UNREACHABLE: Final = 4

app = typer.Typer(
    help="Submit, follow, cancel and retry tasks on a Longrun server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_submit.app)
app.add_typer(cli_tasks.app)
app.add_typer(cli_submit_many.app)
app.add_typer(cli_bulk.app)
app.add_typer(cli_list.app)
app.add_typer(cli_watch.app)
app.add_typer(cli_top.app)
app.add_typer(cli_stats.app)
app.add_typer(cli_why.app)
app.add_typer(cli_files.app)
app.add_typer(cli_output.app)
app.add_typer(cli_schedules.app, name="schedules")
app.add_typer(cli_queues.app, name="queues")
app.add_typer(cli_limits.app, name="limits")
app.add_typer(cli_rates.app, name="rate-limits")
app.add_typer(cli_keys.app, name="keys")
app.add_typer(cli_quotas.app, name="quotas")
app.add_typer(cli_secrets.app, name="secrets")
app.add_typer(cli_webhooks.app, name="webhooks")
app.add_typer(cli_audit.app)
app.add_typer(cli_workers.app)
app.add_typer(cli_local.app)


def main() -> None:
    """Run the command line; print known errors on stderr, without a traceback."""
    try:
        app()
    except LongrunError as error:
        stderr().print(f"longrun: {printable(str(error))}", soft_wrap=True)
        sys.exit(_exit_code(error))
    except ValueError as error:  # an argument that no request can carry
        stderr().print(f"longrun: {printable(str(error))}", soft_wrap=True)
        sys.exit(USAGE)
    except OSError as error:  # a file or standard output cannot be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python fails once more at its end, with what is buffered
        stderr().print(f"longrun: {printable(str(error))}", soft_wrap=True)
        sys.exit(USAGE)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version("longrun-client"))
        raise typer.Exit


@app.callback()
def _server(
    context: typer.Context,
    server: Annotated[
        str, typer.Option(envvar="LONGRUN_URL", metavar="URL", help="Address of the server.")
    ] = DEFAULT_URL,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = server


def _exit_code(error: LongrunError) -> int:
    refused = isinstance(error, ProblemError) and error.status < 500
    return (
        USAGE
        if refused or isinstance(error, InputError | InvalidAddress | InvalidKey | ServerNotInstalled)
        else UNREACHABLE
    )
