"""What programs write is text of bounded size; those of async tasks run beside each other and end with their task."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from jobcore.errors import ProgramFailed
from jobcore.worker import programs
from jobcore.worker.program_output import LINE_MAX, OUTPUT_MAX, Output
from jobcore.worker.program_start import Options
from tests.unit.program_context import STUBBORN, Context, alive
from tests.waiting import until_async


@pytest.fixture
def anyio_backend() -> str:
    """Async tasks run on asyncio."""
    return "asyncio"


@pytest.fixture
def context() -> Context:
    return Context()


def test_bytes_that_are_no_text_and_lines_without_an_end_are_bounded() -> None:
    lines: list[str] = []
    output = Output(lines.append, lambda line: None)
    output.add("é".encode()[:1])
    output.add("é".encode()[1:] + b"\xff\n")
    assert lines == ["é\ufffd"]
    output.add(b"x" * (LINE_MAX + 5))
    output.end()
    assert [len(line) for line in lines[1:]] == [LINE_MAX, 5]


def test_only_the_end_of_much_output_is_kept(context: Context) -> None:
    code = f"import sys; sys.stdout.write('a' * {3 * OUTPUT_MAX} + 'end')"
    done = programs.run(context, [sys.executable, "-c", code], Options(log=False))
    assert (len(done.stdout), done.stdout[-4:], done.truncated) == (OUTPUT_MAX, "aend", True)


@pytest.mark.anyio
async def test_an_async_task_may_run_many_programs_at_once(context: Context, tmp_path: Path) -> None:
    """None ends before all have begun, so they share no few threads."""
    count = 40
    script = f"touch {tmp_path}/$0; until [ $(ls {tmp_path} | wc -l) = {count} ]; do sleep 0.1; done"
    calls = [programs.run_async(context, ["bash", "-c", script, str(n)], Options()) for n in range(count)]
    assert [done.exit_code for done in await asyncio.gather(*calls)] == count * [0]


@pytest.mark.anyio
async def test_a_cancelled_async_task_ends_its_program_before_it_ends(context: Context) -> None:
    waiting = asyncio.create_task(programs.run_async(context, ["bash", "-c", STUBBORN], Options()))
    await until_async(lambda: len(context.lines) == 2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert alive(context.lines) == []


@pytest.mark.anyio
async def test_a_program_of_an_async_task_fails_as_one_of_any_task(context: Context) -> None:
    with pytest.raises(ProgramFailed, match="bash ended with exit code 3"):
        await programs.run_async(context, ["bash", "-c", "exit 3"], Options())
