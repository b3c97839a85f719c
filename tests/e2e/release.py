"""One installation of the chart, and its users' way in."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from jobcore.states import TERMINAL
from tests.e2e.cluster import Cluster, kubectl
from tests.harness import sql
from tests.invariants import broken_promises
from tests.waiting import until

ROOT = Path(__file__).parents[2]
NAME = "longrun"
HOST = "longrun.localhost"
POLL_S = 0.2


@dataclass(frozen=True)
class Release:
    """The release `longrun` in a namespace; `url` is where the ingress controller answers."""

    cluster: Cluster
    url: str
    tag: str
    values: tuple[str, ...] = ()
    helm_binary: str = "helm"
    host: str = HOST
    settings: dict[str, str] = field(default_factory=dict)

    def upgrade(self, tag: str | None = None, **values: str) -> float:
        """`helm upgrade --install --wait` with further values (a key's dots written as `__`); the seconds it took."""
        self.settings.update({key.replace("__", "."): value for key, value in values.items()})
        current = {"global.image.tag": tag or self.tag, **self.settings}
        started = time.monotonic()
        self.helm(
            *("upgrade", "--install", NAME, str(ROOT / "charts/longrun"), "--wait", "--timeout", "5m"),
            *("-f", str(ROOT / "k8s/values-kind.yaml")),
            *(part for path in self.values for part in ("-f", path)),
            *(part for key, value in current.items() for part in ("--set", f"{key}={value}")),
        )
        return time.monotonic() - started

    def rollback(self) -> float:
        """`helm rollback --wait` to the revision before; the seconds it took."""
        started = time.monotonic()
        self.helm("rollback", NAME, "--wait", "--timeout", "5m")
        return time.monotonic() - started

    def restart(self, component: str) -> None:
        """What `kubectl rollout restart` does, until it is done."""
        deployment = f"deploy/{NAME}-{component}"
        kubectl("-n", self.cluster.namespace, "rollout", "restart", deployment)
        kubectl("-n", self.cluster.namespace, "rollout", "status", deployment, "--timeout=240s")

    def helm(self, *arguments: str) -> str:
        """Run helm in the namespace; what it printed. AssertionError with its complaint if it failed."""
        command = [self.helm_binary, "-n", self.cluster.namespace, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        picture = "" if done.returncode == 0 else self.cluster.picture()
        assert done.returncode == 0, f"helm {arguments[0]}:\n{done.stdout}{done.stderr}\n{picture}"
        return done.stdout

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client outside the cluster."""
        key = self.cluster.secret(f"{NAME}-bootstrap-key", "key")
        headers = {"Host": self.host, "Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, **{"timeout": 30, **options})

    def submit(self, client: httpx.Client, task_type: str, input: dict[str, Any], **options: Any) -> str:
        """Submit a task that must be accepted; its id."""
        answer = client.post("/tasks", json={"task_type": task_type, "input": input, **options})
        assert answer.status_code == httpx.codes.ACCEPTED, f"{answer.status_code}: {answer.text}"
        return str(answer.json()["task_id"])

    def outcome(self, client: httpx.Client, task_id: str, within_s: float = 60) -> dict[str, Any]:
        """Wait for a task's end; the task."""

        def look() -> dict[str, Any]:
            task: dict[str, Any] = client.get(f"/tasks/{task_id}").raise_for_status().json()
            return task

        def ended() -> dict[str, Any] | None:
            return task if (task := look())["status"] in TERMINAL else None

        return until(ended, within_s, lambda: f"the end of {look()}", POLL_S)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of the release's PostgreSQL on a port of this machine."""
        url = self.cluster.secret(f"{NAME}-postgres", "url")
        with self.cluster.forwarded(f"pod/{NAME}-postgres-0", 5432) as port:
            yield re.sub(r"@[^/]+/", f"@127.0.0.1:{port}/", url)

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a statement on the release's database."""
        with self.database() as url:
            return sql(url, statement, *values)

    def all_kept(self, task_ids: list[str], within_s: float = 180) -> float:
        """Wait until every task ended, then check every promise to them; the seconds until they ended."""
        started = time.monotonic()
        left = "SELECT count(*) FROM jobs WHERE id = ANY(%s::uuid[]) AND status IN ('PENDING', 'RUNNING')"
        with self.database() as url:
            until(
                lambda: sql(url, left, task_ids)[0]["count"] == 0,
                within_s,
                lambda: sql(url, "SELECT status, queue, ready, count(*) FROM jobs GROUP BY 1, 2, 3"),
                POLL_S,
            )
            ended_s = time.monotonic() - started
            broken = broken_promises(lambda statement, *values: sql(url, statement, *values), task_ids)
        assert not broken, "\n".join(broken)
        return ended_s
