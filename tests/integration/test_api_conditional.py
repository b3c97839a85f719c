"""Conditional requests (RFC 9110, section 13): who has the document gets 304, and no change is overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import problem

Submit = Callable[..., str]


def test_a_task_is_sent_again_only_when_it_has_changed(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    tags = [api.get(here).headers["etag"]]

    def changed() -> bool:
        response = api.get(here, headers={"if-none-match": tags[-1]})
        if response.status_code == 304:
            assert response.content == b""
            assert response.headers["etag"] == tags[-1]
            return False
        tags.append(response.headers["etag"])
        return True

    assert not changed()
    claim = worker.claim()
    assert changed()
    assert not changed()
    worker.log(claim, "a line moves `seq`")
    assert changed()
    assert api.delete(here).status_code == 202
    assert changed()
    worker.stopped(claim.id, claim.fence, "cooperative")
    assert changed(), "the receipt of the cancel is complete, and no event says so"
    assert not changed()
    assert len(set(tags)) == len(tags)
    assert all(tag.startswith('"') for tag in tags)


@pytest.mark.parametrize(
    ("known", "status"),
    [("{tag}", 304), ("W/{tag}", 304), ('"x", W/{tag} ,"y"', 304), ("*", 304), ('"x"', 200), ("x", 200)],
)
def test_any_form_of_the_tag_that_a_client_has_counts(
    api: httpx.Client, submit: Submit, known: str, status: int
) -> None:
    here = submit()
    tag = api.get(here).headers["etag"]
    assert api.get(here, headers={"if-none-match": known.format(tag=tag)}).status_code == status
    assert api.head(here, headers={"if-none-match": known.format(tag=tag)}).status_code == status


def test_the_tags_of_several_headers_count_together(api: httpx.Client, submit: Submit) -> None:
    here = submit()
    tag = api.get(here).headers["etag"]
    assert api.get(here, headers=[("if-none-match", '"x"'), ("if-none-match", tag)]).status_code == 304


def test_who_waits_and_knows_the_document_hears_that_nothing_has_changed(api: httpx.Client, submit: Submit) -> None:
    here = submit()
    tag = api.get(here).headers["etag"]
    response = api.get(here, params={"wait": 1}, headers={"if-none-match": tag})
    assert (response.status_code, response.content) == (304, b"")


def test_a_cache_keeps_a_task_for_one_user_and_asks_each_time(api: httpx.Client, submit: Submit) -> None:
    assert api.get(submit()).headers["cache-control"] == "private, no-cache"


def test_who_wants_another_version_of_a_task_is_refused(api: httpx.Client, submit: Submit) -> None:
    here = submit()
    problem(api.get(here, headers={"if-match": '"x"'}), 412, "precondition-failed")
    assert api.get(here, headers={"if-match": api.get(here).headers["etag"]}).status_code == 200


@pytest.fixture
def schedule(api: httpx.Client) -> Iterator[str]:
    """The path of a schedule."""
    body = {"name": "conditional", "cron": "@yearly", "task": {"task_type": "echo", "input": {}}}
    response = api.post("/schedules", json=body)
    assert response.status_code == 201, response.text
    yield response.headers["location"]
    api.delete(response.headers["location"])


@pytest.fixture(params=["queue", "schedule"])
def resource(request: pytest.FixtureRequest, worker: HandWorker, schedule: str) -> str:
    """The path of something that can be paused by PATCH."""
    return schedule if request.param == "schedule" else f"/queues/{worker.queue}"


def patch(api: httpx.Client, path: str, paused: bool, tag: str) -> httpx.Response:
    return api.patch(path, json={"paused": paused}, headers={"if-match": tag})


def test_a_change_by_if_match_does_not_overwrite_another(api: httpx.Client, resource: str) -> None:
    api.patch(resource, json={"paused": False})
    tag = api.get(resource).headers["etag"]
    changed = patch(api, resource, True, tag)
    assert (changed.status_code, changed.json()["paused"]) == (200, True)
    document = problem(patch(api, resource, False, tag), 412, "precondition-failed")
    assert "get it again" in document["detail"]
    assert api.get(resource).json()["paused"] is True
    assert patch(api, resource, False, f'"x", {changed.headers["etag"]}').status_code == 200
    assert patch(api, resource, True, "*").status_code == 200


@pytest.mark.parametrize("tag", ['"x"', "W/{tag}", "x", ""])
def test_a_tag_that_is_not_this_strong_one_changes_nothing(api: httpx.Client, resource: str, tag: str) -> None:
    api.patch(resource, json={"paused": False})
    current = api.get(resource).headers["etag"]
    problem(patch(api, resource, True, tag.format(tag=current)), 412, "precondition-failed")
    assert api.get(resource).json()["paused"] is False


def test_of_two_changes_by_the_same_tag_one_wins(api: httpx.Client, resource: str) -> None:
    for _ in range(5):
        paused = not api.get(resource).json()["paused"] if resource.startswith("/schedules") else False
        tag = api.patch(resource, json={"paused": not paused}).headers["etag"]
        with ThreadPoolExecutor() as threads:
            both = [threads.submit(patch, api, resource, paused, tag) for _ in range(2)]
            assert sorted(each.result().status_code for each in both) == [200, 412]


def test_a_get_of_what_has_not_changed_is_304(api: httpx.Client, resource: str) -> None:
    api.patch(resource, json={"paused": False})
    tag = api.get(resource).headers["etag"]
    assert api.get(resource, headers={"if-none-match": tag}).status_code == 304
    api.patch(resource, json={"paused": True})
    assert api.get(resource, headers={"if-none-match": tag}).status_code == 200


def test_the_counts_of_a_queue_change_its_tag_and_hinder_no_change(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    path = f"/queues/{worker.queue}"
    api.patch(path, json={"paused": False})
    tag = api.get(path).headers["etag"]
    submit()
    assert api.get(path, headers={"if-none-match": tag}).status_code == 200
    assert patch(api, path, True, tag).status_code == 200


def test_a_queue_that_does_not_exist_has_no_version(api: httpx.Client) -> None:
    problem(patch(api, "/queues/never-seen", True, "*"), 412, "precondition-failed")
    assert api.get("/queues/never-seen").status_code == 404


@pytest.mark.parametrize(("method", "action"), [("DELETE", ""), ("POST", "/pause"), ("POST", "/run")])
def test_other_changes_of_a_schedule_honour_if_match_too(
    api: httpx.Client, schedule: str, method: str, action: str
) -> None:
    tag = api.get(schedule).headers["etag"]
    stale = api.request(method, schedule + action, headers={"if-match": '"x"'})
    problem(stale, 412, "precondition-failed")
    assert api.get(schedule).headers["etag"] == tag
    assert api.request(method, schedule + action, headers={"if-match": tag}).is_success
