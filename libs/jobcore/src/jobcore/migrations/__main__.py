"""`python -m jobcore.migrations [upgrade|wait|contract] [options]`, for the database at DATABASE_URL.

upgrade   apply the missing migrations (the default); waits up to the timeout until the database answers
wait      return once another process has migrated the database; for processes that start beside a migration
contract  drop what only processes of version 0.1 need, once none of them runs any more
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy.exc import OperationalError

from jobcore.migrations import Schema, adoption, look, upgrade
from jobcore.migrations.connections import patiently, refusals
from jobcore.migrations.refusals import Refused
from jobcore.settings import CoreSettings, read

RETRY_S: Final = 1.0
CANNOT: Final = "cannot migrate the database at DATABASE_URL"

Action = Callable[[str, str], str]


class NotYet(Exception):
    """Another process must migrate the database first."""


def main() -> None:
    """Upgrade, wait or contract; exit with one line if that is not possible."""
    actions: dict[str, Action] = {"upgrade": _upgraded, "wait": _current, "contract": _contracted}
    parser = argparse.ArgumentParser(prog="python -m jobcore.migrations", description=__doc__.splitlines()[0])
    parser.add_argument("action", nargs="?", choices=actions, default="upgrade")
    parser.add_argument(
        "--timeout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for the database (0: not at all)",
    )
    parser.add_argument(
        "--shed-superuser",
        action="store_true",
        help="before an upgrade, take the superuser's rights from the role of a server that an earlier chart made",
    )
    arguments = parser.parse_args()
    if arguments.shed_superuser:
        actions["upgrade"] = partial(_upgraded, shed_superuser=True)
    settings = read(CoreSettings)
    print(_until(arguments.timeout, actions[arguments.action], settings.database_url, settings.database_schema))


def _until(timeout_s: float, action: Action, url: str, schema: str) -> str:
    """The message of the action once it succeeds; prints each new reason to wait once."""
    deadline = time.monotonic() + timeout_s
    said = ""
    while True:
        try:
            return action(url, schema)
        except Refused as refused:
            raise SystemExit(f"longrun: {CANNOT}: {refused}") from None
        except NotYet as wait:
            reason = str(wait)
        except OperationalError as error:
            reason = f"{CANNOT}: {' '.join(str(error.orig).split())}"
        if time.monotonic() + RETRY_S > deadline:
            raise SystemExit(f"longrun: {reason}") from None
        if reason != said:
            print(f"longrun: waiting up to {timeout_s:g} s: {reason}", flush=True)
            said = reason
        time.sleep(RETRY_S)


def _upgraded(url: str, schema: str, *, shed_superuser: bool = False) -> str:
    upgrade(url, schema, shed_superuser=shed_superuser)
    return _satisfied(look(url, schema))


def _current(url: str, schema: str) -> str:
    try:
        found = look(url, schema)
    except Refused as refused:
        raise NotYet(str(refused)) from refused
    if found is Schema.OLDER:
        raise NotYet("the database schema is older than this version: run `python -m jobcore.migrations`")
    return _satisfied(found)


def _contracted(url: str, schema: str) -> str:
    with refusals(url, schema):
        patiently(adoption.contract, url, schema)
    return "longrun: processes of version 0.1 cannot use this database any more"


def _satisfied(schema: Schema) -> str:
    if schema is Schema.NEWER:
        return "longrun: the database schema is newer than this version, which works on it"
    return "longrun: the database schema is current"


if __name__ == "__main__":
    main()
