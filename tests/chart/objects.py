"""Rendered objects, and short ways to what tests ask of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Pod:
    """The pod that an object stands for; `str()` and failures name the object."""

    owner: Object
    metadata: Object
    spec: Object

    def __repr__(self) -> str:
        return f"{self.owner['kind']}/{self.owner['metadata']['name']}"

    @property
    def containers(self) -> list[Object]:
        """All of them: those that run, sidecars, and those that come first."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def main(self) -> Object:
        """The only container that is no sidecar."""
        (main,) = self.spec["containers"]
        assert isinstance(main, dict)
        return main

    @property
    def env(self) -> dict[str, Any]:
        """The main container's environment: the literal values, None for what comes from elsewhere."""
        return {each["name"]: each.get("value") for each in self.main.get("env", [])}

    def init(self, name: str) -> Object:
        """The init container of that name."""
        (found,) = [each for each in self.spec["initContainers"] if each["name"] == name]
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Objects:
    """Everything one rendering gave."""

    all: tuple[Object, ...]

    def of(self, kind: str) -> dict[str, Object]:
        """Objects of a kind by name."""
        return {each["metadata"]["name"]: each for each in self.all if each["kind"] == kind}

    def one(self, kind: str, name: str) -> Object:
        """The object of that kind and name."""
        assert name in self.of(kind), f"no {kind} {name}, only {sorted(self.of(kind))}"
        return self.of(kind)[name]

    def pod(self, kind: str, name: str) -> Pod:
        """The pod of that object."""
        (pod,) = _pods_of(self.one(kind, name))
        return pod

    @property
    def pods(self) -> list[Pod]:
        """The pods of all objects."""
        return [pod for each in self.all for pod in _pods_of(each)]

    @property
    def migration(self) -> Object:
        """The migration Job, whose name carries a hash."""
        (job,) = [job for name, job in self.of("Job").items() if "-migrate-" in name]
        return job


def _pods_of(owner: Object) -> Iterator[Pod]:
    match owner["kind"]:
        case "Pod":
            yield Pod(owner, owner["metadata"], owner["spec"])
        case "Deployment" | "StatefulSet" | "Job":
            template = owner["spec"]["template"]
            yield Pod(owner, template["metadata"], template["spec"])
        case "CronJob":
            template = owner["spec"]["jobTemplate"]["spec"]["template"]
            yield Pod(owner, template["metadata"], template["spec"])
