"""As much of a Kubernetes API server as Helm's `lookup` asks for: the objects that a cluster already has."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KINDS = {
    "v1": ("ConfigMap", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "batch/v1": ("Job",),
    "networking.k8s.io/v1": ("Ingress", "NetworkPolicy"),
    "policy/v1": ("PodDisruptionBudget",),
}
"""What it says that it knows: Helm 4 asks for each kind that it renders."""
IRREGULAR = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}


class ApiServer:
    """Answers on a loopback port while entered."""

    def __init__(self, objects: Sequence[dict[str, Any]]) -> None:
        groups = [version for version in KINDS if "/" in version]
        answers: dict[str, Any] = {
            "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(version) for version in groups]},
            **{f"{_root(version)}/{version}": _resources(version) for version in KINDS},
            **{_path(each): each for each in objects},
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = answers.get(self.path.partition("?")[0])
                body = json.dumps(answer or {"kind": "Status", "code": 404, "reason": "NotFound"}).encode()
                self.send_response(200 if answer else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Tests are quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def reached(self) -> tuple[str, ...]:
        """Options that make Helm use this server, which has no OpenAPI for it to validate against."""
        return ("--disable-openapi-validation", "--kube-apiserver", f"http://127.0.0.1:{self._server.server_port}")

    @property
    def asked(self) -> tuple[str, ...]:
        """The same, so that `helm template` looks up what is there."""
        return ("--dry-run=server", *self.reached)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _root(version: str) -> str:
    return "/apis" if "/" in version else "/api"


def _group(version: str) -> dict[str, Any]:
    name, _, number = version.partition("/")
    this = {"groupVersion": version, "version": number}
    return {"name": name, "versions": [this], "preferredVersion": this}


def _resources(version: str) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": [
            {"name": _plural(kind), "kind": kind, "namespaced": True, "verbs": ["get", "list"]}
            for kind in KINDS[version]
        ],
    }


def _plural(kind: str) -> str:
    return IRREGULAR.get(kind, f"{kind.lower()}s")


def _path(each: dict[str, Any]) -> str:
    metadata = each["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/{_plural(each['kind'])}/{metadata['name']}"
