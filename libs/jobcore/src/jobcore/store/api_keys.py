"""API keys. Only the SHA-256 of a key is stored, so nobody who reads the database can use one.

`owner` limits a function to the keys of that owner; None: all keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from jobcore.models.api_keys import ApiKey, KeyDigest, NewApiKey
from jobcore.models.caller import Scope
from jobcore.store.ownership import OWNED
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

USED_S: Final = 60
"""How often the last use of a key is stored at most, in seconds."""


def _scopes(names: Sequence[str]) -> frozenset[Scope]:
    # a version of Longrun that is newer than this one may know further scopes
    return frozenset(Scope(name) for name in names if name in set(Scope))


_KEYS: Final = Rows(ApiKey, scopes=_scopes, secret_hash=bytes)

ADD: Final = text(
    DURABLE
    + f"""
INSERT INTO api_keys (id, name, owner, scopes, secret_hash, expires_at)
VALUES (:id, :name, :owner, :scopes, :secret_hash, :expires_at) RETURNING {_KEYS.columns}
"""
)


def add(connection: Connection, key: NewApiKey) -> ApiKey:
    """Store a key."""
    [added] = _KEYS.read(connection.execute(ADD, {**_digest(key.digest), **_settings(key)}))
    return added


FIND: Final = text(f"SELECT {_KEYS.columns} FROM api_keys WHERE id = ANY(:ids) AND {OWNED}")


def find_many(connection: Connection, ids: Sequence[str]) -> list[ApiKey]:
    """The keys with these ids, in any order; those that are not there are left out."""
    return _KEYS.read(connection.execute(FIND, {"ids": list(ids), "owner": None}))


def find(connection: Connection, key_id: str, owner: str | None = None) -> ApiKey | None:
    """The key with this id; None if there is none."""
    return next(iter(_KEYS.read(connection.execute(FIND, {"ids": [key_id], "owner": owner}))), None)


_BEHIND: Final = "(created_at, id) < (SELECT created_at, id FROM api_keys WHERE id = :after)"
_NEWEST: Final = "ORDER BY created_at DESC, id DESC LIMIT :limit"
PAGES: Final = {
    (owned, behind): text(
        f"SELECT {_KEYS.columns} FROM api_keys "
        f"WHERE {'owner = :owner' if owned else 'true'} AND {_BEHIND if behind else 'true'} {_NEWEST}"
    )
    for owned in (False, True)
    for behind in (False, True)
}
"""The page of keys, by whether it is of one owner, and whether it is behind another key."""


def page(connection: Connection, owner: str | None, after: str | None, limit: int) -> list[ApiKey]:
    """Up to `limit` keys behind the one with the id `after`, newest first."""
    statement = PAGES[owner is not None, after is not None]
    return _KEYS.read(connection.execute(statement, {"owner": owner, "after": after, "limit": limit}))


REVOKE: Final = text(
    DURABLE
    + f"""
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id AND {OWNED} RETURNING {_KEYS.columns}
"""
)


def revoke(connection: Connection, key_id: str, owner: str | None = None) -> ApiKey | None:
    """Revoke a key for good; a second time changes nothing. None if there is none."""
    return next(iter(_KEYS.read(connection.execute(REVOKE, {"id": key_id, "owner": owner}))), None)


ROTATE: Final = text(
    DURABLE
    + f"""
WITH old AS (
    UPDATE api_keys SET expires_at = least(expires_at, now() + make_interval(secs => :overlap_s))
    WHERE id = :old_id AND {OWNED} AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
    RETURNING name, owner, scopes
)
INSERT INTO api_keys (id, name, owner, scopes, secret_hash, expires_at)
SELECT :id, name, owner, scopes, :secret_hash, :expires_at FROM old RETURNING {_KEYS.columns}
"""
)


def rotate(
    connection: Connection, old_id: str, new: NewApiKey, overlap_s: float, owner: str | None = None
) -> ApiKey | None:
    """Store a key with the name, owner and scopes of another, which expires in `overlap_s` seconds.

    Of `new`, only its digest and its expiry count. None if there is no such key that can be used.
    """
    given = {"old_id": old_id, "owner": owner, "overlap_s": overlap_s, "expires_at": new.expires_at}
    return next(iter(_KEYS.read(connection.execute(ROTATE, {**given, **_digest(new.digest)}))), None)


NOTE_USE: Final = text(
    DURABLE
    + """
UPDATE api_keys SET last_used_at = now() WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM api_keys
    WHERE id = ANY(:ids) AND (last_used_at IS NULL OR last_used_at < now() - make_interval(secs => :age_s))
    ORDER BY id FOR UPDATE SKIP LOCKED))
"""
)


def note_use(connection: Connection, ids: Sequence[str]) -> None:
    """Store that these keys were used now, unless it was stored within the last minute."""
    connection.execute(NOTE_USE, {"ids": list(ids), "age_s": USED_S})


# A process that starts again with an older bootstrap key adds none, so it does not revoke the newer one.
PUT_BOOTSTRAP: Final = text(
    DURABLE
    + """
WITH added AS (
    INSERT INTO api_keys (id, name, scopes, secret_hash, bootstrap)
    VALUES (:id, 'bootstrap', ARRAY['admin'], :secret_hash, true) ON CONFLICT (id) DO NOTHING RETURNING id
)
UPDATE api_keys SET revoked_at = now() WHERE bootstrap AND revoked_at IS NULL AND EXISTS (SELECT FROM added)
"""
)


def put_bootstrap(connection: Connection, digest: KeyDigest) -> ApiKey | None:
    """Store the operator's first key, an admin's, and revoke earlier first keys, unless it is there already.

    Returns the key; it may have been revoked meanwhile.
    """
    connection.execute(PUT_BOOTSTRAP, _digest(digest))
    return find(connection, digest.id)


def _digest(digest: KeyDigest) -> dict[str, object]:
    return {"id": digest.id, "secret_hash": digest.sha256}


def _settings(key: NewApiKey) -> dict[str, object]:
    scopes = sorted(key.scopes)
    return {"name": key.name, "owner": key.owner, "scopes": scopes, "expires_at": key.expires_at}
