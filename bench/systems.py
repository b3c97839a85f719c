"""The two systems that the benchmark measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import create_engine

from bench.literal.models import Base
from jobcore import migrations
from jobcore.models import api_keys
from jobcore.models.api_keys import KeyDigest, NewApiKey
from jobcore.models.caller import Scope
from jobcore.store import api_keys as store_of_keys
from jobcore.store.database import Database

CHILDREN = 2
"""Children of each worker, the same for both systems."""


@dataclass(frozen=True, eq=False)
class System:
    """The commands of an API and of a worker, and the function that creates their tables in an empty database."""

    name: str
    api: tuple[str, ...]
    worker: tuple[str, ...]
    create_tables: Callable[[str], None]
    env: Mapping[str, str] = field(default_factory=dict)
    api_key: str | None = None
    """What requests send to be recognised; `create_tables` stores it."""


def _create_literal_tables(url: str) -> None:
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()


LONGRUN = System(
    name="longrun",
    api=("longrun_api",),
    worker=("celery", "-A", "longrun_worker.app", "worker", "--without-gossip", "--without-mingle"),
    create_tables=migrations.upgrade,
    env={"LONGRUN_WORKER_CONCURRENCY": str(CHILDREN)},
)
OWNERS_KEY: Final = api_keys.new_key()


def _create_owned_tables(url: str) -> None:
    migrations.upgrade(url)
    digest = KeyDigest.of(OWNERS_KEY)
    if digest is None:
        raise ValueError("a new key has a digest")
    with closing(Database(url, name="bench")) as database:
        key = NewApiKey(digest, "bench", owner="bench", scopes=frozenset({Scope.SUBMIT}))
        database.call(store_of_keys.add, key)


OWNED = replace(
    LONGRUN,
    name="owned",
    create_tables=_create_owned_tables,
    env={
        **LONGRUN.env,
        "LONGRUN_AUTH": "keys",
        "LONGRUN_QUOTA_SUBMISSIONS": "1000000",
        "LONGRUN_QUOTA_QUEUED": "1000000",
    },
    api_key=OWNERS_KEY,
)
"""Longrun that asks for keys: its caller has an owner, and the owner quotas which it does not reach."""
LANES = replace(LONGRUN, env={**LONGRUN.env, "LONGRUN_TASKS": "bench.tasks"})
"""Longrun with the bench's own task types, which run in all lanes."""
SCRAPER_WORKER = ("celery", "-A", "longrun_scraper.app", "worker", "--without-gossip", "--without-mingle")
LITERAL = System(
    name="literal",
    api=("uvicorn", "bench.literal.main:app", "--no-access-log"),
    worker=("celery", "-A", "bench.literal.celery_app", "worker", "--concurrency", str(CHILDREN)),
    create_tables=_create_literal_tables,
)
