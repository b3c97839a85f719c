"""The scraper's pod reaches the public web and nothing else; without its policy it would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import kubectl
from tests.e2e.outside import METADATA, PRIVATE_NEIGHBOUR, SITE, web_site
from tests.e2e.release import NAME, Release

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
    """A pod of somebody else in the database's namespace, which serves HTTP to everyone; its address."""
    image = release.cluster.pods("api")[0].spec.containers[0].image
    security = """
      {"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
       "seccompProfile": {"type": "RuntimeDefault"}}"""
    namespace = ("-n", release.cluster.namespace)
    kubectl(
        *(*namespace, "apply", "-f", "-"),
        input=f"""
apiVersion: v1
kind: Pod
metadata: {{name: {NEIGHBOUR}}}
spec:
  containers:
    - name: web
      image: {image}
      command: [python, -m, http.server, "8080", --directory, /tmp]
      securityContext: {security}
""",
    )
    kubectl(*namespace, "wait", "--for=condition=Ready", f"pod/{NEIGHBOUR}", "--timeout=60s")
    yield kubectl(*namespace, "get", "pod", NEIGHBOUR, "-o", "jsonpath={.status.podIP}")
    kubectl(*namespace, "delete", "pod", NEIGHBOUR, "--grace-period=0", "--force")


@pytest.mark.timeout(400)
def test_the_scraper_reaches_the_public_web_and_no_private_place(release: Release, neighbour: str) -> None:
    api_server = kubectl(
        "get", "endpoints", "kubernetes", "-o", "jsonpath={.subsets[0].addresses[0].ip}:{.subsets[0].ports[0].port}"
    )
    allowed = {f"{SITE}:80", f"{NAME}-postgres:5432", f"{NAME}-redis:6379"}
    forbidden = {
        api_server,
        "kubernetes.default.svc:443",
        f"{neighbour}:8080",
        f"{PRIVATE_NEIGHBOUR}:80",
        f"{METADATA}:80",
        f"{NAME}-jaeger:16686",
    }

    def reached() -> set[str]:
        pod = release.cluster.ready("scraper-worker")[0]
        done = release.cluster.execute(pod, "scraper-worker", "python", "-c", KNOCK, *sorted(allowed | forbidden))
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())

    with web_site():
        assert reached() == allowed
        release.upgrade(networkPolicy__enabled="false")
        try:
            assert reached() == allowed | forbidden, "the control: without the policy all of them answer"
        finally:
            release.upgrade(networkPolicy__enabled="true")
        assert reached() == allowed
