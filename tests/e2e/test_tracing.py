"""One trace tells a job's way: API, Redis, worker, PostgreSQL and the outside, each with the name of its pod."""

from __future__ import annotations

from typing import Any

import httpx

from tests.e2e.conftest import setting
from tests.e2e.outside import SITE, web_site
from tests.e2e.release import NAME, Release
from tests.waiting import until


def test_a_trace_spans_api_redis_worker_database_and_the_outside_with_pod_names(
    release: Release, outside: httpx.Client
) -> None:
    with web_site(setting("LONGRUN_E2E_OUTSIDE")):
        task = release.outcome(outside, release.submit(outside, "web_scrape", {"url": f"http://{SITE}/"}))
    assert task["status"] == "SUCCESS", task
    spans = trace(release, task["trace_id"], {"longrun-api", "longrun-scraper-worker"})
    by_service: dict[str, set[str]] = {}
    for span in spans:
        by_service.setdefault(span["service"], set()).add(span["pod"])
    api, scraper = by_service["longrun-api"], by_service["longrun-scraper-worker"]
    assert api <= set(release.cluster.ready("api"))
    assert scraper <= set(release.cluster.ready("scraper-worker"))
    systems = {span["tags"].get("db.system") or span["tags"].get("db.system.name") for span in spans}
    assert any(span["tags"].get("messaging.destination.name") or "apply_async" in span["name"] for span in spans), spans
    assert "postgresql" in systems
    assert any(SITE in str(span["tags"].get("url.full") or span["tags"].get("http.url")) for span in spans)
    assert any(span["name"] == "run web_scrape" for span in spans)


def trace(release: Release, trace_id: str, services: set[str], within_s: float = 30) -> list[dict[str, Any]]:
    """The spans of a trace once those of the run and of all these services have arrived, as Jaeger's query API tells
    them: each service sends its own, some seconds apart.
    """
    with release.cluster.forwarded(f"svc/{NAME}-jaeger", 16686) as port:

        def ask() -> httpx.Response:
            return httpx.get(f"http://127.0.0.1:{port}/api/traces/{trace_id}")

        def whole() -> list[dict[str, Any]]:
            answer = ask()
            found = answer.json()["data"] if answer.is_success else []
            spans = [_plain(span, found[0]["processes"]) for span in found[0]["spans"]] if found else []
            return spans if _whole(spans, services) else []

        return until(whole, within_s, lambda: f"a trace of {sorted(services)}: {ask().text[:2000]}", poll_s=0.5)


def _whole(spans: list[dict[str, Any]], services: set[str]) -> bool:
    names = [span["name"] for span in spans]
    sent = {span["service"] for span in spans} >= services and any(name.startswith("run ") for name in names)
    return sent and any("apply_async" in name for name in names) and any(name.startswith("POST") for name in names)


def _plain(span: dict[str, Any], processes: dict[str, Any]) -> dict[str, Any]:
    process = processes[span["processID"]]
    resource = {tag["key"]: tag["value"] for tag in process["tags"]}
    return {
        "name": span["operationName"],
        "service": process["serviceName"],
        "pod": resource.get("k8s.pod.name"),
        "tags": {tag["key"]: tag["value"] for tag in span["tags"]},
    }
