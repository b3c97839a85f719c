"""Reading a list page by page: RFC 8288."""

from __future__ import annotations

import httpx

from tests.conformance.conftest import SHORT


def test_a_page_links_to_the_next_until_the_last(client: httpx.Client) -> None:
    for _ in range(3):
        client.post("/tasks", json=SHORT)
    page = client.get("/tasks?limit=1")
    seen = [page.json()["items"][0]["task_id"]]
    while "next" in page.links and len(seen) < 3:
        page = client.get(page.url.join(page.links["next"]["url"]))
        seen += [item["task_id"] for item in page.json()["items"]]
    assert len(set(seen)) == 3
    assert "next" not in client.get("/tasks?limit=200&created_before=1970-01-02T00:00:00Z").links
