"""How many tasks of an owner may be queued: held by PostgreSQL against any number of processes of the API."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from jobcore.models.api_keys import new_key
from tests.harness import sql
from tests.integration.keyed import KeyedApi
from tests.processes import Stack

ECHO = {"task_type": "echo", "input": {}, "queue": "nobody"}
QUOTA = 4


@pytest.fixture(scope="module")
def api(new_stack: Callable[[str], AbstractContextManager[Stack]]) -> Iterator[KeyedApi]:
    with new_stack("quotas") as stack:
        yield KeyedApi(stack, new_key(), LONGRUN_QUOTA_QUEUED=str(QUOTA))


def stored(api: KeyedApi, owner: str) -> int:
    [row] = sql(api.stack.database_url, "SELECT count(*) AS jobs FROM jobs WHERE owner = %s", owner)
    return int(row["jobs"])


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The problem of a submission beyond the quota."""
    assert answer.status_code == 429, answer.text
    document: dict[str, Any] = answer.json()
    assert document["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert document["violated-policies"] == ["queued"]
    assert answer.headers["retry-after"] == "1"
    return document


def submit_form(client: httpx.Client) -> httpx.Response:
    return client.post("/tasks", files={"task": (None, json.dumps(ECHO)), "notes.txt": b"as you see"})


def test_every_way_to_submit_obeys_and_says_what_frees_a_place(api: KeyedApi) -> None:
    with api.caller("submit", "cancel", "read", owner="ada") as ada, api.caller("submit", owner="grace") as grace:
        first = ada.post("/tasks", json=ECHO).json()["task_id"]
        assert ada.post("/tasks:batch", json={"items": [ECHO] * 3}).json()["refused"] == 0
        assert "5 of 4 tasks would be PENDING" in refusal(ada.post("/tasks", json=ECHO))["detail"]
        refusal(ada.post("/tasks", json=ECHO, headers={"Idempotency-Key": "k"}))
        refusal(ada.post("/tasks:batch", json={"items": [ECHO] * 3}))
        refusal(submit_form(ada))
        refusal(api.admin.post("/tasks", json={**ECHO, "owner": "ada"}))
        assert stored(api, "ada") == QUOTA
        assert grace.post("/tasks", json=ECHO).status_code == 202
        assert ada.delete(f"/tasks/{first}").status_code == 200
        assert ada.post("/tasks", json=ECHO, headers={"Idempotency-Key": "k"}).status_code == 202
        refusal(ada.post(f"/tasks/{first}/retry"))
        refusal(ada.post("/tasks:retry", json={"ids": [first]}))


def test_an_owner_sees_its_own_quota_and_use_and_nobody_elses(api: KeyedApi) -> None:
    with api.caller("submit", "read", owner="bob/1") as bob:
        bob.post("/tasks", json=ECHO)
        shown = bob.get("/quotas/bob/1").json()
        assert (shown["queued"], shown["used"]) == (
            QUOTA,
            {"queued": 1, "names": 0, "streams": None, "stored_bytes": 2},
        )
        assert shown == api.admin.get("/quotas/bob/1").json()
        assert bob.get("/quotas/ada").status_code == 403


def test_two_processes_accept_exactly_the_quota_in_a_race_of_many_rounds(api: KeyedApi) -> None:
    other = api.another(LONGRUN_QUOTA_QUEUED=str(QUOTA))
    for number in range(10):
        owner = f"racer-{number}"
        key = api.make("submit", owner=owner)["key"]
        barrier, statuses = threading.Barrier(4), Counter[int]()

        def submit(url: str, barrier: threading.Barrier, key: str, statuses: Counter[int]) -> None:
            with api.client(key, url) as client:
                barrier.wait()
                for _ in range(QUOTA):
                    statuses[client.post("/tasks", json=ECHO).status_code] += 1

        threads = [
            threading.Thread(target=submit, args=(url, barrier, key, statuses)) for url in (api.url, other.url) * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == {202: QUOTA, 429: 3 * QUOTA}
        assert stored(api, owner) == QUOTA


def test_a_changed_quota_holds_at_once(api: KeyedApi) -> None:
    with api.caller("submit", owner="zoe") as zoe:
        items = {"items": [ECHO] * 6}
        refusal(zoe.post("/tasks:batch", json=items))
        api.admin.put("/quotas/zoe", json={"queued": 6}).raise_for_status()
        assert zoe.post("/tasks:batch", json=items).status_code == 200
        api.admin.delete("/quotas/zoe").raise_for_status()
        refusal(zoe.post("/tasks", json=ECHO))
