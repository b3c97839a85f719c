"""The two systems that the benchmark measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy import create_engine

from bench.literal.models import Base
from jobcore import migrations

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
LANES = replace(LONGRUN, env={**LONGRUN.env, "LONGRUN_TASKS": "bench.tasks"})
"""Longrun with the bench's own task types, which run in all lanes."""
SCRAPER_WORKER = ("celery", "-A", "longrun_scraper.app", "worker", "--without-gossip", "--without-mingle")
LITERAL = System(
    name="literal",
    api=("uvicorn", "bench.literal.main:app", "--no-access-log"),
    worker=("celery", "-A", "bench.literal.celery_app", "worker", "--concurrency", str(CHILDREN)),
    create_tables=_create_literal_tables,
)
