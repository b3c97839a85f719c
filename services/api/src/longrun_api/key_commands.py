"""`longrun keys new` and `longrun keys bootstrap`: the first key of an admin, which no API can be asked for."""

from __future__ import annotations

import sys
from contextlib import closing

from jobcore.errors import LongrunError
from jobcore.models.acts import Act
from jobcore.models.api_keys import KeyDigest, NewApiKey, new_key
from jobcore.models.caller import Scope
from jobcore.settings import CoreSettings, read
from jobcore.store import api_keys
from jobcore.store.acting import acting
from jobcore.store.database import Database


def print_new() -> int:
    """Print a key that nobody knows yet; returns the exit code."""
    print(new_key())
    return 0


def bootstrap() -> int:
    """Store a key of an admin in the database of the settings, and print it; returns the exit code."""
    settings, key = read(CoreSettings), new_key()
    digest = KeyDigest.of(key)
    assert digest is not None
    admin = NewApiKey(digest, "bootstrap", None, frozenset({Scope.ADMIN}))
    with closing(Database(settings.database_url, name="longrun-keys", schema=settings.database_schema)) as database:
        try:
            with acting(Act("bootstrap_key", "longrun keys bootstrap")):
                database.call(api_keys.add, admin)
        except LongrunError as error:
            print(f"longrun: cannot store a key in DATABASE_URL: {error}", file=sys.stderr)
            return 4
    print(f"{digest.id}: keep the key, it is never shown again", file=sys.stderr)
    print(key)
    return 0
