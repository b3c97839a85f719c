"""What one job of a batch has is never taken for another's, although it is written once for all that are alike."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

from uuid_utils.compat import uuid7

from jobcore.models import JsonText, NewJob
from jobcore.store import job_rows, json_text

CHANGES: list[dict[str, Any]] = [
    {},
    {"queue": "other"},
    {"priority": 5},
    {"timeout_s": 2.5, "tags": ("a", "b")},
    {"dedupe_key": "d", "owner": 'o"'},
    {"metadata": {"a": 1}},
    {"metadata": {"a": True}},
    {"metadata": {"a": 1e16}},
    {"input": JsonText('{"x":1e+16}')},
    {"input": {"x": -0.0}},
]


def job(**changes: Any) -> NewJob:
    given: dict[str, Any] = {"task_type": "echo", "queue": "default", "input": JsonText('{"é":"\\n"}')} | changes
    return NewJob(id=uuid7(), max_attempts=3, **given)


def in_order(rows: str) -> str:
    return json.dumps(json.loads(rows), sort_keys=True)  # not the values: Python takes 1 and true for equal


def test_each_job_keeps_what_it_has() -> None:
    for pair in product(CHANGES, CHANGES):
        jobs = [job(**changes) for changes in (*pair, *pair) for _ in range(2)]
        assert in_order(job_rows.rows(jobs)) == in_order(json_text.rows(jobs)), pair
