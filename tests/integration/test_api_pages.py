"""A page has a bound in bytes too, and a client that follows its cursor misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import httpx
import pytest

from longrun_api import paging

MIB = 1024 * 1024


def walk(api: httpx.Client, path: str, limit: int) -> Iterator[tuple[int, list[str]]]:
    """The size and the ids of each page."""
    cursor: dict[str, str] = {}
    while True:
        response = api.get(path, params={"limit": limit, **cursor}, timeout=60)
        page = response.raise_for_status().json()
        yield len(response.content), [item.get("schedule_id") or item["task_id"] for item in page["items"]]
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}


def test_a_page_of_large_schedules_ends_early_and_goes_on_where_it_ended(api: httpx.Client) -> None:
    made = []
    for number in range(9):
        task = {"task_type": "echo", "input": {"x": "x" * 1_000_000}}
        schedule = {"name": f"large-{number}", "cron": "0 0 1 1 *", "task": task}
        made.append(api.post("/schedules", json=schedule).raise_for_status().json()["schedule_id"])
    pages = list(walk(api, "/schedules", 200))
    assert len(pages) > 1
    assert max(size for size, _ in pages) < 5 * MIB
    assert [each for _, ids in pages for each in ids] == made[::-1]


def test_a_page_of_tasks_ends_early_whatever_their_numbers_turn_into(api: httpx.Client) -> None:
    metadata = {"numbers": [1e308] * 2_300}  # 16 KiB, and 309 digits each as PostgreSQL's jsonb writes it
    body = {"task_type": "echo", "input": {}, "queue": "pages", "metadata": metadata}
    made = [api.post("/tasks", json=body).raise_for_status().json()["task_id"] for _ in range(30)]
    pages = list(walk(api, "/tasks", 200))
    assert max(size for size, _ in pages) < 5 * MIB
    assert [each for _, ids in pages for each in ids] == made[::-1]


@pytest.mark.parametrize(
    ("sizes", "limit", "pages"),
    [
        ([1] * 60, 60, [60]),
        ([1] * 61, 60, [60, 1]),
        ([1] * 120, 200, [100, 20]),
        ([60] * 4, 200, [1, 1, 1, 1]),
        ([500, 500], 200, [1, 1]),
        ([10] * 25, 200, [10, 10, 5]),
        ([10] * 25, 4, [4, 4, 4, 4, 4, 4, 1]),
        ([99, 1, 1], 200, [2, 1]),
        ([], 200, [0]),
    ],
)
@pytest.mark.parametrize("slice_rows", [1, 3, 50])
def test_pages_are_as_large_as_may_be(sizes: Sequence[int], limit: int, pages: Sequence[int], slice_rows: int) -> None:
    asked: list[int] = []

    async def fetch(last: int | None, count: int) -> list[tuple[int, bytes]]:
        asked.append(count)
        start = 0 if last is None else last
        return [(number + 1, b"x" * sizes[number]) for number in range(start, min(start + count, len(sizes)))]

    async def follow() -> list[int]:
        found, start = [], 0
        while True:

            async def after(last: int | None, count: int, start: int = start) -> list[tuple[int, bytes]]:
                return await fetch(last or start, count)

            page = await paging.read(after, limit, slice_rows, max_bytes=100)
            found.append(len(page.items))
            if not page.has_more or page.last is None:
                return found
            start = page.last

    assert asyncio.run(follow()) == pages
    assert max(asked) <= max(slice_rows, limit, 100) + 1
