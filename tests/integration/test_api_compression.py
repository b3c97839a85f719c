"""Large JSON is compressed for clients that accept gzip, and nothing else is."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import httpx
import pytest

from longrun_api.compression import MIN_BYTES, accepts_gzip
from tests.integration.hand_worker import HandWorker

Submit = Callable[..., str]
GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


def raw(api: httpx.Client, path: str, headers: dict[str, str]) -> tuple[httpx.Response, bytes]:
    """A response and its bytes as they were sent."""
    with api.stream("GET", path, headers=headers) as response:
        return response, b"".join(response.iter_raw())


@pytest.mark.parametrize("path", ["/task-types", "/openapi.json", "/v1/task-types"])
def test_a_large_document_is_compressed_if_the_client_accepts_it(api: httpx.Client, path: str) -> None:
    plain, whole = raw(api, path, PLAIN)
    response, packed = raw(api, path, GZIP)
    assert gzip.decompress(packed) == whole
    assert len(packed) < len(whole) / 2
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(packed)
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == response.headers["vary"] == "Accept-Encoding"


def test_a_page_of_tasks_is_compressed(api: httpx.Client, submit: Submit) -> None:
    for number in range(5):
        submit(metadata={"number": number, "text": "x" * MIN_BYTES})
    response, packed = raw(api, "/tasks?limit=5", GZIP)
    assert response.headers["content-encoding"] == "gzip"
    assert b'"metadata"' in gzip.decompress(packed)


def test_what_is_small_a_stream_a_problem_or_an_answer_to_a_post_is_left_as_it_is(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    path = submit()
    worker.finish(worker.claim(), {"text": "x" * MIN_BYTES})
    for left in ("/healthz", f"{path}/stream", f"/tasks/{'x' * MIN_BYTES}"):
        assert "content-encoding" not in api.get(left, headers=GZIP).headers, left
    body = {"task_type": "nothing", "input": {"text": "x" * MIN_BYTES}}
    assert "content-encoding" not in api.post("/tasks", json=body, headers=GZIP).headers


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (b"gzip", True),
        (b"br, GZIP;q=0.5", True),
        (b"*", True),
        (b"x-gzip", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000, *", False),
        (b"*;q=0", False),
        (b"identity", False),
        (b"gzip;q=much", False),
        (b"notgzip", False),
        (b"", False),
    ],
)
def test_gzip_is_accepted_by_its_name_or_a_star_unless_its_weight_is_0(value: bytes, accepted: bool) -> None:
    assert accepts_gzip([value]) is accepted
