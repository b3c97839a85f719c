"""The registry, and the policy that says when a failed attempt is tried again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from jobcore.errors import PermanentError, RetryableError, UnknownTaskType
from jobcore.states import Lane
from jobcore.tasks import LONGEST_DELAY_S, JobContext, Registry, RetryPolicy, TaskType, load_tasks


class Model(BaseModel):
    pass


def task_type(name: str) -> TaskType:
    def function(_ctx: JobContext, _input: Model) -> Model:
        return Model()

    return TaskType(name, function, Model, Model, "default", "", RetryPolicy(), None, None)


def test_delays_double_from_the_backoff_up_to_their_bound() -> None:
    policy = RetryPolicy(backoff_s=2.0, backoff_max_s=20.0, jitter=0.0)
    assert [policy.delay_s(attempt) for attempt in range(1, 7)] == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


@given(
    attempt=st.integers(1, 10**9),
    backoff_s=st.floats(0.001, 1e6),
    backoff_max_s=st.floats(0.001, 1e6),
    jitter=st.floats(0, 1),
)
def test_every_delay_stays_within_its_jitter(
    attempt: int, backoff_s: float, backoff_max_s: float, jitter: float
) -> None:
    policy = RetryPolicy(backoff_s=backoff_s, backoff_max_s=backoff_max_s, jitter=jitter)
    middle = min(backoff_max_s, backoff_s * 2.0 ** min(attempt - 1, 32))
    delay = policy.delay_s(attempt)
    assert 0 <= middle * (1 - jitter) * 0.999 <= delay <= middle * (1 + jitter) * 1.001


def test_jitter_spreads_jobs_that_failed_together() -> None:
    policy = RetryPolicy()
    assert len({policy.delay_s(1) for _ in range(50)}) > 40


@pytest.mark.parametrize(("asked_s", "delay_s"), [(0.0, 0.0), (7.5, 7.5), (90_000.0, 90_000.0), (-3.0, 0.0)])
def test_a_delay_that_the_task_asks_for_is_obeyed(asked_s: float, delay_s: float) -> None:
    assert RetryPolicy().delay_s(5, RetryableError("later", retry_after_s=asked_s)) == delay_s


def test_a_retry_without_a_delay_of_its_own_backs_off() -> None:
    assert RetryPolicy(jitter=0.0).delay_s(3, RetryableError("later")) == 8.0


@pytest.mark.parametrize(
    ("policy", "error", "retried"),
    [
        (RetryPolicy(), ValueError(), True),
        (RetryPolicy(), RetryableError("x"), True),
        (RetryPolicy(), PermanentError("x"), False),
        (RetryPolicy(retry_on=(OSError,)), ConnectionResetError(), True),
        (RetryPolicy(retry_on=(OSError,)), ValueError(), False),
        (RetryPolicy(never_on=(PermanentError, ValueError)), UnicodeError(), False),
        (RetryPolicy(retry_on=(ValueError,), never_on=(UnicodeError,)), UnicodeError(), False),
        (RetryPolicy(retry_on=()), ValueError(), False),
    ],
)
def test_which_errors_are_worth_another_attempt(policy: RetryPolicy, error: Exception, retried: bool) -> None:
    assert policy.retries(error) is retried


def test_an_unknown_task_type_is_told_with_those_that_exist() -> None:
    registry = Registry()
    with pytest.raises(UnknownTaskType, match="known task types: none"):
        registry.get("missing")
    for name in ("sleep", "echo"):
        registry.add(task_type(name))
    with pytest.raises(UnknownTaskType, match="'missing' is not registered here; known task types: echo, sleep"):
        registry.get("missing")
    assert [known.name for known in registry.all()] == ["echo", "sleep"]


def test_two_functions_cannot_share_a_name_but_one_may_be_registered_twice() -> None:
    registry = Registry()
    echo = task_type("echo")
    registry.add(echo)
    registry.add(echo)
    with pytest.raises(ValueError, match="two functions are registered as task type 'echo'"):
        registry.add(task_type("echo"))


def test_a_job_may_wait_in_its_own_way_and_keeps_the_rest_of_the_policy() -> None:
    policy = RetryPolicy(max_attempts=5, backoff_s=2, jitter=0.0, retry_on=(OSError,))
    own = policy.of_job({"backoff_s": 10, "backoff_max_s": 30})
    assert [own.delay_s(attempt) for attempt in (1, 2, 3)] == [10, 20, 30]
    assert (own.max_attempts, own.retry_on) == (5, (OSError,))
    assert policy.of_job(None) is policy


def test_no_task_puts_its_next_attempt_off_for_ever() -> None:
    assert RetryPolicy().delay_s(1, RetryableError("later", retry_after_s=float("inf"))) == LONGEST_DELAY_S


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"backoff_s": -1}, "backoff_s"),
        ({"backoff_s": float("nan")}, "backoff_s"),
        ({"backoff_max_s": float("inf")}, "backoff_max_s"),
        ({"jitter": 2}, "jitter"),
        ({"retry_on": OSError}, "retry_on"),
        ({"never_on": (KeyboardInterrupt,)}, "never_on"),
        ({"never_on": ("ValueError",)}, "never_on"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: must be "):
        RetryPolicy(**options)


def test_longruns_own_task_types_wait_without_a_process_and_compute_in_one() -> None:
    lanes = {known.name: known.lane for known in load_tasks().all()}
    assert (lanes["web_scrape"], lanes["sleep"], lanes["cpu_burn"]) == (Lane.THREAD, Lane.ASYNC, Lane.PROCESS)
