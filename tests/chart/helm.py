"""Renders the chart with the Helm that is at hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.chart.objects import Objects

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "longrun"
GIVEN = [ROOT / "k8s" / f"values-{name}.yaml" for name in ("kind", "minikube", "production")]
CASES = [*sorted((CHART / "ci").glob("*-values.yaml")), *GIVEN]
"""Values files: those that stand for kinds of installations, and those that users are given."""
RELEASE = "longrun"
NAMESPACE = "jobs"
NO_CLUSTER = {"KUBECONFIG": os.devnull}

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Helm:
    """One Helm program; `str()` says which."""

    program: str
    version: str

    def __str__(self) -> str:
        return f"helm-{self.version}"

    def run(self, *arguments: str, values: Values | Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command, the values on its standard input."""
        text = values.read_text() if isinstance(values, Path) else json.dumps(values or {})
        return subprocess.run(
            [self.program, *arguments, "--values", "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **NO_CLUSTER},
            check=False,
        )

    def render(self, values: Values | Path | None = None, *options: str, release: str = RELEASE) -> Objects:
        """All objects of an installation with these values (or this file of values)."""
        done = self.run("template", release, str(CHART), "--namespace", NAMESPACE, *options, values=values)
        assert done.returncode == 0, done.stderr
        return Objects(tuple(each for each in yaml.safe_load_all(done.stdout) if each))

    def refusal(self, values: Values | Path, *options: str) -> str:
        """What Helm says of values that it does not take."""
        done = self.run("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *options, values=values)
        assert done.returncode != 0, "these values were taken"
        return done.stderr


@cache
def found() -> Sequence[Helm]:
    """The Helms on the PATH, one of each version, the newest first."""
    programs = (program for name in ("helm", "helm4", "helm3") if (program := shutil.which(name)))
    helms = {version: Helm(program, version) for program in programs for version in [_version(program)]}
    return sorted(helms.values(), key=lambda helm: [int(part) for part in helm.version.split(".")], reverse=True)


def _version(program: str) -> str:
    done = subprocess.run(
        [program, "version", "--template", "{{.Version}}"], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip().removeprefix("v").partition("-")[0].partition("+")[0]
