"""Conditional requests (RFC 9110, section 13): who has the document gets 304, and no change is overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable

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
