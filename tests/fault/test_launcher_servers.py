"""The embedded servers heal what they safely can and never delete data."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from longrun_local.account import account_for
from longrun_local.errors import StartError
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.thorough import cases

pytestmark = pytest.mark.fault


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A stopped PostgreSQL that has a table `kept` with the row 42."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    with server:
        run(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    yield server
    server.stop()
    EmbeddedPostgres(server.data_dir).stop_leftover()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A stopped Valkey that has the key `kept`."""
    server = EmbeddedValkey(tmp_path / "valkey")
    with server, client(server) as connected:
        connected.set("kept", "42")
    yield server
    server.stop()
    EmbeddedValkey(server.data_dir).stop_leftover()


def run(server: EmbeddedPostgres, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(server.url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def kept(server: EmbeddedPostgres) -> list[tuple[object, ...]]:
    return run(server, "SELECT answer FROM kept")


def client(server: EmbeddedValkey) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_postgres_is_durable_unicode_and_has_room_for_connections(postgres: EmbeddedPostgres) -> None:
    with postgres:
        shown = run(postgres, "SELECT current_setting('fsync'), current_setting('max_connections')::int")
        assert shown == [("on", 200)]
        assert run(postgres, "SELECT lower('ÄЖ'), current_setting('server_encoding')") == [("äж", "UTF8")]


def test_nobody_gets_in_without_the_password_and_only_from_this_machine(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey
) -> None:
    with postgres, valkey:
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(f"postgresql://longrun@127.0.0.1:{postgres.port}/longrun")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=valkey.port).ping()
        for server in (postgres, valkey):
            assert (server.data_dir / "password").stat().st_mode & 0o077 == 0
            assert {c.laddr.ip for c in psutil.Process(server.pid).net_connections()} == {"127.0.0.1"}


def test_a_crash_loses_nothing_that_was_committed(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    run(postgres, "INSERT INTO kept VALUES (43)")
    postgres.stop(immediate=True)
    with postgres:
        assert kept(postgres) == [(42,), (43,)]


def test_a_server_left_by_a_killed_owner_is_replaced(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path;"
        "from longrun_local.postgres import EmbeddedPostgres; from longrun_local.valkey import EmbeddedValkey;"
        "servers = EmbeddedPostgres(Path(sys.argv[1])).start(), EmbeddedValkey(Path(sys.argv[2])).start();"
        "print(*(server.pid for server in servers), flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    owner = subprocess.run(
        [sys.executable, "-c", script, postgres.data_dir, valkey.data_dir], capture_output=True, text=True, check=False
    )
    assert owner.returncode == -signal.SIGKILL
    left = [int(pid) for pid in owner.stdout.split()]
    assert all(psutil.pid_exists(pid) for pid in left)
    with postgres, valkey, client(valkey) as connected:
        assert not any(psutil.pid_exists(pid) for pid in left)
        assert kept(postgres) == [(42,)]
        assert connected.get("kept") == "42"


@pytest.fixture
def stranger(postgres: EmbeddedPostgres) -> Iterator[int]:
    """The pid of another program of the server's account, which PostgreSQL would take for a server."""
    command = account_for(postgres.folder).command("/bin/sleep", "300", reads=Path("/bin"))
    with subprocess.Popen(command) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize("alive", cases([True, False]))
def test_a_stale_postmaster_pid_is_no_obstacle(postgres: EmbeddedPostgres, stranger: int, alive: bool) -> None:
    pid = stranger if alive else 2**22 - 1
    stale = postgres.folder / "postmaster.pid"
    stale.write_text(f"{pid}\n{postgres.folder}\n1\n{postgres.port}\n\n127.0.0.1\n0 0\nready\n")
    with postgres:
        assert kept(postgres) == [(42,)]
    assert psutil.pid_exists(stranger)


def test_an_interrupted_initdb_is_done_again(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres")
    half = tmp_path / "postgres" / "data.unfinished" / "base"
    half.mkdir(parents=True)
    with server:
        assert run(server, "SELECT 1") == [(1,)]
    assert not half.exists()


def test_a_lost_password_is_replaced(postgres: EmbeddedPostgres) -> None:
    before = postgres.url
    (postgres.data_dir / "password").unlink()
    with postgres:
        assert postgres.url != before
        assert kept(postgres) == [(42,)]


def test_loose_permissions_are_tightened(postgres: EmbeddedPostgres) -> None:
    postgres.folder.chmod(0o777)
    with postgres:
        assert kept(postgres) == [(42,)]
    assert postgres.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_without_its_version_is_left_alone_with_advice(postgres: EmbeddedPostgres) -> None:
    (postgres.folder / "PG_VERSION").unlink()
    with pytest.raises(StartError, match=r"not a complete PostgreSQL data directory.*mv "):
        postgres.start()
    assert (postgres.folder / "base").is_dir()


def test_a_folder_of_another_major_version_is_left_alone_with_advice(postgres: EmbeddedPostgres) -> None:
    (postgres.folder / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartError, match=r"created by PostgreSQL 17, but this is PostgreSQL 18.*pg_upgrade"):
        postgres.start()


def test_damage_that_nobody_can_heal_shows_the_servers_own_words(postgres: EmbeddedPostgres) -> None:
    (postgres.folder / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(StartError, match=r"(?s)PostgreSQL does not start.*pg_control"):
        postgres.start()


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for kind in (EmbeddedPostgres, EmbeddedValkey):
        with pytest.raises(StartError, match=r"cannot use its data folder .*file"):
            kind(tmp_path / "file").start()


def test_valkey_keeps_its_data_in_an_append_only_file_and_evicts_nothing(valkey: EmbeddedValkey) -> None:
    with valkey, client(valkey) as connected:
        assert connected.get("kept") == "42"
        settings = connected.config_get("append*", "maxmemory-policy")
        assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "everysec")
        assert settings["maxmemory-policy"] == "noeviction"


def test_a_torn_end_of_the_append_only_file_costs_only_that_end(valkey: EmbeddedValkey) -> None:
    with appended(valkey).open("ab") as aof:
        aof.write(b"*3\r\n$3\r\nSET\r\n$4\r\nto")
    with valkey, client(valkey) as connected:
        assert connected.get("kept") == "42"


def not_a_command(files: Path) -> None:
    rewritten(next(files.glob("*.incr.aof")), lambda aof: b"no command at all\r\n" * 10 + aof)


def a_command_that_does_not_exist(files: Path) -> None:
    rewritten(next(files.glob("*.incr.aof")), lambda aof: aof + b"*1\r\n$3\r\nSEX\r\n")


def a_damaged_base(files: Path) -> None:
    rewritten(next(files.glob("*.base.rdb")), lambda base: base[:9] + bytes(255 - byte for byte in base[9:]))


def a_damaged_manifest(files: Path) -> None:
    rewritten(next(files.glob("*.manifest")), lambda manifest: manifest[::-1])


def a_file_of_the_manifest_is_missing(files: Path) -> None:
    next(files.glob("*.base.rdb")).unlink()


def rewritten(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


@pytest.mark.parametrize(
    "harm",
    [
        not_a_command,
        a_command_that_does_not_exist,
        a_damaged_base,
        a_damaged_manifest,
        a_file_of_the_manifest_is_missing,
    ],
)
def test_append_only_files_that_valkey_refuses_are_kept_aside_once(
    valkey: EmbeddedValkey, harm: Callable[[Path], None]
) -> None:
    files = valkey.folder / "appendonlydir"
    harm(files)
    damaged = {file.name: file.read_bytes() for file in files.iterdir()}
    with valkey, client(valkey) as connected:
        assert connected.keys() == []
        connected.set("new", "1")
    aside = valkey.folder / "appendonlydir.damaged-1"
    assert {file.name: file.read_bytes() for file in aside.iterdir()} == damaged
    with valkey, client(valkey) as connected:
        assert connected.get("new") == "1", "a second start must not take the healthy files away"


def test_a_start_that_fails_for_another_reason_moves_no_data(valkey: EmbeddedValkey) -> None:
    with socket.create_server(("127.0.0.1", valkey.port)), pytest.raises(StartError, match="Valkey does not start"):
        valkey.start()
    with valkey, client(valkey) as connected:
        assert connected.get("kept") == "42"


def appended(valkey: EmbeddedValkey) -> Path:
    return next((valkey.folder / "appendonlydir").glob("*.incr.aof"))


def test_a_server_takes_another_port_if_its_own_is_taken_before_it_was_ready_and_keeps_it_then(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    with socket.create_server(("127.0.0.1", server.port)), server, client(server) as connected:
        assert connected.ping()
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(StartError, match="Address already in use"):
        server.start()
