"""The scraper's pod reaches the public web and nothing else; without its policy it would."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import kubectl
from tests.e2e.conftest import Record, setting
from tests.e2e.outside import METADATA, PRIVATE_NEIGHBOUR, SITE, web_site
from tests.e2e.release import NAME, Release
from tests.waiting import until

KNOCK = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        print(target)
    except OSError:
        pass
"""
NEIGHBOUR = "neighbour"


@pytest.fixture
def neighbour(release: Release) -> Iterator[str]:
    """A pod of somebody else in the database's namespace, which serves HTTP and may call nobody; its address."""
    image = release.cluster.pods("api")[0].spec.containers[0].image
    security = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    namespace = ("-n", release.cluster.namespace)
    kubectl(
        *(*namespace, "apply", "-f", "-"),
        input=f"""
apiVersion: v1
kind: Pod
metadata: {{name: {NEIGHBOUR}, labels: {{e2e: {NEIGHBOUR}}}}}
spec:
  automountServiceAccountToken: false
  containers:
    - name: web
      image: {image}
      command: [python, -m, http.server, "8080", --directory, /tmp]
      securityContext: {json.dumps(security)}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {NEIGHBOUR}}}
spec:
  podSelector: {{matchLabels: {{e2e: {NEIGHBOUR}}}}}
  policyTypes: [Egress]
""",
    )
    kubectl(*namespace, "wait", "--for=condition=Ready", f"pod/{NEIGHBOUR}", "--timeout=60s")
    yield kubectl(*namespace, "get", "pod", NEIGHBOUR, "-o", "jsonpath={.status.podIP}")
    kubectl(*namespace, "delete", "networkpolicy", NEIGHBOUR)
    kubectl(*namespace, "delete", "pod", NEIGHBOUR, "--grace-period=0", "--force")


@pytest.mark.timeout(400)
def test_the_scraper_reaches_the_public_web_and_no_private_place(
    release: Release, neighbour: str, record: Record
) -> None:
    api_server = kubectl(
        "get", "endpoints", "kubernetes", "-o", "jsonpath={.subsets[0].addresses[0].ip}:{.subsets[0].ports[0].port}"
    )
    allowed = {f"{SITE}:80", f"{NAME}-postgres:5432", f"{NAME}-redis:6379"}
    api_servers = {api_server, "kubernetes.default.svc:443"}
    if reached_by(release, NEIGHBOUR, "web", api_servers):
        record("pods may reach the API server", "this cluster's network lets even a pod that may call nobody")
        api_servers = set()
    forbidden = {
        *api_servers,
        f"{neighbour}:8080",
        f"{PRIVATE_NEIGHBOUR}:80",
        f"{METADATA}:80",
        f"{NAME}-jaeger:16686",
    }

    def reached() -> set[str]:
        pod = release.cluster.ready("scraper-worker")[0]
        return reached_by(release, pod, "scraper-worker", allowed | forbidden)

    with web_site(setting("LONGRUN_E2E_OUTSIDE")):
        assert reached() == allowed
        release.upgrade(networkPolicy__enabled="false")
        try:
            until(lambda: reached() == allowed | forbidden, what="the control: without the policy all of them answer")
        finally:
            release.upgrade(networkPolicy__enabled="true")
        # the cluster's network applies a changed policy a moment after the API server has stored it
        until(lambda: reached() == allowed, what="the policy is applied again")


def test_the_scraper_has_no_token_for_the_api_server(release: Release) -> None:
    pod = release.cluster.ready("scraper-worker")[0]
    done = release.cluster.execute(pod, "scraper-worker", "ls", "/var/run/secrets/kubernetes.io")
    assert done.returncode != 0, done.stdout


def reached_by(release: Release, pod: str, container: str, targets: set[str]) -> set[str]:
    """Which of these host:port a container can connect to."""
    done = release.cluster.execute(pod, container, "python", "-c", KNOCK, *sorted(targets))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
