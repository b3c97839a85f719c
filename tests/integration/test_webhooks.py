"""Webhooks: events of tasks reach a receiver, signed, whatever it answers; and no other address."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import anyio
import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from typer.testing import CliRunner

from longrun_client import AsyncLongrun, Longrun
from longrun_client.cli import app as cli
from longrun_client.models_webhooks import TaskWebhook
from tests.integration.keyed import KeyedApi
from tests.integration.receiver import Receiver
from tests.servers import execute
from tests.waiting import until

ActAs = Callable[..., httpx.Client]
GONE: Final = 410
HOUR_S: Final = 3600
MOVE: Final = """
UPDATE longrun.jobs SET run_at = now() FROM (SELECT id, run_at AS next_at FROM longrun.jobs FOR UPDATE) AS old
WHERE old.id = jobs.id AND task_type = 'longrun.webhook' AND status = 'PENDING' AND NOT ready AND owner = %s
    AND run_at > now()
RETURNING extract(epoch FROM next_at - now())
"""
SETTINGS: Final = {"LONGRUN_WEBHOOK_TIMEOUT_S": "5"}


@pytest.fixture(scope="module")
def receiver(keyed: KeyedApi) -> Iterator[Receiver]:
    """A receiver that the operator allows, a worker, and the one that delivers to it."""
    receiver = Receiver()
    keyed.stack.worker()
    keyed.stack.scraper(env={**SETTINGS, "LONGRUN_WEBHOOK_ALLOW": f"{receiver.host_port},{receiver.other_name}"})
    yield receiver
    receiver.close()


def submitted(client: httpx.Client, url: str, input: dict[str, Any] | None = None, **fields: Any) -> str:
    """The id of a task whose webhook has this URL."""
    webhook = {"url": url, **({"events": fields.pop("events")} if "events" in fields else {})}
    body = {"task_type": "echo", "input": input or {}, "webhook": webhook, **fields}
    answer = client.post("/tasks", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def delivery(client: httpx.Client, task_id: str, **wanted: Any) -> dict[str, Any]:
    """The one delivery of a task, once it has these values."""

    def listed() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = client.get(f"/tasks/{task_id}/deliveries").raise_for_status().json()["items"]
        return items

    def found() -> dict[str, Any] | None:
        items = listed()
        assert len(items) < 2
        return items[0] if items and {**items[0], **wanted} == items[0] else None

    return until(found, what=lambda: f"{wanted} of {listed()}, {client.get(f'/tasks/{task_id}').text}", poll_s=0.1)


def test_the_end_of_a_task_is_delivered_signed_with_both_live_secrets(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("alice")
    old = client.get("/webhook-secrets").json()["items"][0]["secret"]
    new = client.post("/webhook-secrets", json={"overlap_s": 600}).json()["items"][0]["secret"]
    task_id = submitted(client, f"http://{receiver.host_port}/both/200", {"n": 1e16, "text": "ä"}, metadata={"k": 1})
    sent = delivery(client, task_id, status="SUCCESS", status_code=200, attempts=1, type="task.success")
    ((headers, body),) = receiver.at("/both/200")
    for secret in (old, new):
        payload = Webhook(secret).verify(body, headers)
    assert headers["webhook-id"] == sent["delivery_id"]
    assert payload["type"] == "task.success"
    task = client.get(f"/tasks/{task_id}").json()
    assert payload["data"]["seq"] == sent["seq"] == task["seq"]
    assert payload["data"]["result"] == task["result"] == {"n": 1e16, "text": "ä"}
    assert payload["data"]["metadata"] == {"k": 1}
    assert '"n": 1e+16' in body.replace('"n":', '"n": ')
    assert payload["data"]["finished_at"].startswith(task["finished_at"].removesuffix("Z")[:23])
    client.post("/webhook-secrets", json={"overlap_s": 0})
    after = submitted(client, f"http://{receiver.host_port}/rotated/200")
    delivery(client, after, status="SUCCESS")
    ((headers, body),) = receiver.at("/rotated/200")
    for secret in (old, new):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)


def test_a_large_result_is_left_out_and_named(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("alice")
    tags = ["\x01" * 64] * 20
    task_id = submitted(
        client, f"http://{receiver.host_port}/large/200", {"x": "y" * 9000}, tags=tags, metadata={"m": "x" * 3000}
    )
    delivery(client, task_id, status="SUCCESS")
    ((_, body),) = receiver.at("/large/200")
    payload = json.loads(body)
    assert len(body.encode()) <= 20 * 1024
    assert payload["data"]["omitted"] == ["result", "metadata"]
    assert payload["data"]["result"] is None
    assert client.get(payload["data"]["self"]).json()["result"]["x"] == "y" * 9000


def test_a_receiver_that_fails_gets_the_same_message_again_when_it_asked_for_it(
    receiver: Receiver, act_as: ActAs
) -> None:
    client = act_as("alice")
    task_id = submitted(client, f"http://{receiver.host_port}/again/soon")
    delivery(client, task_id, status="SUCCESS", attempts=2, status_code=204)
    (one, first), (two, second) = receiver.at("/again/soon")
    assert (one["webhook-id"], first) == (two["webhook-id"], second)
    assert int(one["webhook-timestamp"]) <= int(two["webhook-timestamp"])


def test_a_receiver_that_is_gone_gets_nothing_again_until_a_client_retries(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("alice")
    task_id = submitted(client, f"http://{receiver.host_port}/gone/{GONE}")
    sent = delivery(client, task_id, status="FAILED", status_code=GONE, attempts=1)
    assert "wants no more events" in sent["error"]
    assert client.post(f"/tasks/{sent['delivery_id']}/retry").status_code == 202
    delivery(client, task_id, status="FAILED", attempts=2)
    assert len(receiver.at(f"/gone/{GONE}")) == 2


def test_what_a_receiver_missed_in_an_hour_arrives_once_it_is_up_again(
    receiver: Receiver, act_as: ActAs, keyed: KeyedApi
) -> None:
    client, url, missed_s, attempts = act_as("dan"), keyed.stack.database_url, 0.0, 0
    ids = [submitted(client, f"http://{receiver.host_port}/outage/up") for _ in range(4)]
    while not receiver.up.is_set():
        attempts += 1
        [sent, *_] = [delivery(client, task_id, status="PENDING", attempts=attempts) for task_id in ids]
        assert sent["status_code"] == 503
        if missed_s >= HOUR_S:
            receiver.up.set()
        # the clock moves to the next attempt
        moved = execute(url, MOVE, "dan")
        assert len(moved) == len(ids)
        missed_s += min(float(waited_s) for (waited_s,) in moved)
    sent_ids = [delivery(client, task_id, status="SUCCESS", status_code=200)["delivery_id"] for task_id in ids]
    secret = client.get("/webhook-secrets").json()["items"][0]["secret"]
    last = {headers["webhook-id"]: (headers, body) for headers, body in receiver.at("/outage/up")}
    assert {Webhook(secret).verify(body, headers)["data"]["task_id"] for headers, body in last.values()} == set(ids)
    assert last.keys() == set(sent_ids)
    # a recorded message is refused later, and cannot be made younger
    headers, body = last[sent_ids[0]]
    for moved_by in (-HOUR_S, 1):
        replayed = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + moved_by)}
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, replayed)


@pytest.mark.parametrize("how", ["500", "404", "redirect"])
def test_what_is_not_accepted_is_tried_again_and_no_redirect_is_followed(
    receiver: Receiver, act_as: ActAs, how: str
) -> None:
    client = act_as("alice")
    task_id = submitted(client, f"http://{receiver.host_port}/bad/{how}")
    sent = delivery(client, task_id, status="PENDING", attempts=1, status_code=307 if how == "redirect" else int(how))
    assert sent["next_at"] > sent["created_at"]
    assert receiver.at("/behind/200") == []


def test_no_address_of_the_operators_network_is_reached(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("alice")
    for url in ("http://127.0.0.1:1/", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/"):
        sent = delivery(client, submitted(client, url), status="FAILED", attempts=1, status_code=None)
        assert "only the public internet may be reached" in sent["error"]


def test_a_receiver_that_hangs_delays_no_other_and_gets_eight_at_once(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("alice")

    def sending() -> int:
        wanted = {"task_type": "longrun.webhook", "status": "RUNNING"}
        count: int = client.get("/tasks:count", params=wanted).json()["counts"]["RUNNING"]["count"]
        return count

    hanging = [submitted(client, f"http://{receiver.host_port}/stuck/hang") for _ in range(20)]
    until(lambda: len(receiver.at("/stuck/hang")) > 2)
    assert sending() <= 8
    delivery(client, submitted(client, f"http://{receiver.other_name}/quick/200"), status="SUCCESS", attempts=1)
    assert sending() <= 8
    states = [delivery(client, task_id)["status"] for task_id in hanging]
    assert "SUCCESS" not in states
    sent = delivery(client, hanging[0], attempts=1, status_code=None, status="PENDING")
    assert "longer than 5 s" in sent["error"]
    receiver.hold.set()


def test_both_clients_and_the_command_give_webhooks_and_show_deliveries(receiver: Receiver, keyed: KeyedApi) -> None:
    key, url = keyed.make("admin", owner="carol")["key"], f"http://{receiver.host_port}/clients/200"
    command = partial(CliRunner().invoke, cli, env={"LONGRUN_API_KEY": key, "LONGRUN_URL": keyed.url, "COLUMNS": "200"})
    said = command(["submit", "echo", "--n", "1", "--webhook", url, "--webhook-event", "task.running", "--json"])
    task_id = json.loads(said.stdout.splitlines()[0])["task_id"]
    with Longrun(keyed.url, api_key=key) as client:
        assert client.get(task_id).webhook == TaskWebhook(url=url, events=("task.running",))
        (sent,) = until(lambda: [each for each in client.deliveries(task_id) if each.status == "SUCCESS"])
        ((headers, body),) = receiver.at("/clients/200")
        Webhook(client.webhook_secrets()[0].secret).verify(body, headers)
        old = client.webhook_secrets()
        assert client.rotate_webhook_secret(overlap_s=60)[1].secret == old[0].secret
        assert client.validate("echo", {}, webhook={"url": url}).task_type == "echo"

    async def ask() -> None:
        async with AsyncLongrun(keyed.url, api_key=key) as client:
            assert await client.deliveries(task_id) == (sent,)
            assert len(await client.webhook_secrets()) == 2
            assert len(await client.rotate_webhook_secret(overlap_s=0)) == 1

    anyio.run(ask)
    assert f"{sent.delivery_id}  task.running  SUCCESS" in command(["webhooks", "deliveries", task_id]).stdout
    shown = json.loads(command(["webhooks", "secrets", "--json"]).stdout)
    assert shown["secret"] not in {each.secret for each in old}
    assert "whsec_" in command(["webhooks", "rotate-secret", "--overlap-s", "0"]).stdout


def test_other_events_are_sent_if_asked_for_and_only_those(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("alice")
    task_id = submitted(client, f"http://{receiver.host_port}/began/200", events=["task.running"])
    sent = delivery(client, task_id, status="SUCCESS", type="task.running")
    task = client.get(f"/tasks/{task_id}?wait=30").json()
    assert sent["seq"] < task["seq"]
    assert task["webhook"] == {
        "url": f"http://{receiver.host_port}/began/200",
        "events": ["task.running"],
        "format": "standard",
    }
    assert len(client.get(f"/tasks/{task_id}/deliveries").json()["items"]) == 1


def test_a_cancel_is_an_event_too(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("alice")
    task_id = submitted(client, f"http://{receiver.host_port}/cancel/200", delay_s=600)
    assert client.delete(f"/tasks/{task_id}").status_code == 200
    delivery(client, task_id, status="SUCCESS", type="task.cancelled")


@pytest.mark.parametrize("url", ["ftp://example.com/", "https://a:b@example.com/", "nothing"])
def test_a_url_that_cannot_be_asked_for_is_refused(keyed: KeyedApi, url: str) -> None:
    body = {"task_type": "echo", "input": {}, "webhook": {"url": url}}
    for path, sent in (("/tasks", body), ("/tasks:batch", {"items": [body]})):
        answer = keyed.admin.post(path, json=sent)
        assert answer.status_code == 422
        assert "webhook.url" in answer.text


def test_nobody_submits_a_delivery(keyed: KeyedApi) -> None:
    forged = {"url": "https://example.com/", "type": "task.success", "seq": 1, "body": "{}"}
    answer = keyed.admin.post("/tasks", json={"task_type": "longrun.webhook", "input": forged})
    assert answer.status_code == 422
    assert "longrun.webhook" not in keyed.admin.get("/task-types").text


def test_only_an_admin_reads_the_secrets_and_those_of_its_owner(act_as: ActAs) -> None:
    assert act_as("alice", "read", "submit", "operate").get("/webhook-secrets").status_code == 403
    alices, bobs = (act_as(owner).get("/webhook-secrets").json()["items"][0]["secret"] for owner in ("alice", "bob"))
    assert alices != bobs
