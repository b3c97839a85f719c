"""Many jobs at once: bulk actions, and exports as newline-delimited JSON."""

from __future__ import annotations

import gzip
import json

import httpx

from tests.conformance.conftest import LONG, SHORT, problem

UNKNOWN = "01890000-0000-7000-8000-000000000000"


def waiting(client: httpx.Client) -> str:
    """The path of a task that waits for an hour."""
    return str(client.post("/tasks", json=LONG | {"delay_s": 3600}).headers["location"])


def id_of(location: str) -> str:
    return location.rsplit("/", 1)[1]


def export(client: httpx.Client, **parameters: str) -> list[str]:
    """The ids of the tasks that were created since the given time, as an export has them."""
    response = client.get("/tasks:export", params=parameters)
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line)["task_id"] for line in response.text.split("\n") if line.strip()]


def test_a_bulk_cancel_tells_the_outcome_of_each_id(client: httpx.Client, ended: str) -> None:
    open_one = waiting(client)
    answer = client.post("/tasks:cancel", json={"ids": [id_of(open_one), id_of(ended), UNKNOWN]})
    assert answer.status_code == 200
    assert [each["outcome"] for each in answer.json()["outcomes"]] == ["changed", "skipped", "unknown"]
    assert client.get(open_one).json()["status"] == "CANCELLED"


def test_a_bulk_cancel_of_everything_must_be_meant(client: httpx.Client) -> None:
    location = waiting(client)
    bodies: list[dict[str, object]] = [{}, {"filter": {}}, {"filter": {"unknown": 1}}]
    for body in bodies:
        assert problem(client.post("/tasks:cancel", json=body))["status"] == 422
    assert client.get(location).json()["status"] == "PENDING"
    client.delete(location)


def test_a_dry_run_changes_nothing(client: httpx.Client) -> None:
    location = waiting(client)
    answer = client.post("/tasks:cancel", json={"ids": [id_of(location)], "dry_run": True}).json()
    assert (answer["changed"], answer["outcomes"][0]["outcome"]) == (1, "changed")
    assert client.get(location).json()["status"] == "PENDING"
    client.delete(location)


def test_an_export_is_one_json_text_a_line(client: httpx.Client, ended: str) -> None:
    since = client.get(ended).json()["created_at"]
    assert id_of(ended) in export(client, created_after=since, fields="task_id")
    response = client.get(f"{ended}/events")
    kinds = [json.loads(line)["kind"] for line in response.text.split("\n") if line.strip()]
    assert (response.headers["content-type"], kinds[0]) == ("application/x-ndjson", "state")


def test_an_export_continues_behind_a_line(client: httpx.Client, ended: str) -> None:
    since = client.get(ended).json()["created_at"]
    later = [id_of(client.post("/tasks", json=SHORT).headers["location"]) for _ in range(3)]
    whole = export(client, created_after=since, fields="task_id")
    assert [each for each in whole if each in later] == later
    assert export(client, created_after=since, fields="task_id", after=later[0])[:2] == later[1:]


def test_an_export_is_compressed_for_whoever_accepts_it(client: httpx.Client, ended: str) -> None:
    path = f"{ended}/events"
    with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as response:
        packed = b"".join(response.iter_raw())
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert response.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in plain.headers["vary"].lower()
    assert gzip.decompress(packed) == plain.content
