"""The audit log: every act of an operator or admin is in it, with what it changed, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import httpx
import psycopg2
import pytest

from jobcore.models.api_keys import new_key
from jobcore.models.caller import Scope
from longrun_api.auth.scopes import SAFE
from tests.integration.keyed import KeyedApi
from tests.processes import Stack
from tests.servers import execute

TICK: Final = {"name": "nightly", "cron": "0 0 1 1 *", "task": {"task_type": "echo", "input": {"password": "hunter2"}}}
KEY: Final = {"name": "reader", "scopes": ["read"]}
HOOK: Final = {"url": "https://example.com/hook"}
RATE: Final = {"max_starts": 3, "window_s": 1}


@pytest.fixture(scope="module")
def keyed(new_stack: Callable[[str], AbstractContextManager[Stack]]) -> Iterator[KeyedApi]:
    with new_stack("audited") as stack:
        yield KeyedApi(stack, new_key())


def log(api: KeyedApi, **params: str) -> list[dict[str, Any]]:
    """The newest entries, the oldest of them first."""
    answer = api.admin.get("/audit-log", params=params)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["items"]
    return entries[::-1]


def acts(api: KeyedApi) -> dict[str, tuple[str, str, Any]]:
    """How to do what each operation for operators and admins does: method, path and body, in an order that works."""
    key, hook = api.make("read")["id"], api.admin.post("/webhooks", json=HOOK).json()["webhook_id"]
    return {
        "changeQueue": ("PATCH", "/queues/audited", {"paused": True}),
        "deleteQueue": ("DELETE", "/queues/audited", None),
        "putLimit": ("PUT", "/concurrency-limits/a", {"max_running": 3}),
        "deleteLimit": ("DELETE", "/concurrency-limits/a", None),
        "putRateLimit": ("PUT", "/rate-limits/a", RATE),
        "deleteRateLimit": ("DELETE", "/rate-limits/a", None),
        "createSchedule": ("POST", "/schedules", TICK),
        "changeSchedule": ("PATCH", "/schedules/nightly", {"cron": "0 0 2 1 *"}),
        "pauseSchedule": ("POST", "/schedules/nightly/pause", None),
        "resumeSchedule": ("POST", "/schedules/nightly/resume", None),
        "runSchedule": ("POST", "/schedules/nightly/run", None),
        "deleteSchedule": ("DELETE", "/schedules/nightly", None),
        "putQuota": ("PUT", "/quotas/zed", {"submissions": 7}),
        "deleteQuota": ("DELETE", "/quotas/zed", None),
        "createKey": ("POST", "/keys", KEY),
        "rotateKey": ("POST", f"/keys/{key}/rotate", {}),
        "rotateWebhookSecret": ("POST", "/webhook-secrets", {}),
        "createWebhook": ("POST", "/webhooks", HOOK),
        "changeWebhook": ("PATCH", f"/webhooks/{hook}", {"filter": {"queue": ["audited"]}}),
        "rotateSecretOfWebhook": ("POST", f"/webhooks/{hook}/secrets", {}),
        "pingWebhook": ("POST", f"/webhooks/{hook}/ping", None),
        "deleteWebhook": ("DELETE", f"/webhooks/{hook}", None),
        "revokeKey": ("DELETE", f"/keys/{key}", None),
    }


def test_every_operation_of_operators_and_admins_leaves_an_entry(keyed: KeyedApi) -> None:
    document = httpx.get(f"{keyed.url}/openapi.json", timeout=30).json()
    demanded = {
        operation["operationId"]
        for methods in document["paths"].values()
        for method, operation in methods.items()
        if method.upper() not in SAFE
        and {Scope.OPERATE, Scope.ADMIN}
        & {scope for way in operation["security"] for one in way.values() for scope in one}
    }
    known = acts(keyed)
    assert demanded == set(known), "say here how to do it"
    for operation, (method, path, body) in known.items():
        id_ = f"request-{operation}"
        answer = keyed.admin.request(method, path, json=body, headers={"X-Request-Id": id_})
        assert answer.is_success, (operation, answer.text)
        entries = [entry for entry in log(keyed) if entry["request_id"] == id_]
        assert entries, f"{operation} left nothing in the audit log"
        for entry in entries:
            assert entry["actor"] == keyed.admin_key.split("_")[1]
            assert entry["address"] == "127.0.0.1"
            assert entry["act"].replace("_", "") == operation.lower()


def test_an_entry_has_the_settings_before_and_after_and_no_secret(keyed: KeyedApi) -> None:
    keyed.admin.patch("/queues/slow", json={"max_running": 1})
    keyed.admin.patch("/queues/slow", json={"max_running": 2, "paused": True})
    keyed.admin.patch("/queues/slow", json={"paused": True})  # changes nothing
    first, second = log(keyed, subject="slow")
    rates = {"max_starts": None, "window_s": None}
    assert (first["kind"], first["before"]) == ("queue", None)
    assert first["after"] == second["before"] == {"paused": False, "max_running": 1, **rates}
    assert second["after"] == {"paused": True, "max_running": 2, **rates}

    schedule = keyed.admin.post("/schedules", json=TICK | {"name": "secretive"}).json()["schedule_id"]
    changed = {"task": {"input": {"password": "hunter3"}}}
    assert keyed.admin.patch(f"/schedules/{schedule}", json=changed).is_success
    made, altered = log(keyed, subject=schedule)
    assert made["after"]["name"] == "secretive"
    assert made["after"]["task"]["input_sha256"] != altered["after"]["task"]["input_sha256"]
    key = keyed.make("read", name="told")
    assert [entry["after"]["name"] for entry in log(keyed, subject=key["id"])] == ["told"]
    everything = keyed.admin.get("/audit-log", params={"limit": 500}).text
    assert "hunter" not in everything
    assert key["key"] not in everything
    assert "secret_hash" not in everything


def test_the_bootstrap_key_is_the_first_entry_and_refused_acts_leave_none(keyed: KeyedApi) -> None:
    before = len(keyed.admin.get("/audit-log", params={"limit": 500}).json()["items"])
    assert keyed.admin.patch("/queues/slow", json={"max_running": -1}).status_code == 422
    assert keyed.admin.delete("/queues/unheard-of").status_code == 404
    with keyed.caller("read") as reader:
        assert reader.patch("/queues/slow", json={"paused": True}).status_code == 403
        assert reader.get("/audit-log").status_code == 403
    after = keyed.admin.get("/audit-log", params={"limit": 500}).json()["items"]
    assert len(after) == before + 1, "the key of the reader"
    assert (after[-1]["act"], after[-1]["actor"]) == ("store_bootstrap_key", "LONGRUN_BOOTSTRAP_KEY")


def test_an_owner_reads_of_acts_on_its_own_things_only(keyed: KeyedApi) -> None:
    with keyed.caller("admin", owner="ada") as ada, keyed.caller("admin", owner="bob") as bob:
        assert ada.put("/rate-limits/mine", json=RATE).is_success
        assert keyed.admin.put("/rate-limits/mine", json=RATE | {"max_starts": 4}, params={"owner": "ada"}).is_success
        assert ada.post("/schedules", json=TICK).is_success
        seen = [
            (entry["kind"], entry["actor_owner"], entry["owner"]) for entry in ada.get("/audit-log").json()["items"]
        ]
        assert seen == [
            ("schedule", "ada", "ada"),
            ("rate_limit", None, "ada"),
            ("rate_limit", "ada", "ada"),
            ("key", None, "ada"),
        ]
        assert [entry["kind"] for entry in bob.get("/audit-log").json()["items"]] == ["key"]
        assert bob.get("/audit-log", params={"owner": "ada"}).status_code == 422
        assert [entry["subject"] for entry in ada.get("/audit-log", params={"subject": "mine"}).json()["items"]] == [
            "mine",
            "mine",
        ]


def test_pages_lead_through_all_entries_once(keyed: KeyedApi) -> None:
    for count in range(1, 8):
        keyed.admin.patch("/queues/paged", json={"max_running": count})
    seen: list[int] = []
    params: dict[str, Any] = {"subject": "paged", "limit": 3, "actor": keyed.admin_key.split("_")[1]}
    while True:
        page = keyed.admin.get("/audit-log", params=params).json()
        seen += [entry["after"]["max_running"] for entry in page["items"]]
        if page["next"] is None:
            break
        params["after"] = page["next"]
    assert seen == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
def test_the_database_refuses_to_change_entries(keyed: KeyedApi, statement: str) -> None:
    keyed.admin.patch("/queues/kept", json={"paused": True})
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="only grows"):
        execute(keyed.stack.database_url, f"SET search_path = longrun; {statement}")
    assert log(keyed, subject="kept")
