"""A namespace of the cluster that KUBECONFIG names: pods by component, what operators do to them, ways in."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client, config, watch

from tests.waiting import until

TOO_MANY_REQUESTS = 429
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}


@dataclass(frozen=True)
class Cluster:
    """One namespace, held to the restricted Pod Security Standard."""

    namespace: str
    core: client.CoreV1Api = field(default_factory=client.CoreV1Api)
    apps: client.AppsV1Api = field(default_factory=client.AppsV1Api)

    @classmethod
    def connect(cls, namespace: str) -> Cluster:
        """The cluster of KUBECONFIG."""
        config.load_kube_config()  # type: ignore[no-untyped-call]
        return cls(namespace)

    def exists(self) -> bool:
        """Whether the namespace is there."""
        return bool(kubectl("get", "namespace", self.namespace, "--ignore-not-found", "-o", "name"))

    def create(self) -> None:
        """Make the namespace, anew if there is one."""
        self.remove()
        metadata = client.V1ObjectMeta(name=self.namespace, labels=RESTRICTED)
        self.core.create_namespace(client.V1Namespace(metadata=metadata))

    def remove(self) -> None:
        """Delete the namespace and wait until it is gone."""
        kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=180s")

    def pods(self, component: str) -> list[Any]:
        """The component's pods that are not on their way out."""
        selector = f"app.kubernetes.io/component={component}"
        pods: list[Any] = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        return [pod for pod in pods if pod.metadata.deletion_timestamp is None]

    def ready(self, component: str) -> list[str]:
        """Names of the component's pods that are ready."""
        return [
            pod.metadata.name
            for pod in self.pods(component)
            if any(is_.type == "Ready" and is_.status == "True" for is_ in pod.status.conditions or [])
        ]

    def await_ready(self, component: str, count: int, within_s: float = 180) -> float:
        """Wait until exactly so many pods of a component are there and ready; the seconds that took."""
        started = time.monotonic()
        self._await_pods(component, within_s, lambda: len(self.ready(component)) == count == len(self.pods(component)))
        return time.monotonic() - started

    def await_replaced(self, component: str, count: int, doomed: str, within_s: float = 240) -> float:
        """Wait until so many pods are ready without the one that had this uid; the seconds that took."""
        started = time.monotonic()
        self._await_pods(component, within_s, lambda: len(set(self._ready_uids(component)) - {doomed}) == count)
        return time.monotonic() - started

    def delete_pod(self, component: str, *, grace_s: int | None = None) -> str:
        """Delete a pod of a component, with its own grace period if none is given; its uid."""
        doomed = self.pods(component)[0].metadata
        self.core.delete_namespaced_pod(doomed.name, self.namespace, grace_period_seconds=grace_s)
        return str(doomed.uid)

    def evict(self, pod: str, within_s: float = 60) -> None:
        """What `kubectl drain` does with a pod, and wait until it is gone; a budget may hold it up for a while."""
        metadata = client.V1ObjectMeta(name=pod, namespace=self.namespace)

        def evicted() -> bool:
            try:
                self.core.create_namespaced_pod_eviction(pod, self.namespace, client.V1Eviction(metadata=metadata))
            except client.ApiException as error:
                if error.status != TOO_MANY_REQUESTS:
                    raise
                return False
            return True

        until(evicted, within_s, f"no budget forbids to evict {pod}", poll_s=1)
        kubectl("-n", self.namespace, "wait", "--for=delete", f"pod/{pod}", "--timeout=120s")

    def scale(self, deployment: str, replicas: int) -> None:
        """What `kubectl scale` does."""
        kubectl("-n", self.namespace, "scale", f"deploy/{deployment}", f"--replicas={replicas}")

    def secret(self, name: str, key: str) -> str:
        """A value of a Secret."""
        command = [
            "-n",
            self.namespace,
            "get",
            "secret",
            name,
            "-o",
            f"go-template={{{{index .data {json.dumps(key)}}}}}",
        ]
        return base64.b64decode(kubectl(*command)).decode()

    def execute(self, pod: str, container: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container."""
        arguments = ["kubectl", "-n", self.namespace, "exec", pod, "-c", container, "--", *command]
        return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to a port of `svc/NAME` or `pod/NAME`."""
        command = ["kubectl", "-n", self.namespace, "port-forward", target, f":{port}", "--address=127.0.0.1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                first = process.stdout.readline()
                assert first.startswith("Forwarding from 127.0.0.1:"), first
                yield int(first.split(":")[1].split()[0])
            finally:
                process.terminate()

    def picture(self) -> str:
        """What an operator would look at first when something fails."""
        parts = [kubectl("-n", self.namespace, "get", "pods,job,hpa", "-o", "wide")]
        parts.append(kubectl("-n", self.namespace, "get", "events", "--sort-by=.lastTimestamp")[-4000:])
        for component in ("api", "worker", "scraper-worker"):
            selector = f"app.kubernetes.io/component={component}"
            arguments = ["-n", self.namespace, "logs", "-l", selector, "-c", component, "--tail=25", "--prefix"]
            parts.append(kubectl(*arguments, check=False))
        return "\n".join(parts)

    def _ready_uids(self, component: str) -> list[str]:
        ready = set(self.ready(component))
        return [pod.metadata.uid for pod in self.pods(component) if pod.metadata.name in ready]

    def _await_pods(self, component: str, within_s: float, is_so: Any) -> None:
        selector = f"app.kubernetes.io/component={component}"
        deadline = time.monotonic() + within_s
        while not is_so():
            left = deadline - time.monotonic()
            assert left > 0, (
                f"the pods of {component} are not as they should be within {within_s:g} s:\n{self.picture()}"
            )
            stream = watch.Watch().stream(  # type: ignore[no-untyped-call]
                self.core.list_namespaced_pod,
                self.namespace,
                label_selector=selector,
                timeout_seconds=max(1, min(10, int(left))),
            )
            for _event in stream:
                if is_so():
                    return


def kubectl(*arguments: str, check: bool = True, input: str | None = None) -> str:
    """Run kubectl; what it printed. AssertionError with its complaint if it failed."""
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False, input=input)
    assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout
