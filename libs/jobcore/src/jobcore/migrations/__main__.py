"""`python -m jobcore.migrations [upgrade|wait] [--timeout SECONDS]`, for the database at DATABASE_URL.

upgrade   apply what is missing (the default); waits up to the timeout for the database to answer
wait      return once somebody else has brought the schema up to date: for what starts beside a migration
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

from sqlalchemy.exc import OperationalError

from jobcore.migrations import Schema, look, upgrade
from jobcore.settings import CoreSettings, read

RETRY_S = 1.0


def main() -> None:
    """Upgrade or wait, or end with one clear line."""
    parser = argparse.ArgumentParser(prog="python -m jobcore.migrations", description=__doc__.splitlines()[0])
    parser.add_argument("action", nargs="?", choices=("upgrade", "wait"), default="upgrade")
    parser.add_argument(
        "--timeout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for the database (0: not at all)",
    )
    arguments = parser.parse_args()
    url = read(CoreSettings).database_url
    action = partial(_upgraded, url) if arguments.action == "upgrade" else partial(_current, url)
    print(_patiently(action, arguments.timeout))


def _patiently(action: Callable[[], str], timeout_s: float) -> str:
    """What the action says once it succeeds; each new reason to wait is printed once."""
    deadline = time.monotonic() + timeout_s
    said = ""
    while True:
        try:
            return action()
        except _NotYet as wait:
            reason = str(wait)
        except OperationalError as error:
            reason = f"cannot migrate the database at DATABASE_URL: {str(error.orig).strip()}"
        if time.monotonic() + RETRY_S > deadline:
            raise SystemExit(f"longrun: {reason}") from None
        if reason != said:
            print(f"longrun: waiting up to {timeout_s:g} s: {reason}", flush=True)
            said = reason
        time.sleep(RETRY_S)


class _NotYet(Exception):
    """Somebody else has something to do first."""


def _upgraded(url: str) -> str:
    upgrade(url)
    return _satisfied(look(url))


def _current(url: str) -> str:
    schema = look(url)
    if schema is Schema.OLDER:
        raise _NotYet("the database schema is older than this version: run `python -m jobcore.migrations`")
    return _satisfied(schema)


def _satisfied(schema: Schema) -> str:
    if schema is Schema.NEWER:
        return "longrun: the database schema is newer than this version, which works on it"
    return "longrun: the database schema is current"


if __name__ == "__main__":
    main()
