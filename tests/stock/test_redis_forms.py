"""Longrun on the Redis that people run: TLS, a socket, a user with few rights, Sentinels. Nothing but Redis differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from longrun_local.postgres import EmbeddedPostgres
from tests.conftest import database
from tests.harness import Harness, environment
from tests.invariants import check
from tests.processes import Stack
from tests.servers import DebianRedis
from tests.stock.redis_forms import FORMS, Formed, Redis, Watched, certificates, sentinels
from tests.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def installed(tmp_path: Path) -> None:
    """Skip, with the name of the package, where it is not installed."""
    try:
        DebianRedis(tmp_path).program_path()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=FORMS)
def formed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Formed]:
    """A Redis in one form."""
    with FORMS[request.param](tmp_path) as formed:
        yield formed


@pytest.fixture
def longrun(postgres: EmbeddedPostgres, migrated_template: str, tmp_path: Path) -> Iterator[Harness]:
    """Longrun's processes, not yet started and without a Redis."""
    with (
        database(postgres, migrated_template) as url,
        Stack(url, "redis://127.0.0.1:1/0", tmp_path) as stack,
        httpx.Client(timeout=30) as client,
    ):
        yield Harness(stack, client, "forms", tmp_path)


def start(longrun: Harness, env: dict[str, str]) -> None:
    """An API and a worker."""
    api = longrun.stack.api(env=environment(longrun.stack.folder) | env)
    longrun.api.base_url = httpx.URL(api.url)
    longrun.worker("worker", 2, **env)


def use(longrun: Harness) -> list[str]:
    """Run, follow and cancel jobs; their ids."""
    done = [longrun.submit() for _ in range(10)] + [longrun.submit(delay_s=0.2)]
    followed = longrun.submit("sleep", {"seconds": 1, "steps": 4})
    assert streamed(longrun, followed) == list(range(1, longrun.job(followed)["last_seq"] + 1))
    cancelled = longrun.tick(60)
    longrun.runs(cancelled)
    assert longrun.api.delete(f"/tasks/{cancelled}").is_success
    longrun.stopped(cancelled)
    longrun.all_reach([*done, followed], "SUCCESS")
    return [*done, followed, cancelled]


def test_everything_works_on_this_redis_and_every_key_has_the_prefix(longrun: Harness, formed: Formed) -> None:
    start(longrun, formed.env)
    check(longrun, use(longrun))
    ready = longrun.api.get("/readyz").json()
    assert (ready["redis"], ready["redis_problem"]) == ("up", None)
    formed.admin.select(formed.server.db)
    keys = set(formed.admin.scan_iter())
    assert keys, "nothing is kept in Redis"
    assert {key for key in keys if not key.startswith("longrun:")} == set()
    assert formed.admin.acl_log() == [], "Longrun sent what it has no right to"
    for process in longrun.stack.processes:
        assert "Traceback" not in process.log(), process.log()
        for line in process.log().splitlines():
            assert "s3cret" not in line, line


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Redis with Sentinels."""
    with sentinels(tmp_path / "sentinels") as watched:
        yield watched


def test_after_a_failover_by_sentinels_jobs_run_on_the_new_master(longrun: Harness, watched: Watched) -> None:
    start(longrun, watched.env)
    jobs = use(longrun)
    old, new = watched.servers
    old.stop(immediate=True)
    jobs += [longrun.submit() for _ in range(10)]
    with redis.Redis(port=new.port, password=new.password()) as client:
        until(lambda: client.info("replication")["role"] == "master", what="the Sentinels promote the replica")
    until(lambda: longrun.api.get("/readyz").json()["redis"] == "up", what="/readyz sees the new master")
    jobs += use(longrun)
    longrun.all_reach([job for job in jobs if longrun.job(job)["status"] != "CANCELLED"], "SUCCESS")
    check(longrun, jobs)


@pytest.mark.parametrize(
    ("signed_for", "trusted", "why"),
    [
        ("IP:127.0.0.1", "another", "its certificate is not trusted"),
        ("DNS:redis.example", "its own", "its certificate is for another host"),
    ],
)
def test_no_part_talks_to_a_redis_whose_certificate_is_wrong(
    longrun: Harness, tmp_path: Path, signed_for: str, trusted: str, why: str
) -> None:
    right, other = certificates(tmp_path / "right", signed_for), certificates(tmp_path / "other")
    server = Redis(tmp_path / "redis", tls=right)
    with server:
        authority = (right if trusted == "its own" else other).authority
        env = {
            "REDIS_URL": f"rediss://:{server.password()}@127.0.0.1:{server.port}/0",
            "LONGRUN_REDIS_CA_FILE": str(authority),
        }
        start(longrun, env)
        ready = longrun.api.get("/readyz").json()
        assert (ready["redis"], ready["redis_problem"]) == ("down", why)
        job = longrun.submit()
        with redis.Redis.from_url(server.url) as client:
            assert list(client.scan_iter()) == []
            others = [each for each in client.client_list() if each["id"] != str(client.client_id())]
            assert {each["cmd"] for each in others} <= {"NULL"}, "somebody of Longrun sent a command"
            assert not {"cmdstat_brpop", "cmdstat_publish", "cmdstat_subscribe"} & client.info("commandstats").keys()
        assert longrun.job(job)["status"] == "PENDING"
        for process in longrun.stack.processes:
            assert server.password() not in process.log()


def streamed(longrun: Harness, job_id: str) -> list[int]:
    """The seqs of a job's stream, to its end."""
    seen = []
    with longrun.api.stream("GET", f"/tasks/{job_id}/stream") as response:
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                seen.append(int(value))
    return seen
