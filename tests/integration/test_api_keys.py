"""API keys over HTTP: who is let in, what each scope allows, and how soon a revoked key is refused."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import Any

import httpx
import pytest

from jobcore.models.api_keys import new_key
from jobcore.models.caller import Scope
from longrun_api.auth.sweep import SWEEP_S
from tests.integration.keyed import KeyedApi, unless_cut
from tests.processes import Stack
from tests.servers import execute
from tests.waiting import until

OPEN = {("get", "/healthz"), ("get", "/readyz")}
ECHO = {"task_type": "echo", "input": {}, "queue": "nobody"}


@pytest.fixture(scope="module")
def keyed(new_stack: Callable[[str], AbstractContextManager[Stack]]) -> Iterator[KeyedApi]:
    with new_stack("keyed") as stack:
        yield KeyedApi(stack, new_key())


def operations(api: KeyedApi) -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation of the OpenAPI document: method, path with values in it, and its description."""
    document = httpx.get(f"{api.url}/openapi.json", timeout=30).json()
    return [
        (method, re.sub(r"{\w+}", "01a20d81-31b7-76ab-b173-71d2561d351f", path), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_but_the_probes_refuses_a_request_without_credentials(keyed: KeyedApi) -> None:
    with keyed.client(None) as anyone:
        for method, path, _ in operations(keyed):
            response = anyone.request(method, path)
            if (method, path) in OPEN:
                assert response.status_code == 200
                continue
            assert response.status_code == 401, (method, path)
            assert response.headers["www-authenticate"] == 'Bearer realm="longrun"'
            assert response.json()["type"] == "urn:longrun:problem:unauthenticated"


def test_every_operation_declares_a_scope_and_refuses_callers_with_all_others(keyed: KeyedApi) -> None:
    without = {scope: keyed.caller(*(other for other in Scope if other not in (scope, Scope.ADMIN))) for scope in Scope}
    checked = set()
    for method, path, operation in operations(keyed):
        if (method, path) in OPEN:
            assert operation["security"] == []
            continue
        [scope] = {scope for way in operation["security"] for scopes in way.values() for scope in scopes}
        response = without[Scope(scope)].request(method, path)
        assert response.status_code == 403, (method, path, response.text)
        assert response.json()["type"] == "urn:longrun:problem:insufficient-scope"
        assert response.headers["www-authenticate"].endswith(f'error="insufficient_scope", scope="{scope}"')
        checked.add(scope)
    assert checked == set(Scope)
    for client in without.values():
        client.close()


def test_a_scope_allows_what_it_says(keyed: KeyedApi) -> None:
    with keyed.caller("submit") as submitter, keyed.caller("read") as reader, keyed.caller("cancel") as canceller:
        accepted = submitter.post("/tasks", json=ECHO)
        assert accepted.status_code == 202
        task = accepted.headers["location"]
        assert submitter.get(task).status_code == 403
        assert reader.get(task).json()["status"] == "PENDING"
        assert reader.delete(task).status_code == 403
        assert canceller.delete(task).status_code == 200
        assert reader.put("/rate-limits/x", json={"max_starts": 1, "window_s": 1}).status_code == 403
    with keyed.caller("operate") as operator:
        assert operator.put("/rate-limits/x", json={"max_starts": 1, "window_s": 1}).status_code == 200


def test_a_caller_that_may_not_read_does_not_get_the_ended_task_by_waiting(keyed: KeyedApi) -> None:
    headers = {"Idempotency-Key": "waits", "Prefer": "wait=1"}
    with keyed.caller("submit") as submitter, keyed.caller("submit", "read") as reader:
        accepted = submitter.post("/tasks", json=ECHO, headers=headers)
        assert keyed.admin.delete(accepted.headers["location"]).json()["status"] == "CANCELLED"
        assert reader.post("/tasks", json=ECHO, headers=headers).json()["input"] == {}
        again = submitter.post("/tasks", json=ECHO, headers=headers)
    assert (again.status_code, again.json()) == (202, accepted.json())
    assert "preference-applied" not in again.headers


def test_a_traced_submission_needs_the_scope_too(keyed: KeyedApi) -> None:
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with keyed.caller("read") as reader, keyed.client(None) as anyone:
        for path in ("/tasks", "/v1/tasks"):
            assert reader.post(path, json=ECHO, headers=headers).status_code == 403
            assert anyone.post(path, json=ECHO, headers=headers).status_code == 401


def forged(key_id: str) -> str:
    """A well-formed key with this id and another secret."""
    text = f"lr_{key_id}_{'A' * 43}"
    return text + sha256(text.encode()).hexdigest()[:8]


def changed(key: str, index: int) -> str:
    return key[:index] + ("A" if key[index] != "A" else "B") + key[index + 1 :]


def test_malformed_and_unknown_keys_get_one_answer_that_says_nothing_about_them(keyed: KeyedApi) -> None:
    made = keyed.make("read")
    expired = keyed.make("read", expires_in_s=0.001)["key"]
    revoked = keyed.make("read")
    assert keyed.admin.delete(f"/keys/{revoked['id']}").json()["revoked_at"]
    right = made["key"]
    tried = [
        *(new_key(), forged(made["id"]), expired, revoked["key"], changed(right, 20), changed(right, -1), right[:-1]),
        *(right + "x", right.upper(), f"{right} x", "x", "lr__", made["id"], "lr_" + "a" * 10_000, "é"),
    ]
    answers = set()
    for key in tried:
        response = httpx.get(f"{keyed.url}/tasks", headers=[(b"Authorization", f"Bearer {key}".encode("latin-1"))])
        assert response.status_code == 401, key
        assert 'error="invalid_token"' in response.headers["www-authenticate"], key
        answers.add(response.json()["detail"])
    [detail] = answers
    assert made["id"] not in detail
    assert httpx.get(f"{keyed.url}/tasks", headers={"Authorization": f"bEARER   {right}"}).status_code == 200


def test_other_schemes_and_repeated_headers_are_refused(keyed: KeyedApi) -> None:
    key = keyed.make("read")["key"]
    basic = httpx.get(f"{keyed.url}/tasks", headers={"Authorization": "Basic eDp5"})
    assert (basic.status_code, basic.headers["www-authenticate"]) == (401, 'Bearer realm="longrun"')
    twice = httpx.get(f"{keyed.url}/tasks", headers=[("Authorization", f"Bearer {key}")] * 2)
    assert twice.status_code == 400
    assert 'error="invalid_request"' in twice.headers["www-authenticate"]
    assert httpx.get(f"{keyed.url}/tasks", params={"access_token": key}).status_code == 401


def test_a_key_is_shown_once_and_only_its_hash_is_stored(keyed: KeyedApi) -> None:
    made = keyed.make("submit", "read", owner="ada", name="nightly")
    secret = made.pop("key")
    assert keyed.admin.get(f"/keys/{made['id']}").json() == made
    listed = keyed.admin.get("/keys", params={"limit": 500}).text
    assert made["id"] in listed
    [row] = execute(keyed.stack.database_url, f"SELECT api_keys::text FROM longrun.api_keys WHERE id = '{made['id']}'")
    for text in (listed, str(row), keyed.process.log()):
        assert secret not in text
        assert secret.rpartition("_")[2][:20] not in text


def test_keys_are_listed_newest_first_in_pages(keyed: KeyedApi) -> None:
    made = [keyed.make("read")["id"] for _ in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while len(seen) < 5:
        page = keyed.admin.get("/keys", params={"limit": 2, **after}).json()
        seen += [key["id"] for key in page["items"]]
        after = {"after": page["next"]}
    assert seen[:5] == made[::-1]


def test_an_admin_with_an_owner_has_the_keys_of_that_owner_only(keyed: KeyedApi) -> None:
    others = keyed.make("read", owner="grace")
    with keyed.caller("admin", owner="ada") as ada:
        refused = ada.post("/keys", json={"name": "x", "scopes": ["read"], "owner": "grace"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "owner")  # as POST /tasks says it
        mine = ada.post("/keys", json={"name": "x", "scopes": ["read"]}).json()
        assert mine["owner"] == "ada"
        assert {key["owner"] for key in ada.get("/keys").json()["items"]} == {"ada"}
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
            response = ada.request(method, f"/keys/{others['id']}{path}", json={} if method == "POST" else None)
            assert response.status_code == 404
        assert ada.delete(f"/keys/{mine['id']}").status_code == 200
    assert keyed.admin.get(f"/keys/{others['id']}").json()["revoked_at"] is None


def test_a_rotated_key_keeps_its_rights_and_the_old_one_ends(keyed: KeyedApi) -> None:
    old = keyed.make("read", owner="ada")
    new = keyed.admin.post(f"/keys/{old['id']}/rotate", json={"overlap_s": 3600}).json()
    assert (new["owner"], new["scopes"], new["name"]) == (old["owner"], old["scopes"], old["name"])
    for key in (old, new):
        with keyed.client(key["key"]) as client:
            assert client.get("/tasks").status_code == 200
    newest = keyed.admin.post(f"/keys/{new['id']}/rotate", json={}).json()
    with keyed.client(new["key"]) as client:
        until(lambda: unless_cut(lambda: client.get("/tasks").status_code == 401))
    with keyed.client(newest["key"]) as client:
        assert client.get("/tasks").status_code == 200
    assert keyed.admin.post(f"/keys/{new['id']}/rotate", json={}).status_code == 404


def test_a_revoked_key_is_refused_by_every_process_and_its_open_requests_end(keyed: KeyedApi) -> None:
    other = keyed.another()
    made = keyed.make("submit", "read")
    with keyed.client(made["key"]) as here, keyed.client(made["key"], other.url) as there:
        task = here.post("/tasks", json=ECHO).headers["location"]
        with here.stream("GET", f"{task}/stream") as one, there.stream("GET", "/events/stream") as all_events:
            assert one.status_code == all_events.status_code == 200
            begun = time.monotonic()
            keyed.admin.delete(f"/keys/{made['id']}").raise_for_status()
            for stream in (one, all_events):
                with pytest.raises(httpx.TransportError):
                    stream.read()
            assert time.monotonic() - begun < 24, "a keepalive ended the stream, not the revocation"
        for client in (here, there):
            assert client.get("/tasks").status_code == 401


def test_a_request_that_waits_is_cut_off_when_its_key_expires(keyed: KeyedApi) -> None:
    task = keyed.admin.post("/tasks", json=ECHO).headers["location"]
    with keyed.caller("read", expires_in_s=SWEEP_S) as reader, pytest.raises(httpx.TransportError):
        reader.get(task, params={"wait": 50})


def test_a_stream_token_opens_streams_for_a_page_and_nothing_else(keyed: KeyedApi) -> None:
    reader = keyed.make("read")
    task = keyed.admin.post("/tasks", json=ECHO).headers["location"]
    with keyed.client(reader["key"]) as client, keyed.client(None) as page:
        made = client.post("/stream-tokens").json()
        assert reader["key"][-40:] not in made["token"]
        params = {"stream_token": made["token"]}
        for path in (f"{task}/stream", "/events/stream", f"/v1{task}/stream"):
            with page.stream("GET", path, params=params) as stream:
                assert stream.status_code == 200
        for method, path in (("GET", task), ("GET", "/rate-limits/x/stream"), ("POST", "/tasks"), ("DELETE", task)):
            assert page.request(method, path, params=params).status_code == 401
        said, _, signature = made["token"].partition(".")
        forged_tokens = [f"{said}.{said}", f"{signature}.{said}", said, f".{signature}", f"{said[:-1]}.{signature}"]
        for token in forged_tokens:
            assert page.get("/events/stream", params={"stream_token": token}).status_code == 401
        with page.stream("GET", f"{task}/stream", params=params) as stream:
            keyed.admin.delete(f"/keys/{reader['id']}").raise_for_status()
            with pytest.raises(httpx.TransportError):
                stream.read()
        assert page.get(f"{task}/stream", params=params).status_code == 401
