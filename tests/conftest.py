"""Real servers for tests: one PostgreSQL and one Valkey a session, a fresh database a test."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import psycopg2
import pytest
import redis
from hypothesis import HealthCheck, settings

from jobcore.migrations import upgrade
from longrun_local import ports
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.processes import Stack
from tests.servers import postgres_kind, redis_kind

TEMPLATE = "longrun_template"

# a busy machine is no error
settings.register_profile("longrun", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("longrun")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts background commands with Ctrl-C ignored, and all processes of the tests would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# a port is free until its server listens: processes of pytest-xdist must not choose the same meanwhile
ports.FREE_PORTS = ports.FREE_PORTS[
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
]

LONGEST = "test_statements.py"

_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--thorough`."""
    parser.addoption("--thorough", action="store_true", help="also run the tests that are marked thorough")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the file that takes the longest: a process of pytest-xdist that began it last would be waited for.

    Skip what belongs to the thorough run only, unless this is one or the test was named.
    """
    items.sort(key=lambda item: item.path.name != LONGEST)
    if not config.getoption("thorough") and not any("::" in argument for argument in config.args):
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(pytest.mark.skip(reason="one more case of its kind: `make thorough` runs it"))


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for the servers' data, outside pytest's own, which only its owner may enter."""
    with tempfile.TemporaryDirectory(prefix="longrun-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL; a test that stops it must start it again.

    Without fsync, which protects data only from the end of the machine: a killed server loses nothing that it has
    committed. With it, most of a test's time can be that of dropping its database.
    """
    with postgres_kind()(server_folder / "postgres", settings={"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(server_folder: Path) -> Iterator[EmbeddedValkey]:
    """A running Valkey with AOF; a test that stops it must start it again."""
    with redis_kind()(server_folder / "valkey") as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with the current schema, to be cloned."""
    _sql(postgres, f"CREATE DATABASE {TEMPLATE}")
    upgrade(postgres.url_of(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A fresh, migrated database of this test alone."""
    with database(postgres, migrated_template) as url:
        yield url


@pytest.fixture(scope="session")
def new_stack(
    postgres: EmbeddedPostgres,
    migrated_template: str,
    redis_server: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], AbstractContextManager[Stack]]:
    """Makes a context in which processes run on a database of their own, with data in a folder of this name."""

    @contextmanager
    def made(folder: str) -> Iterator[Stack]:
        with (
            database(postgres, migrated_template) as url,
            Stack(url, redis_server.url, tmp_path_factory.mktemp(folder)) as stack,
        ):
            yield stack

    return made


@contextmanager
def database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A clone of the template while the block lasts; its URL."""
    name = f"test_{next(_numbers)}"
    _sql(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield postgres.url_of(name)
    finally:
        _sql(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_url(redis_server: EmbeddedValkey) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def stack(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """Longrun's real processes, started by the test as it needs them, all stopped at its end."""
    with Stack(database_url, redis_url, tmp_path) as processes:
        yield processes


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what each process of the stack wrote, when the test failed."""
    report = yield
    stacks = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Stack)]
    if report.failed:
        report.sections += [
            (f"log of {process.name}", process.log()) for stack in stacks for process in stack.processes
        ]
    return report


def _sql(postgres: EmbeddedPostgres, statement: str) -> None:
    connection = psycopg2.connect(postgres.url_of("postgres"))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
