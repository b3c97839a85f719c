"""Keys with which the processes of this deployment sign what they give to clients, made at the first use."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.transactions import DURABLE

FIND: Final = text("SELECT value FROM signing_keys WHERE name = :name")
MAKE: Final = text(DURABLE + "INSERT INTO signing_keys (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING")


def signing_key(connection: Connection, name: str) -> bytes:
    """The key of this name, the same for every process: 32 bytes at random."""
    found = connection.execute(FIND, {"name": name}).scalar()
    if found is None:
        connection.execute(MAKE, {"name": name, "value": secrets.token_bytes(32)})
        found = connection.execute(FIND, {"name": name}).scalar_one()
    return bytes(found)
