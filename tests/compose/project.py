"""The containers of docker-compose.yml as a project of its own, on ports of its own, beside a developer's one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobcore.models.api_keys import new_key
from longrun_client import Longrun

ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yml", "tests/compose/site.yaml")
SITE = "site:8080"
SERVICES = ("api", "worker", "scraper-worker")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Project:
    """What `docker compose` does, for one project."""

    compose: tuple[str, ...]
    tag: str
    name: str = field(default_factory=lambda: f"longrun-test-{os.getpid()}")
    key: str = field(default_factory=new_key, repr=False)
    api_port: int = field(default_factory=_free_port)
    jaeger_port: int = field(default_factory=_free_port)

    def run(self, *arguments: str) -> str:
        """Run a compose command; its output. AssertionError with what it said if it fails."""
        files = [part for name in FILES for part in ("--file", str(ROOT / name))]
        ended = subprocess.run(
            [*self.compose, "--project-name", self.name, *files, *arguments],
            check=False, capture_output=True, text=True, env=self._environment, cwd=ROOT,
        )  # fmt: skip
        assert ended.returncode == 0, f"{' '.join(arguments)}: exit code {ended.returncode}\n{ended.stderr[-3000:]}"
        return ended.stdout

    def up(self, *arguments: str) -> None:
        """Start what does not run, and wait until all of it is healthy."""
        self.run("up", "--detach", "--wait", *arguments)

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """`docker inspect` of every container of these services (else of all), also of those that ended."""
        ids = self.run("ps", "--all", "--quiet", *services).split()
        inspected: list[dict[str, Any]] = json.loads(docker("inspect", *ids))
        return inspected

    def shell(self, service: str, command: str) -> str:
        """What a shell command printed in a service's container, without the newline at its end."""
        return self.run("exec", "-T", service, "sh", "-c", command).strip()

    def client(self) -> Longrun:
        """A client of this project's API."""
        return Longrun(f"http://127.0.0.1:{self.api_port}", api_key=self.key, patience_s=60)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LONGRUN_TAG": self.tag,
            "LONGRUN_BOOTSTRAP_KEY": self.key,
            "LONGRUN_PORT": str(self.api_port),
            "JAEGER_PORT": str(self.jaeger_port),
            "LONGRUN_FETCH_ALLOW": SITE,
        }


def docker(*arguments: str) -> str:
    """The output of a docker command."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def docker_or_nothing(*arguments: str) -> str:
    """The same, or an empty text if the command failed."""
    return subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True).stdout


def find_compose() -> tuple[str, ...]:
    """The command that is `docker compose` here; empty if there is none."""
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]) and _succeeds(*command, "version"):
            return command
    return ()


def why_not(tag: str) -> str:
    """Why no project can be started here; empty if one can."""
    if shutil.which("docker") is None or not _succeeds("docker", "info"):
        return "no container engine answers: docker info"
    if not find_compose():
        return "neither `docker compose` nor docker-compose is here"
    for service in SERVICES:
        if not _succeeds("docker", "image", "inspect", f"longrun/{service}:{tag}"):
            return f"there is no image longrun/{service}:{tag}: make images TAG={tag}"
    return ""


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
