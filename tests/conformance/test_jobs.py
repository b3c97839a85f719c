"""The life of a job over HTTP: accepted, polled, followed, cancelled."""

from __future__ import annotations

import re

import httpx

from tests.conformance.conftest import SHORT, problem


def test_a_job_is_accepted_with_its_location(client: httpx.Client) -> None:
    response = client.post("/tasks", json=SHORT)
    assert response.status_code == 202
    assert client.get(response.headers["location"]).status_code == 200


def test_a_job_that_has_not_ended_says_when_to_ask_again(client: httpx.Client, running: str) -> None:
    assert int(client.get(running).headers["retry-after"]) > 0


def test_a_job_that_has_ended_does_not(client: httpx.Client, ended: str) -> None:
    assert "retry-after" not in client.get(ended).headers


def test_delete_is_idempotent(client: httpx.Client, running: str) -> None:
    statuses = [client.delete(running).status_code for _ in range(3)]
    assert set(statuses) <= {200, 202}


def test_a_cancel_of_a_job_that_has_ended_is_a_conflict(client: httpx.Client, ended: str) -> None:
    assert problem(client.delete(ended))["status"] == 409


def events(client: httpx.Client, path: str, headers: dict[str, str] | None = None) -> list[str]:
    """The ids of the events of a stream, to its end."""
    with client.stream("GET", f"{path}/stream", headers=headers) as response:
        assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
        return [line.removeprefix("id: ") for line in response.iter_lines() if line.startswith("id: ")]


def test_a_stream_replays_the_events_and_ends_with_the_job(client: httpx.Client, ended: str) -> None:
    ids = events(client, ended)
    assert ids
    assert all(re.fullmatch(r"\d+", each) for each in ids)


def test_a_stream_resumes_after_the_last_event_id(client: httpx.Client, ended: str) -> None:
    first, *rest = events(client, ended)
    assert events(client, ended, {"Last-Event-ID": first}) == rest


def test_a_stream_that_is_over_tells_its_reader_to_stop(client: httpx.Client, ended: str) -> None:
    last = events(client, ended)[-1]
    assert client.get(f"{ended}/stream", headers={"Last-Event-ID": last}).status_code == 204


def first_events(client: httpx.Client, count: int, headers: dict[str, str] | None = None) -> list[str]:
    """The ids of the first events of the stream of all jobs."""
    ids: list[str] = []
    with client.stream("GET", "/events/stream", headers=headers) as response:
        assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
        for line in response.iter_lines():
            ids += [line.removeprefix("id: ")] if line.startswith("id: ") else []
            if len(ids) == count:
                break
    return ids


def test_a_stream_of_many_jobs_begins_with_a_place_to_resume_from(client: httpx.Client) -> None:
    [place] = first_events(client, 1)
    assert re.fullmatch(r"\S+", place)


def test_a_stream_of_many_jobs_resumes_after_the_last_event_id(client: httpx.Client) -> None:
    [place] = first_events(client, 1)
    assert client.post("/tasks", json=SHORT).status_code == 202
    resumed, first, second = first_events(client, 3, {"Last-Event-ID": place})
    assert resumed == place
    assert first_events(client, 2, {"Last-Event-ID": first}) == [first, second]


def test_a_stream_may_not_be_stored_or_changed_on_its_way(client: httpx.Client, ended: str) -> None:
    with client.stream("GET", f"{ended}/stream") as response:
        directives = response.headers["cache-control"].split(", ")
    assert {"no-cache", "no-transform"} <= set(directives)
