"""`longrun secrets new-key` and `longrun secrets rotate`: the keys of LONGRUN_SECRET_KEYS."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import closing
from typing import Final

from jobcore.errors import LongrunError
from jobcore.sealing.keys import CannotOpen, SecretKeys, new_key
from jobcore.settings import CoreSettings, read
from jobcore.store import sealed_inputs
from jobcore.store.database import Database
from jobcore.store.sealed_inputs import SealedInput

BATCH: Final = 200
"""Inputs that are sealed anew in one transaction; each may have a megabyte."""
PLACES: Final = (
    (sealed_inputs.of_jobs, sealed_inputs.replace_in_jobs),
    (sealed_inputs.of_schedules, sealed_inputs.replace_in_schedules),
)


def print_new() -> int:
    """Print a key that nobody knows yet; returns the exit code."""
    print(new_key())
    return 0


def rotate() -> int:
    """Encrypt all stored inputs with the first key of the settings; returns the exit code, 1 if some cannot be."""
    settings = read(CoreSettings)
    keys = SecretKeys(settings.secret_keys)
    if not keys:
        print("longrun: LONGRUN_SECRET_KEYS is not set: there is no key to encrypt with", file=sys.stderr)
        return 2
    with closing(Database(settings.database_url, name="longrun-secrets", schema=settings.database_schema)) as database:
        try:
            done, refused = rotated(database, keys)
        except LongrunError as error:
            print(f"longrun: cannot change what is stored in DATABASE_URL: {error}", file=sys.stderr)
            return 4
    print(f"{done:,} inputs are encrypted with the key {keys.first_id} now")
    for why, count in refused.items():
        print(f"longrun: {count:,} inputs were left as they are: {why}", file=sys.stderr)
    return 1 if refused else 0


def rotated(database: Database, keys: SecretKeys, batch: int = BATCH) -> tuple[int, Counter[str]]:
    """Seal all stored inputs with the first key; returns how many, and how many could not be opened, by the reason."""
    done, refused = 0, Counter[str]()
    for find, replace in PLACES:
        after = sealed_inputs.FIRST
        while found := database.call(find, keys.first_id, after, batch):
            changed = dict[SealedInput, str]()
            for each in found:
                try:
                    changed[each] = keys.resealed(each.sealed)
                except CannotOpen as error:
                    refused[str(error)] += 1
            done += database.call(replace, changed)
            after = found[-1].id
    return done, refused
