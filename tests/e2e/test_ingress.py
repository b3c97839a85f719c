"""A client outside the cluster submits, streams and cancels, through the Ingress and through an HTTPRoute."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from httpx_sse import connect_sse

from tests.e2e.conftest import Record, has_crd, setting
from tests.e2e.release import Release
from tests.waiting import until

IDLE_S = 190
ROUTE_HOST = "route.longrun.localhost"


@pytest.fixture(scope="module")
def by_route(release: Release) -> Release:
    """The same release behind a Gateway."""
    namespace, _, name = setting("LONGRUN_E2E_GATEWAY").partition("/")
    if not has_crd("httproutes.gateway.networking.k8s.io"):
        pytest.skip("the cluster has no Gateway API")
    release.upgrade(
        httpRoute__enabled="true",
        **{
            "httpRoute.parentRefs[0].name": name,
            "httpRoute.parentRefs[0].namespace": namespace,
            "httpRoute.hostnames[0]": ROUTE_HOST,
        },
    )
    return replace(release, host=ROUTE_HOST)


@pytest.fixture(params=["ingress", "route"])
def entrance(request: pytest.FixtureRequest, release: Release) -> Release:
    """The release by one of its two entrances."""
    entered: Release = release if request.param == "ingress" else request.getfixturevalue("by_route")
    await_route(entered)
    return entered


def await_route(release: Release, within_s: float = 30) -> None:
    """A new route takes the proxy a moment to learn."""
    with release.client() as client:
        until(lambda: client.get("/readyz").is_success, within_s, f"{release.host} answers", poll_s=0.2)


def test_events_arrive_when_they_happen(entrance: Release, record: Record) -> None:
    with entrance.client() as client:
        task_id = entrance.submit(client, "sleep", {"seconds": 3, "steps": 3})
        asked = time.monotonic()
        with connect_sse(client, "GET", f"/tasks/{task_id}/stream") as source:
            arrivals = [
                (event.event, event.json(), time.monotonic() - asked) for event in source.iter_sse() if event.data
            ]
    states = [(data["status"], at) for kind, data, at in arrivals if kind == "state"]
    record(f"first event through {entrance.host}, ms", arrivals[0][2] * 1000)
    assert states[0][1] < 1
    assert [status for status, _at in states] == ["PENDING", "RUNNING", "SUCCESS"]
    ended_at = states[-1][1]
    early = [at for kind, _data, at in arrivals if kind == "progress" and at < ended_at - 0.5]
    assert len(early) >= 2, f"buffered: {arrivals}"


def test_a_cancel_stops_the_job(entrance: Release) -> None:
    with entrance.client() as client:
        task_id = entrance.submit(client, "sleep", {"seconds": 60})
        until(lambda: client.get(f"/tasks/{task_id}").json()["status"] == "RUNNING", what="it runs")
        client.delete(f"/tasks/{task_id}").raise_for_status()
        until(lambda: client.get(f"/tasks/{task_id}").json()["cancel"]["stopped_at"], what="it has stopped")
        assert client.get(f"/tasks/{task_id}").json()["cancel"]["method"] == "cooperative"


@pytest.mark.timeout(IDLE_S + 120)
def test_a_stream_survives_three_idle_minutes(release: Release, by_route: Release) -> None:
    def follow(entered: Release) -> tuple[list[str], float]:
        await_route(entered)
        with entered.client(timeout=IDLE_S + 60) as client:
            task_id = entered.submit(client, "echo", {}, delay_s=IDLE_S)
            started = time.monotonic()
            with connect_sse(client, "GET", f"/tasks/{task_id}/stream") as source:
                events = [event.json()["status"] for event in source.iter_sse() if event.event == "state"]
            return events, time.monotonic() - started

    with ThreadPoolExecutor() as clients:
        for events, lasted_s in clients.map(follow, [release, by_route]):
            assert events == ["PENDING", "RUNNING", "SUCCESS"]
            assert lasted_s > IDLE_S - 5
