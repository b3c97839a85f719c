"""Subscriptions: events of the tasks of an owner that match, signed with secrets of their own, until nobody listens."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import anyio
import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError
from typer.testing import CliRunner

from longrun_client import AsyncLongrun, Longrun
from longrun_client.cli import app as cli
from tests.integration.keyed import KeyedApi
from tests.integration.receiver import Receiver
from tests.servers import execute
from tests.waiting import until

ActAs = Callable[..., httpx.Client]
CREATED: Final = 201
GONE: Final = 410


@pytest.fixture(scope="module")
def receiver(keyed: KeyedApi) -> Iterator[Receiver]:
    """A receiver that the operator allows, a worker, and the one that delivers to it."""
    receiver = Receiver()
    keyed.stack.worker()
    keyed.stack.scraper(env={"LONGRUN_WEBHOOK_ALLOW": f"{receiver.host_port},{receiver.other_name}"})
    yield receiver
    receiver.close()


def made(client: httpx.Client, url: str, **fields: Any) -> dict[str, Any]:
    """A new subscription."""
    answer = client.post("/webhooks", json={"url": url, **fields})
    assert answer.status_code == CREATED, answer.text
    webhook: dict[str, Any] = answer.json()
    return webhook


def ended(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """A task that has ended."""
    task = client.post("/tasks", json={"task_type": "echo", "input": {"n": 1}, **fields}).raise_for_status().json()

    def is_over() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get(f"/tasks/{task['task_id']}").raise_for_status().json()
        return found if found["status"] == "SUCCESS" else None

    return until(is_over)


def deliveries(client: httpx.Client, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    """Those to a subscription, newest first."""
    items: list[dict[str, Any]] = (
        client.get(f"/webhooks/{webhook['webhook_id']}/deliveries").raise_for_status().json()["items"]
    )
    return items


def settled(client: httpx.Client, webhook: dict[str, Any], count: int = 1, **wanted: Any) -> list[dict[str, Any]]:
    """Its deliveries, once there are so many and each has these values."""

    def found() -> list[dict[str, Any]] | None:
        items = deliveries(client, webhook)
        return items if len(items) == count and all({**each, **wanted} == each for each in items) else None

    return until(found, what=lambda: f"{wanted} of {deliveries(client, webhook)}", poll_s=0.1)


def secret(client: httpx.Client, webhook: dict[str, Any]) -> str:
    """What its receiver verifies with."""
    return str(client.get(f"/webhooks/{webhook['webhook_id']}/secrets").json()["items"][0]["secret"])


def test_it_gets_the_events_of_its_owners_tasks_that_match_and_the_operators_gets_those_of_all(
    receiver: Receiver, act_as: ActAs
) -> None:
    alice, bob, operator = act_as("alice"), act_as("bob"), act_as(None)
    base = f"http://{receiver.host_port}"
    filter = {"task_type": ["echo"], "queue": ["default", "other"], "tag": ["a", "b"]}
    hers = made(alice, f"{base}/hers/200", filter=filter)
    everyones = made(operator, f"{base}/everyones/200", filter={"tag": ["a"]})
    assert hers["filter"] == filter
    tasks = [ended(client, tags=tags) for client in (alice, bob) for tags in (["a", "b", "c"], ["a"], [])]
    [sent] = settled(alice, hers, status="SUCCESS", status_code=200)
    assert (sent["task_id"], sent["type"]) == (tasks[0]["task_id"], "task.success")
    ((headers, body),) = receiver.at("/hers/200")
    payload = Webhook(secret(alice, hers)).verify(body, headers)
    assert payload["data"]["result"] == tasks[0]["result"]
    with pytest.raises(WebhookVerificationError):
        Webhook(alice.get("/webhook-secrets").json()["items"][0]["secret"]).verify(body, headers)
    all_sent = settled(operator, everyones, 4, status="SUCCESS")
    assert {each["task_id"] for each in all_sent} == {tasks[number]["task_id"] for number in (0, 1, 3, 4)}
    # what is sent to the operator is not for the owner of the task to see
    shown = alice.get(f"/tasks/{tasks[0]['task_id']}/deliveries").json()["items"]
    assert [each["webhook_id"] for each in shown] == [hers["webhook_id"]]
    for webhook, client in ((hers, alice), (everyones, operator)):
        assert client.delete(f"/webhooks/{webhook['webhook_id']}").is_success


def test_the_old_secret_signs_until_its_time_is_over(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("carol")
    webhook = made(client, f"http://{receiver.host_port}/rotated/200")
    old = secret(client, webhook)
    path = f"/webhooks/{webhook['webhook_id']}"
    new = client.post(f"{path}/secrets", json={"overlap_s": 600}).json()["items"][0]["secret"]
    client.post(f"{path}/ping").raise_for_status()
    settled(client, webhook, status="SUCCESS", type="webhook.ping")
    ((headers, body),) = receiver.at("/rotated/200")
    for live in (old, new):
        assert Webhook(live).verify(body, headers)["data"] == {"webhook_id": webhook["webhook_id"]}
    assert len(client.post(f"{path}/secrets", json={"overlap_s": 0}).json()["items"]) == 1


def test_v1a_is_verified_with_the_public_key_and_cloudevents_are_structured(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("dora")
    webhook = made(client, f"http://{receiver.host_port}/cloud/200", format="cloudevents", signature="v1a")
    task = ended(client)
    [sent] = settled(client, webhook, status="SUCCESS")
    ((headers, body),) = receiver.at("/cloud/200")
    kind, _, key = secret(client, webhook).partition("_")
    version, _, signature = headers["webhook-signature"].partition(",")
    assert (kind, version) == ("whpk", "v1a")
    public = Ed25519PublicKey.from_public_bytes(b64decode(key))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    public.verify(b64decode(signature), signed)
    with pytest.raises(InvalidSignature):
        public.verify(b64decode(signature), signed + b" ")
    assert headers["Content-Type"] == "application/cloudevents+json"
    event = json.loads(body)
    assert event.pop("data")["task_id"] == task["task_id"]
    assert event.pop("time").startswith("20")
    assert event == {
        "specversion": "1.0",
        "id": sent["delivery_id"],
        "source": "/tasks",
        "type": "task.success",
        "subject": task["task_id"],
        "datacontenttype": "application/json",
    }


def test_a_message_is_sent_once_more_under_its_id_also_after_success(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("erin")
    webhook = made(client, f"http://{receiver.host_port}/again/200")
    task = ended(client)
    [first] = settled(client, webhook, status="SUCCESS")
    for _ in range(2):
        newest = deliveries(client, webhook)[0]["delivery_id"]
        answer = client.post(f"/tasks/{newest}/redeliver")
        assert answer.status_code == 202, answer.text
    settled(client, webhook, 3, status="SUCCESS", seq=first["seq"], task_id=task["task_id"])
    assert {(headers["webhook-id"], body) for headers, body in receiver.at("/again/200")} == {
        (first["delivery_id"], receiver.at("/again/200")[0][1])
    }
    assert len(receiver.at("/again/200")) == 3
    assert client.post(f"/tasks/{task['task_id']}/redeliver").status_code == 409


def test_after_days_of_failure_it_is_disabled_the_others_are_told_and_it_can_be_enabled_again(
    receiver: Receiver, act_as: ActAs, keyed: KeyedApi
) -> None:
    client, base = act_as("fay"), f"http://{receiver.host_port}"
    failing = made(client, f"{base}/down/500", filter={"tag": ["down"]})
    watching = made(client, f"{base}/watching/200", events=["webhook.disabled"])
    path = f"/webhooks/{failing['webhook_id']}"
    ended(client, tags=["down"])
    until(lambda: client.get(path).json()["failing_since"])
    assert client.get(path).json()["enabled"]
    move = "UPDATE longrun.webhooks SET failing_since = now() - interval '6 days' WHERE id = %s RETURNING id"
    assert execute(keyed.stack.database_url, move, failing["webhook_id"])
    second = ended(client, tags=["down"])
    disabled = until(lambda: (found := client.get(path).json())["disabled_at"] and found)
    assert disabled["disabled_reason"] == (
        "no delivery has succeeded for 5 days; the last one: the receiver answered 500"
    )
    assert client.get("/audit-log").json()["items"][0]["act"] == "disable_webhook"
    [told] = settled(client, watching, status="SUCCESS", type="webhook.disabled", task_id=None)
    ((headers, body),) = receiver.at("/watching/200")
    data = Webhook(secret(client, watching)).verify(body, headers)["data"]
    assert (data["webhook_id"], data["reason"]) == (failing["webhook_id"], disabled["disabled_reason"])
    assert told["webhook_id"] == watching["webhook_id"]
    # events of a disabled one are not sent, and what waited for its next attempt fails
    ended(client, tags=["down"])
    waiting = deliveries(client, failing)
    assert len(waiting) == 2
    healed = f"{base}/healed/200"
    assert client.patch(path, json={"url": healed, "enabled": True}).json()["disabled_reason"] is None
    [mine] = [each for each in waiting if each["task_id"] == second["task_id"]]
    client.post(f"/tasks/{mine['delivery_id']}/redeliver").raise_for_status()
    until(lambda: receiver.at("/healed/200"))
    until(lambda: client.get(path).json()["failing_since"] is None)


def test_a_receiver_that_is_gone_is_disabled_at_once(receiver: Receiver, act_as: ActAs) -> None:
    client = act_as("gus")
    webhook = made(client, f"http://{receiver.host_port}/gone/{GONE}")
    ended(client)
    [sent] = settled(client, webhook, status="FAILED", status_code=GONE, attempts=1)
    found = client.get(f"/webhooks/{webhook['webhook_id']}").json()
    assert (found["enabled"], found["disabled_reason"]) == (False, sent["error"])


def test_what_waits_goes_to_the_new_url_and_fails_once_it_is_deleted(receiver: Receiver, act_as: ActAs) -> None:
    client, base = act_as("hal"), f"http://{receiver.host_port}"
    webhook = made(client, f"{base}/moved/503")
    path = f"/webhooks/{webhook['webhook_id']}"
    ended(client)
    [sent] = settled(client, webhook, status="PENDING", status_code=503)
    client.patch(path, json={"url": f"{base}/new/200"}).raise_for_status()
    settled(client, webhook, status="SUCCESS")
    assert receiver.at("/new/200")[0][0]["webhook-id"] == sent["delivery_id"]
    assert client.delete(path).json()["webhook_id"] == webhook["webhook_id"]
    assert client.get(path).status_code == 404
    client.post(f"/tasks/{sent['delivery_id']}/redeliver").raise_for_status()
    found = until(
        lambda: [each for each in client.get(f"/tasks/{sent['task_id']}/deliveries").json()["items"] if each["error"]]
    )
    assert found[0]["error"] == "the webhook was deleted"
    assert found[0]["status"] == "FAILED"


def test_messages_of_a_webhook_itself_count_for_no_quota(receiver: Receiver, act_as: ActAs, keyed: KeyedApi) -> None:
    client = act_as("kim")
    keyed.admin.put("/quotas/kim", json={"queued": 1}).raise_for_status()
    client.post("/tasks", json={"task_type": "echo", "input": {}, "delay_s": 600}).raise_for_status()
    webhook = made(client, f"http://{receiver.host_port}/quota/200")
    client.post(f"/webhooks/{webhook['webhook_id']}/ping").raise_for_status()
    settled(client, webhook, status="SUCCESS", task_id=None)


def test_what_cannot_be_a_webhook_is_refused_and_an_owner_has_fifty(act_as: ActAs) -> None:
    client, url = act_as("ivy"), "https://example.com/hook"
    for wrong in (
        {"url": "ftp://example.com/"},
        {"url": url, "events": []},
        {"url": url, "events": ["task.unheard"]},
        {"url": url, "filter": {"queue": ["No"]}},
        {"url": url, "filter": {"tag": ["\0"]}},
        {"url": url, "owner": "alice"},
        {"url": url, "signature": "v2"},
    ):
        assert client.post("/webhooks", json=wrong).status_code == 422, wrong
    ids = {made(client, url, enabled=False)["webhook_id"] for _ in range(50)}
    refused = client.post("/webhooks", json={"url": url})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:longrun:problem:too-many-webhooks")
    page = client.get("/webhooks", params={"limit": 30}).json()
    rest = client.get("/webhooks", params={"cursor": page["next"]}).json()
    assert {each["webhook_id"] for each in page["items"] + rest["items"]} == ids
    assert rest["next"] is None


def test_both_clients_and_the_command_make_change_try_and_delete_them(receiver: Receiver, keyed: KeyedApi) -> None:
    key, url = keyed.make("admin", owner="joy")["key"], f"http://{receiver.host_port}/clients/200"
    command = partial(CliRunner().invoke, cli, env={"LONGRUN_API_KEY": key, "LONGRUN_URL": keyed.url, "COLUMNS": "300"})

    def told(*arguments: str) -> Any:
        done = command(["webhooks", *arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout.splitlines()[0])

    webhook_id = told("create", url, "--queue", "default", "--event", "task.failed", "--signature", "v1a")["webhook_id"]
    with Longrun(keyed.url, api_key=key) as client:
        [found] = client.webhooks()
        assert (found, found.signature, found.filter.queue) == (client.webhook(webhook_id), "v1a", ("default",))
        assert found.events == ("task.failed",)
        pinged = client.ping_webhook(webhook_id)
        [sent] = until(lambda: [each for each in client.webhook_deliveries(webhook_id) if each.status == "SUCCESS"])
        assert sent.delivery_id == pinged.delivery_id
        assert told("log", webhook_id)["status_code"] == 200
        assert told("redeliver", sent.delivery_id)["type"] == "webhook.ping"
        assert told("ping", webhook_id)["webhook_id"] == webhook_id
        assert told("change", webhook_id, "--tag", "a", "--format", "cloudevents")["filter"]["queue"] == []
        assert told("disable", webhook_id)["disabled_reason"] == "a client disabled it"
        assert "a client disabled it" in command(["webhooks"]).stdout
        assert told("enable", webhook_id)["enabled"]
        assert told("secrets", webhook_id)["secret"].startswith("whpk_")
        assert len(client.rotate_webhook_secret(webhook_id, overlap_s=60)) == 2

    async def ask() -> None:
        async with AsyncLongrun(keyed.url, api_key=key) as client:
            made = await client.create_webhook(url, filter={"task_type": ["echo"]}, idempotency_key="one")
            again = await client.create_webhook(url, filter={"task_type": ["echo"]}, idempotency_key="one")
            assert made == again
            assert [each.webhook_id async for each in client.webhooks()] == [made.webhook_id, webhook_id]
            assert (await client.change_webhook(made.webhook_id, enabled=False)).enabled is False
            assert (await client.redeliver(sent.delivery_id)).webhook_id == webhook_id
            await client.delete_webhook(made.webhook_id)

    anyio.run(ask)
    assert told("delete", webhook_id)["webhook_id"] == webhook_id
    assert command(["webhooks", "show", webhook_id]).exit_code != 0
