"""What docker-compose.yml promises, on a real engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

from longrun_client import Longrun, Status, Task
from tests.compose.project import SERVICES, SITE, Project, docker, docker_or_nothing
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)


def submit(client: Longrun, count: int, seconds: float) -> list[str]:
    """Submit so many tasks that sleep; their ids."""
    sleep = {"task_type": "sleep", "input": {"seconds": seconds, "steps": 1}}
    return [task.task_id for task in client.submit_many([sleep] * count)]


def succeed(client: Longrun, task_ids: Iterable[str], within_s: float = 90.0) -> list[Task]:
    """The tasks once they all ended well; AssertionError if one did not."""
    deadline = time.monotonic() + within_s
    tasks = [client.wait(task_id, timeout_s=deadline - time.monotonic()) for task_id in task_ids]
    assert [task.status for task in tasks] == [Status.SUCCESS] * len(tasks)
    return tasks


def ran_on(client: Longrun, task_id: str) -> str:
    """The worker that ran a task last."""
    runs = [event.data for event in client.stream(task_id) if event.data.get("status") == Status.RUNNING]
    return str(runs[-1]["worker_id"])


def test_the_first_scrape_of_a_fresh_stack_finishes(client: Longrun) -> None:
    task = client.wait(client.submit("web_scrape", {"url": f"http://{SITE}/"}).task_id, timeout_s=30)

    assert task.status is Status.SUCCESS, task.error
    assert (task.result["title"], task.result["h1"]) == ("Tide tables", ["High water"])


def test_a_trace_in_jaeger_spans_api_worker_database_and_web_site(project: Project, client: Longrun) -> None:
    task = client.wait(client.submit("web_scrape", {"url": f"http://{SITE}/"}).task_id, timeout_s=30)

    def whole_trace() -> set[tuple[str, str]] | None:
        answer = httpx.get(f"http://127.0.0.1:{project.jaeger_port}/api/traces/{task.trace_id}", timeout=5).json()
        spans = {
            (trace["processes"][span["processID"]]["serviceName"], system(span["tags"]))
            for trace in answer["data"] or ()
            for span in trace["spans"]
        }
        wanted = {("longrun-api", "postgresql"), ("longrun-scraper", "postgresql"), ("longrun-scraper", "http")}
        return spans if spans >= wanted else None

    def system(tags: list[dict[str, Any]]) -> str:
        names = {tag["key"]: tag["value"] for tag in tags}
        return str(names.get("db.system") or ("http" if "http.url" in names or "url.full" in names else ""))

    until(whole_trace, what=f"the whole trace {task.trace_id}")


def test_only_loopback_is_published_and_neither_database_nor_broker(project: Project) -> None:
    published = {
        (container["Config"]["Labels"]["com.docker.compose.service"], binding["HostIp"])
        for container in project.containers()
        for bindings in (container["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert published == {("api", "127.0.0.1"), ("jaeger", "127.0.0.1")}


def test_containers_have_no_root_user_no_writable_root_and_no_capabilities(project: Project) -> None:
    def weaknesses(container: dict[str, Any]) -> list[str]:
        host = container["HostConfig"]
        found = {
            "root user": container["Config"]["User"].partition(":")[0] in ("", "0", "root"),
            "writable root": not host["ReadonlyRootfs"],
            "capabilities": host["CapDrop"] != ["ALL"] or bool(host["CapAdd"]),
            "new privileges": not any(option.startswith("no-new-privileges") for option in host["SecurityOpt"] or ()),
        }
        return [f"{container['Name']}: {weakness}" for weakness, is_there in found.items() if is_there]

    containers = [
        container
        for container in project.containers()
        if container["Config"]["Labels"]["com.docker.compose.service"] != "site"
    ]
    assert len(containers) >= len(SERVICES)
    assert [weakness for container in containers for weakness in weaknesses(container)] == []


def test_nobody_is_a_superuser_over_the_network_and_redis_asks_for_a_password(project: Project) -> None:
    network = "psql -XAt postgresql://longrun:longrun@127.0.0.1/longrun -c"
    superusers = "SELECT rolname FROM pg_authid WHERE rolsuper AND rolpassword IS NOT NULL"

    assert project.shell("postgres", f'{network} "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"') == "f"
    assert project.shell("postgres", f'psql -XAt -U postgres -c "{superusers}"') == ""
    assert "NOAUTH" in project.shell("redis", "env -u REDISCLI_AUTH redis-cli ping")
    assert "NOPERM" in project.shell("redis", "redis-cli config get requirepass")
    assert "longrun" not in project.shell("redis", "tr '\\0' ' ' < /proc/1/cmdline")


def test_a_volume_of_an_earlier_version_is_upgraded_to_a_role_without_superuser(
    project: Project, client: Longrun
) -> None:
    """The role `longrun` was the superuser that initdb made: the volume is made anew in that way."""
    project.run("down", "--volumes")
    project.run("run", "--detach", "--name", f"{project.name}-earlier", "--env", "POSTGRES_USER=longrun",
              "--volume", "/dev/null:/docker-entrypoint-initdb.d/roles.sh", "postgres")  # fmt: skip
    earlier = f"{project.name}-earlier"
    is_superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = 'longrun'"
    ask = ("exec", earlier, "psql", "-XAt", "-h", "127.0.0.1", "-U", "longrun", "-c", is_superuser)
    until(lambda: docker_or_nothing(*ask).startswith("t"), 60, "the earlier PostgreSQL is up")
    docker("stop", earlier)
    docker("rm", earlier)

    project.up()

    assert project.shell("postgres", f'psql -XAt -U postgres longrun -c "{is_superuser}"') == "f"
    succeed(client, submit(client, 5, seconds=0.0))


def test_four_workers_share_the_tasks(project: Project, client: Longrun) -> None:
    project.up("--scale", "worker=4")

    tasks = succeed(client, submit(client, 240, seconds=5.0))  # three workers have room for 192

    assert len({ran_on(client, task.task_id) for task in tasks}) == 4


@pytest.mark.parametrize("server", ["redis", "postgres"])
def test_no_task_is_lost_when_a_server_is_killed_with_tasks_queued(
    project: Project, client: Longrun, server: str
) -> None:
    accepted = submit(client, 400, seconds=5.0)  # four workers have room for 256
    assert client.get(accepted[-1]).status is Status.PENDING, "nothing is queued any more"

    project.run("kill", server)
    project.up("--scale", "worker=4")

    succeed(client, accepted)
    assert [container["RestartCount"] for container in project.containers(*SERVICES)] == [0] * 6


def test_tasks_are_accepted_while_redis_is_away_and_run_when_it_is_back(project: Project, client: Longrun) -> None:
    project.run("kill", "redis")
    accepted = submit(client, 10, seconds=0.0)
    project.up("--scale", "worker=4")

    succeed(client, accepted)


def test_down_ends_every_service_with_exit_code_0_and_keeps_the_data(project: Project, client: Longrun) -> None:
    [done] = succeed(client, submit(client, 1, seconds=0.0))
    [running] = submit(client, 1, seconds=2.0)
    _until_running(client, running)

    project.run("stop")
    ended = {container["Name"]: container["State"]["ExitCode"] for container in project.containers(*SERVICES)}
    project.run("down")
    project.up()

    assert ended == dict.fromkeys(ended, 0)
    assert client.get(done.task_id).status is Status.SUCCESS
    assert client.wait(running, timeout_s=60).attempt == 1, "the worker did not let the running task end"


def _until_running(client: Longrun, task_id: str) -> None:
    is_running: Callable[[], bool] = lambda: client.get(task_id).status is Status.RUNNING  # noqa: E731
    until(is_running, what="the task runs")
