"""PostgreSQL, Redis and PgBouncer as the distribution's packages install them, in the states operators have them in.

Each test of this folder is skipped, with the name of the package, where one of them is not installed.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
import redis

from longrun_local.account import account_for
from tests.harness import Harness, environment
from tests.processes import Stack
from tests.servers import DebianPostgres, DebianRedis, execute
from tests.stock.flavours import FLAVOURS, Made
from tests.stock.pgbouncer import PROGRAM, PgBouncer

OPENSSL = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=longrun test")
_numbers = count(1)


@pytest.fixture(scope="session")
def stock_postgres(server_folder: Path) -> Iterator[DebianPostgres]:
    """The package's PostgreSQL, with TLS and a socket, and else with its defaults."""
    folder = server_folder / "stock-postgres"
    server = DebianPostgres(folder, settings={"unix_socket_directories": str(server_folder / "sockets")})
    _or_skip(server.programs)
    sockets = server_folder / "sockets"
    sockets.mkdir()
    sockets.chmod(0o777)
    with server:
        _enable_tls(server)
        yield server


@pytest.fixture(scope="session")
def stock_redis(server_folder: Path) -> Iterator[DebianRedis]:
    """The package's Redis."""
    server = DebianRedis(server_folder / "stock-redis")
    _or_skip(server.program_path)
    with server:
        yield server


@pytest.fixture(scope="session")
def pgbouncer(stock_postgres: DebianPostgres, server_folder: Path) -> Iterator[PgBouncer]:
    """PgBouncer in transaction mode in front of that PostgreSQL."""
    if not shutil.which(PROGRAM):
        pytest.skip("PgBouncer is not installed: apt install pgbouncer")
    with PgBouncer(server_folder / "pgbouncer", stock_postgres.port) as pooler:
        yield pooler


@pytest.fixture(params=FLAVOURS)
def made(request: pytest.FixtureRequest, stock_postgres: DebianPostgres, server_folder: Path) -> Iterator[Made]:
    """A database of one flavour, without Longrun's tables."""
    name = f"stock_{next(_numbers)}"
    admin = stock_postgres.url_of("postgres")
    execute(admin, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    execute(admin, f"CREATE DATABASE {name}")
    made = Made(stock_postgres.url_of(name), role=name, port=stock_postgres.port, folder=server_folder)
    FLAVOURS[request.param](made)
    if made.pooled:
        made.port = request.getfixturevalue("pgbouncer").serve(name, "secret")
    yield made
    execute(admin, f"DROP DATABASE {name} WITH (FORCE)")
    execute(admin, f"DROP ROLE {name}")


@pytest.fixture
def stock(made: Made, stock_redis: DebianRedis, tmp_path: Path) -> Iterator[Harness]:
    """Longrun's processes on that database, not yet started; tests look behind their back as the superuser."""
    with redis.Redis.from_url(stock_redis.url) as client:
        client.flushall()
    with Stack(made.admin_url, stock_redis.url, tmp_path) as stack, httpx.Client(timeout=30) as client:
        yield Harness(stack, client, "stock", tmp_path)


@pytest.fixture
def env(made: Made, tmp_path: Path) -> dict[str, str]:
    """The environment of Longrun's processes."""
    return environment(tmp_path) | {"DATABASE_URL": made.url, "LONGRUN_QUEUES": "stock"}


def _or_skip(find: object) -> None:
    try:
        assert callable(find)
        find()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


def _enable_tls(server: DebianPostgres) -> None:
    key, certificate = server.folder / "test.key", server.folder / "test.crt"
    names = ("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    subprocess.run([*OPENSSL, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o600)
    for path in (key, certificate):
        account_for(server.folder).own(path)
    shutil.copy(certificate, server.data_dir / "ca.crt")
    for setting in (f"ssl_key_file = '{key}'", f"ssl_cert_file = '{certificate}'", "ssl = on"):
        execute(server.url_of("postgres"), f"ALTER SYSTEM SET {setting}")
    execute(server.url_of("postgres"), "SELECT pg_reload_conf()")
