"""Redis loses what it held, in part or whole, again and again: it held nothing that matters."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import redis

from longrun_local.valkey import EmbeddedValkey
from tests.fault.link import Link
from tests.fault.test_worker_dies import assert_all_children_work
from tests.harness import Harness, environment
from tests.invariants import check
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

DISK = "4m"
RESTARTS = 8


def queue_up(longrun: Harness, count: int = 60) -> list[str]:
    return [longrun.submit("sleep", {"seconds": 0.05, "steps": 1}) for _ in range(count)]


def newest_aof(server: EmbeddedValkey) -> Path:
    return max((server.folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)


def delete(server: EmbeddedValkey) -> None:
    shutil.rmtree(server.folder / "appendonlydir")


def truncate(server: EmbeddedValkey) -> None:
    path = newest_aof(server)
    os.truncate(path, max(0, path.stat().st_size - 3000))


def damage(server: EmbeddedValkey) -> None:
    path = newest_aof(server)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(random.Random(6).randbytes(200))


@pytest.mark.parametrize("harm", cases([delete, truncate, damage]))
def test_redis_that_comes_back_with_less_than_it_held_loses_no_job(
    longrun: Harness, redis_server: EmbeddedValkey, harm: Callable[[EmbeddedValkey], None]
) -> None:
    jobs = queue_up(longrun)
    redis_server.stop(immediate=True)
    try:
        harm(redis_server)
        jobs += queue_up(longrun)
    finally:
        redis_server.start()
    longrun.all_reach(jobs, "SUCCESS")
    assert_all_children_work(longrun)
    check(longrun, jobs)


def test_after_eight_restarts_of_redis_under_load_every_worker_still_works(
    longrun: Harness, redis_server: EmbeddedValkey
) -> None:
    """Acks are in flight at each restart: some releases of Celery end the worker then."""
    jobs: list[str] = []
    for _ in range(RESTARTS):
        jobs += queue_up(longrun, 20)
        done = jobs[-20]
        redis_server.stop(immediate=True)
        redis_server.start()
        longrun.reaches(done, "SUCCESS")
    longrun.all_reach(jobs, "SUCCESS")
    assert [worker.popen.poll() for worker in longrun.workers] == [None, None]
    assert_all_children_work(longrun)
    check(longrun, jobs)


def test_killed_connections_to_redis_run_nothing_twice(longrun: Harness, redis_server: EmbeddedValkey) -> None:
    jobs: list[str] = []
    with redis.Redis.from_url(redis_server.url) as client:
        for _ in range(12):
            jobs += queue_up(longrun, 10)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    longrun.all_reach(jobs, "SUCCESS")
    assert {longrun.job(job_id)["fence"] for job_id in jobs} == {1}
    check(longrun, jobs)


@pytest.fixture
def replica(server_folder: Path, redis_server: EmbeddedValkey) -> Iterator[EmbeddedValkey]:
    """A second Redis that follows the first."""
    with EmbeddedValkey(server_folder / "replica") as server, redis.Redis.from_url(server.url) as client:
        client.config_set("masterauth", redis_server.password())
        client.config_set("requirepass", redis_server.password())
        client.execute_command("AUTH", redis_server.password())
        client.replicaof("127.0.0.1", redis_server.port)
        until(lambda: client.info("replication")["master_link_status"] == "up", what="the replica has caught up")
        yield server


def test_a_failover_to_a_replica_that_lags_behind_loses_no_job(
    apart: Harness, redis_server: EmbeddedValkey, replica: EmbeddedValkey
) -> None:
    with Link(redis_server.url) as link:
        env = {**environment(apart.stack.folder), "REDIS_URL": link.url}
        api = apart.stack.api(env=env)
        with httpx.Client(base_url=api.url, timeout=30) as client:
            served = Harness(apart.stack, client, apart.queue, apart.folder)
            served.worker(concurrency=1, REDIS_URL=link.url)
            jobs = [served.submit()]
            served.all_reach(jobs, "SUCCESS")
            with redis.Redis(port=replica.port, password=redis_server.password()) as follower:
                follower.replicaof("NO", "ONE")  # from now on it misses every write
            jobs += queue_up(served, 20)
            link.lead_to(f"redis://127.0.0.1:{replica.port}")
            jobs += queue_up(served, 20)
            served.all_reach(jobs, "SUCCESS")
            check(served, jobs)


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of DISK bytes; mounting one takes root."""
    folder = tmp_path_factory.mktemp("small-disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=711", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_under_redis_stops_no_job_from_being_accepted_and_none_is_lost(
    apart: Harness, small_disk: Path
) -> None:
    with EmbeddedValkey(small_disk / "valkey") as server, redis.Redis.from_url(server.url) as broker:
        env = {**environment(apart.stack.folder), "REDIS_URL": server.url}
        api = apart.stack.api(env=env)
        with httpx.Client(base_url=api.url, timeout=30) as client:
            served = Harness(apart.stack, client, apart.queue, apart.folder)
            worker = served.worker(concurrency=1, REDIS_URL=server.url)
            jobs = [served.submit()]
            served.all_reach(jobs, "SUCCESS")
            running = served.tick(8)
            served.runs(running)
            ballast = small_disk / "ballast"
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(65536))

            def refuses() -> bool:
                try:
                    broker.set("filler", os.urandom(65536))
                except redis.ResponseError as error:
                    return "MISCONF" in str(error)
                return False

            until(refuses, what="Redis cannot write its append-only file")
            jobs += queue_up(served, 20)
            served.reaches(running, "SUCCESS")
            ballast.unlink()
            served.all_reach(jobs, "SUCCESS")
            assert served.job(running)["fence"] == 1
            assert worker.popen.poll() is None
            check(served, [running, *jobs])
