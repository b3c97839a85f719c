"""Owners: each has tasks, keys, limits, turns and schedules of its own, and the operator sees everyone's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from jobcore.models import JobFilter, owned_keys
from longrun_api.event_feed import PAGE_EVENTS
from longrun_api.feed_frames import position
from tests.harness import sql
from tests.integration.hand_worker import HandWorker
from tests.integration.keyed import KeyedApi
from tests.waiting import until

ActAs = Callable[..., httpx.Client]
YEARLY = {"cron": "0 0 1 1 *", "task": {"task_type": "echo", "input": {}}}


def submit(
    client: httpx.Client, queue: str, status: int = 202, key: str | None = None, **fields: Any
) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"task_type": "echo", "input": {}, "queue": queue, **fields}
    answer = client.post("/tasks", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def refused(answer: httpx.Response) -> list[str]:
    """The fields at fault."""
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    return [error["field"] for error in answer.json()["errors"]]


def test_a_task_shows_its_owner_and_its_keys_as_they_were_given(act_as: ActAs, worker: HandWorker) -> None:
    keys: Any = {"concurrency_key": "c", "rate_key": "r", "dedupe_key": "d"}
    alice = act_as("alice")
    task = submit(alice, worker.queue, **keys)["task_id"]
    shown = alice.get(f"/tasks/{task}").json()
    assert {name: shown[name] for name in (*keys, "owner", "fairness_key")} == {
        **keys, "owner": "alice", "fairness_key": None,
    }  # fmt: skip
    assert act_as(None).get(f"/tasks/{task}").json() == shown
    [listed] = act_as(None).get("/tasks", params={"owner": "alice", "queue": worker.queue}).json()["items"]
    assert listed["task_id"] == task


def test_an_owner_does_not_learn_the_hosts_of_the_operator(act_as: ActAs, worker: HandWorker) -> None:
    attempts = f"/tasks/{submit(act_as('alice'), worker.queue)['task_id']}/attempts"
    worker.claim()
    [[seen], [known]] = [act_as(owner).get(attempts).json()["items"] for owner in ("alice", None)]
    assert (seen["worker"], known["worker"]["host"]) == ({"id": str(worker.id), "host": None}, "here")


def test_two_owners_and_the_operator_share_no_key(act_as: ActAs, worker: HandWorker) -> None:
    tasks = set()
    for client in (act_as("alice"), act_as("bob"), act_as(None)):
        one = submit(client, worker.queue, key="same", dedupe_key="same", concurrency_key="same")["task_id"]
        assert submit(client, worker.queue, key="same", dedupe_key="same", concurrency_key="same")["task_id"] == one
        assert submit(client, worker.queue, 200, dedupe_key="same")["task_id"] == one
        tasks.add(one)
    assert len(tasks) == 3
    until(lambda: not sql(worker_url(worker), "SELECT FROM jobs WHERE queue = %s AND NOT ready", worker.queue))
    assert {str(worker.claim().id) for _ in tasks} == tasks  # one at a time, of each owner


def worker_url(worker: HandWorker) -> str:
    return worker.db.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


def test_an_owner_limits_its_own_keys_and_the_operator_those_of_anyone(act_as: ActAs) -> None:
    alice, operator = act_as("alice"), act_as(None)
    for path, limit in (("concurrency-limits", {"max_running": 3}), ("rate-limits", {"max_starts": 3, "window_s": 60})):
        mine = alice.put(f"/{path}/mine", json=limit).json()
        assert mine.items() >= {"key": "mine", "owner": "alice", **limit}.items()
        assert operator.put(f"/{path}/mine", json=limit, params={"owner": "bob"}).json()["owner"] == "bob"
        assert operator.put(f"/{path}/mine", json=limit).json()["owner"] is None
        assert list(limits(alice, path)) == [("alice", "mine")]
        assert set(limits(operator, path)) == {("alice", "mine"), ("bob", "mine"), (None, "mine")}
        assert list(limits(operator, path, owner="bob")) == [("bob", "mine")]
        assert operator.delete(f"/{path}/mine", params={"owner": "alice"}).status_code == 204
        assert list(limits(alice, path)) == []


def limits(client: httpx.Client, path: str, **params: Any) -> Iterator[tuple[str | None, str]]:
    """The owner and key of each limit, read in pages of one."""
    after = ""
    while after is not None:
        page = client.get(f"/{path}", params={"limit": 1, "after": after, **params}).json()
        yield from ((item["owner"], item["key"]) for item in page["items"])
        after = page["next"]


def test_the_tasks_of_an_owner_share_one_turn(act_as: ActAs, worker: HandWorker) -> None:
    alice = act_as("alice")
    body = {"task_type": "echo", "input": {}, "fairness_key": "another"}
    assert refused(alice.post("/tasks", json=body)) == ["fairness_key"]
    flood = [submit(alice, worker.queue)["task_id"] for _ in range(3)]
    one = submit(act_as("bob"), worker.queue)["task_id"]
    ranks = {
        str(row["id"]): row["rank"]
        for row in sql(worker_url(worker), "SELECT id, rank FROM jobs WHERE queue = %s", worker.queue)
    }
    assert sorted(ranks, key=ranks.__getitem__).index(one) < 2, "behind one task of the flood at most"
    assert set(ranks) == {*flood, one}


def test_a_task_is_run_retried_and_repeated_for_its_owner(act_as: ActAs, worker: HandWorker) -> None:
    alice, operator = act_as("alice"), act_as(None)
    task = submit(operator, worker.queue, owner="alice")["task_id"]
    claim = worker.claim()
    assert (str(claim.id), claim.owner) == (task, "alice")
    worker.fail(claim, "no")
    assert alice.post(f"/tasks/{task}/retry").json()["owner"] == "alice"
    made = operator.post("/schedules", json={"name": "on-behalf", "owner": "alice", **YEARLY}).json()
    assert alice.get("/schedules/on-behalf").json() == made
    assert operator.get("/schedules/on-behalf").status_code == 404
    here = f"/schedules/{made['schedule_id']}"
    assert operator.patch(here, json={"cron": "0 0 2 1 *"}).json()["owner"] == "alice"
    assert refused(operator.patch(here, json={"owner": "bob"})) == ["owner"]
    ran = operator.post(f"{here}/run").json()["task_id"]
    assert alice.get(f"/tasks/{ran}").json()["owner"] == "alice"
    batch = operator.post("/tasks:batch", json={"items": [{"task_type": "echo", "input": {}, "owner": "alice"}]}).json()
    assert alice.get(batch["items"][0]["task"]["links"]["self"]).json()["owner"] == "alice"
    assert alice.delete("/schedules/on-behalf").status_code == 200


def test_only_an_operator_with_the_scope_admin_submits_for_others(keyed: KeyedApi, act_as: ActAs) -> None:
    body = {"task_type": "echo", "input": {}, "owner": "alice"}
    for client, status in ((act_as(None, "submit"), 422), (act_as("bob"), 422), (act_as("alice", "submit"), 202)):
        answer = client.post("/tasks", json=body)
        assert answer.status_code == status, answer.text
        assert status == 202 or refused(answer) == ["owner"]


@pytest.mark.parametrize("owner", ["", "a\x1fb", "a\nb", "x" * 201])
def test_an_owner_is_a_name_without_control_characters(act_as: ActAs, owner: str) -> None:
    operator = act_as(None)
    for path, body in (
        ("/tasks", {"task_type": "echo", "input": {}, "owner": owner}),
        ("/keys", {"name": "x", "scopes": ["read"], "owner": owner}),
    ):
        assert refused(operator.post(path, json=body)) == ["owner"]


def test_no_key_of_a_client_reaches_into_the_keys_of_an_owner(act_as: ActAs) -> None:
    for name in ("concurrency_key", "rate_key", "fairness_key", "dedupe_key"):
        body = {"task_type": "echo", "input": {}, name: owned_keys.stored("alice", "key")}
        assert refused(act_as(None).post("/tasks", json=body)) == [name]


def test_a_stream_of_all_tasks_names_no_task_of_another_owner(act_as: ActAs, worker: HandWorker) -> None:
    alice, bob = act_as("alice"), act_as("bob")
    hers = {submit(alice, worker.queue)["task_id"]}
    with bob.stream("GET", "/events/stream") as response:
        events, said = EventSource(response).iter_sse(), ""
        start = next(events)
        hers.add(submit(alice, worker.queue)["task_id"])
        his = submit(bob, worker.queue)["task_id"]
        while his not in said:
            event = next(events)
            said += event.data
    assert not [task for task in hers if task in said]
    with bob.stream("GET", "/events/stream", params={"after": start.id}) as response:
        again = EventSource(response).iter_sse()
        next(again)
        assert his in next(event.data for event in again if event.event == "state")


def test_the_cursors_of_a_stream_name_no_task_of_another_owner(act_as: ActAs, worker: HandWorker) -> None:
    alice, bob = act_as("alice"), act_as("bob")
    with bob.stream("GET", "/events/stream") as response:
        start = next(EventSource(response).iter_sse()).id
    # one transaction, with more events than a page of the feed has
    items = [{"task_type": "echo", "input": {}, "queue": worker.queue}] * (PAGE_EVENTS + 1)
    made = alice.post("/tasks:batch", json={"items": items}).json()["items"]
    his = submit(bob, worker.queue)["task_id"]
    with bob.stream("GET", "/events/stream", params={"after": start}) as response:
        named = set()
        for event in EventSource(response).iter_sse():
            named.add(str(position("id", event.id).job_id))
            if event.event == "state":
                break
    assert his in named
    assert not named & {item["task"]["task_id"] for item in made}


def test_a_bulk_action_of_an_owner_as_a_task_of_its_own_changes_only_what_is_its_own(
    act_as: ActAs, worker: HandWorker
) -> None:
    alice, bob = act_as("alice"), act_as("bob")
    items = {"items": [{"task_type": "echo", "input": {}, "queue": worker.queue}] * 501}
    for client in (alice, alice, bob):
        assert client.post("/tasks:batch", json=items).status_code == 200
    action = alice.post("/tasks:cancel", json={"filter": {"queue": [worker.queue]}})
    assert action.status_code == 202, action.text
    here = action.headers["location"]
    assert bob.get(here).status_code == 404
    ended = alice.get(here, params={"wait": 60}).json()
    assert (ended["status"], ended["owner"], ended["result"]["changed"]) == ("SUCCESS", "alice", 1002)
    assert JobFilter.of_parameters(ended["input"]["filter"]).owner == "alice"
    assert bob.get("/tasks:count", params={"queue": worker.queue}).json()["counts"]["PENDING"]["count"] == 501


def test_why_names_only_tasks_of_the_same_owner(act_as: ActAs, worker: HandWorker) -> None:
    alice, bob, operator = act_as("alice"), act_as("bob"), act_as(None)
    operator.patch(f"/queues/{worker.queue}", json={"max_running": 1})
    submit(alice, worker.queue)
    worker.claim()
    task = submit(bob, worker.queue)["task_id"]
    why = bob.get(f"/tasks/{task}/why").json()
    assert (why["cause"], why["blocking"]) == ("queue_limit", [])
    assert len(operator.get(f"/tasks/{task}/why").json()["blocking"]) == 1
    blocked = [submit(bob, "elsewhere", concurrency_key="key")["task_id"] for _ in range(2)][1]
    assert "\x1f" not in bob.get(f"/tasks/{blocked}/why").text
