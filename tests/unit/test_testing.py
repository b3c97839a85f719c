"""`jobcore.testing` runs a task as a worker does, without a server."""

from __future__ import annotations

import asyncio

import pytest

from jobcore import AsyncContext, InvalidStep, InvalidValue, JobCancelled, JobContext, RetryableError
from jobcore.tasks import Registry, decorator, task
from jobcore.testing import run, run_async
from jobcore.worker.results import InvalidOutput


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of this test's own."""
    own = Registry()
    monkeypatch.setattr(decorator, "registry", own)
    monkeypatch.setattr("jobcore.testing.cases.registry", own)
    return own


def test_a_task_finds_its_owner() -> None:
    @task
    def mine(ctx: JobContext) -> str | None:
        return ctx.owner

    assert run(mine, owner="alice").result == "alice"
    assert run(mine).result is None


def test_a_run_has_the_result_logs_and_progress_of_its_task() -> None:
    @task
    def greet(name: str, ctx: JobContext, times: int = 2) -> tuple[str, ...]:
        for done in range(times):
            ctx.log(f"greeting {name}")
            ctx.progress(done + 1, times)
            ctx.emit("word", (name, done))
        return (f"Hello, {name}!",)

    done = run(greet, {"name": "Ada"})
    assert done.result == ["Hello, Ada!"]
    assert done.logs == ["greeting Ada", "greeting Ada"]
    assert [progress["done"] for progress in done.progress] == [1, 2]
    assert done.emitted == [("word", ["Ada", 0]), ("word", ["Ada", 1])]
    assert done.attempt == 1


def test_the_next_attempt_finds_the_checkpoint_and_the_steps_of_the_one_before() -> None:
    charged: list[int] = []

    def charge(amount: int) -> dict[str, int]:
        charged.append(amount)
        return {"receipt": amount}

    @task
    def order(amount: int, ctx: JobContext) -> str:
        receipt = ctx.step("charge", charge, amount)
        ctx.checkpoint({"attempt": ctx.attempt, "before": ctx.checkpoint_state})
        if ctx.attempt == 1:
            raise RetryableError("the shop is closed")
        return str(receipt["receipt"])

    with pytest.raises(RetryableError):
        run(order, {"amount": 5})
    charged.clear()
    first = run(order, {"amount": 5}, raises=False)
    assert isinstance(first.error, RetryableError)
    assert (first.result, first.steps) == (None, {"charge": {"receipt": 5}})
    second = run(order, {"amount": 5}, after=first)
    assert (second.result, second.attempt, charged) == ("5", 2, [5])
    assert second.checkpoint == {"attempt": 2, "before": {"attempt": 1, "before": None}}
    assert first.checkpoint == {"attempt": 1, "before": None}, "the run before is unchanged"


def test_a_run_that_should_stop_is_cancelled_where_it_asks() -> None:
    @task
    def tidy(ctx: JobContext) -> None:
        assert ctx.cancelled
        ctx.log("tidied up")
        ctx.raise_if_cancelled()

    with pytest.raises(JobCancelled):
        run(tidy, cancelled=True)


def test_what_longrun_refuses_is_refused() -> None:
    @task
    def f(ctx: JobContext, what: str, times: int = 1) -> float:
        if what == "step":
            ctx.step("a", object)
        if what == "progress":
            ctx.progress(float("nan"))
        if what == "output":
            ctx.emit("", 1)
        if what == "checkpoint":
            ctx.checkpoint("x" * 2**20)
        return float("inf")

    with pytest.raises(InvalidStep):
        run(f, {"what": "step"})
    with pytest.raises(InvalidValue, match="emit: name must be"):
        run(f, {"what": "output"})
    with pytest.raises(InvalidValue, match=r"checkpoint has 1,048,578 bytes .* 1,048,576 .*ctx\.step.*ctx\.file"):
        run(f, {"what": "checkpoint"})
    with pytest.raises(InvalidValue, match="progress: done must be a finite number"):
        run(f, {"what": "progress"})
    with pytest.raises(InvalidOutput):
        run(f, {"what": "result"})
    with pytest.raises(InvalidValue, match=r"input\.what: Field required; input\.times: "):
        run(f, {"times": "many"})
    with pytest.raises(ValueError, match="is not a task: decorate it with @task"):
        run(len)


async def _receipt(amount: int) -> dict[str, int]:
    return {"receipt": amount}


async def _order(amount: int, ctx: AsyncContext) -> int:
    ctx.log("ordering")
    paid = await ctx.step("pay", _receipt, amount)
    await ctx.checkpoint({"paid": amount})
    sent = await ctx.step("send", dict, sent=ctx.attempt)
    return int(paid["receipt"]) + int(sent["sent"])


def test_an_async_task_runs_in_a_loop_of_its_own_or_in_the_tests() -> None:
    task(_order)
    done = run(_order, {"amount": 5})
    assert (done.result, done.logs, done.checkpoint) == (6, ["ordering"], {"paid": 5})
    assert done.steps == {"pay": {"receipt": 5}, "send": {"sent": 1}}

    async def test() -> None:
        again = await run_async(_order, {"amount": 7}, after=done)
        assert again.result == 6, "the steps are those of the first attempt"
        with pytest.raises(JobCancelled):
            await run_async(_order, {"amount": 7}, cancelled=True)

    asyncio.run(test())


def test_a_task_in_a_thread_is_called_as_any_other() -> None:
    @task(lane="thread")
    def fetch(url: str, ctx: JobContext) -> str:
        return f"{url} {ctx.attempt}"

    assert run(fetch, {"url": "a"}).result == "a 1"
    with pytest.raises(ValueError, match="fetch is not async: call run"):
        asyncio.run(run_async(fetch, {"url": "a"}))
