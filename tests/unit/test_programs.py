"""`ctx.run`: the output of a program in the log, its progress, clear errors, and nothing of it that runs on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobcore.errors import InvalidValue, JobCancelled, ProgramFailed
from jobcore.tasks.program import CompletedProgram
from jobcore.worker import programs
from jobcore.worker.program_start import Options
from tests.unit.program_context import STUBBORN, Context, alive
from tests.waiting import until


@pytest.fixture
def context() -> Context:
    return Context()


def run(context: Context, *args: str, **options: Any) -> CompletedProgram:
    return programs.run(context, args, Options(**options))


def shell(context: Context, script: str, **options: Any) -> CompletedProgram:
    return run(context, "bash", "-c", script, **options)


def failure(call: Callable[[], object]) -> ProgramFailed:
    with pytest.raises(ProgramFailed) as caught:
        call()
    return caught.value


def test_what_a_program_writes_is_in_the_log_and_in_the_result(context: Context) -> None:
    done = shell(context, "echo one; echo two >&2; printf three")
    assert sorted(context.lines) == ["one", "three", "two"]
    assert (done.exit_code, done.stdout, done.stderr, done.truncated) == (0, "one\nthree", "two\n", False)
    assert done.args[:2] == ("bash", "-c")


def test_a_line_is_in_the_log_while_the_program_runs(context: Context, tmp_path: Path) -> None:
    go = tmp_path / "go"
    thread = threading.Thread(target=shell, args=(context, f"echo begun; until [ -e {go} ]; do sleep 0.02; done"))
    thread.start()
    until(lambda: context.lines == ["begun"])
    go.touch()
    thread.join()


def test_nothing_is_logged_of_a_program_that_is_to_be_quiet(context: Context) -> None:
    assert shell(context, "echo '{}'", log=False).stdout == "{}\n"
    assert context.lines == []


def test_input_folder_and_environment_reach_the_program(context: Context, tmp_path: Path) -> None:
    big = "x" * 300_000
    done = shell(context, 'pwd; echo "$MINE $HOME"; cat', cwd=tmp_path, env={"MINE": "42"}, input=big, log=False)
    assert done.stdout == f"{tmp_path}\n42 {os.environ['HOME']}\n{big}"
    assert shell(context, "cat").stdout == "", "standard input is empty"
    assert run(context, "true", input=big).exit_code == 0, "a program need not read its input"


def test_progress_is_read_by_a_pattern_and_such_lines_are_not_logged(context: Context) -> None:
    shell(context, "echo 1/4; echo words; echo 4/4", progress=r"(?P<done>\d+)/(?P<total>\d+)")
    assert context.lines == ["words"]
    assert context.reported[-1] == (4.0, 4.0)


@pytest.mark.parametrize(
    ("progress", "reported"),
    [
        (r"(?P<percent>[\d.]+)%", (62.5, 100.0)),
        (r"frame=(?P<done>[\d,]+)", (1250.0, None)),
        (lambda line: float(line.split()[2]) if "frame" in line else None, (7.0, None)),
        (lambda line: (3, 9) if "frame" in line else None, (3, 9)),
    ],
)
def test_progress_may_be_a_percentage_a_count_or_a_function(
    context: Context, progress: Any, reported: tuple[float, float | None]
) -> None:
    shell(context, "echo 'frame=1,250 62.5% 7'", progress=progress)
    assert context.reported == [reported]


def test_a_progress_bar_reports_each_state_and_logs_only_what_stays_on_the_line(context: Context) -> None:
    shell(context, r"printf '\r 10%%\r 50%%\rdone\n'; printf 'a\rb\r\n'", progress=r"(?P<percent>\d+)%")
    assert context.lines == ["done", "b"]
    assert context.reported[-1] == (50.0, 100.0)


def test_a_flood_of_progress_is_reported_a_few_times_and_at_its_end(context: Context) -> None:
    shell(context, "seq 1 20000", progress=r"^(?P<done>\d+)$")
    assert context.reported[-1] == (20000.0, None)
    assert len(context.reported) < 2000


@pytest.mark.parametrize("progress", ["(", r"\d+", 5])
def test_a_pattern_that_says_nothing_is_refused(context: Context, progress: Any) -> None:
    with pytest.raises(InvalidValue, match="run: progress: "):
        run(context, "true", progress=progress)


def test_a_failure_names_the_exit_code_and_the_end_of_standard_error(context: Context) -> None:
    error = failure(lambda: shell(context, "echo usual; echo first >&2; echo last words >&2; exit 3"))
    assert str(error) == "bash ended with exit code 3: first\nlast words"
    assert (error.exit_code, error.stderr, error.program) == (3, "first\nlast words", "bash")
    assert error.details == {"program": "bash", "exit_code": 3, "stderr": "first\nlast words"}
    assert "usual" in str(failure(lambda: shell(context, "echo usual; exit 1"))), "what it said, if no error"
    assert shell(context, "exit 3", check=False).exit_code == 3


def test_a_failure_names_the_signal_that_killed_the_program(context: Context) -> None:
    error = failure(lambda: shell(context, "kill -SEGV $$"))
    assert str(error) == "bash was killed by SIGSEGV"
    assert error.exit_code == -signal.SIGSEGV


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (["no-such-program"], {}, "cannot start no-such-program: there is no such program on this worker"),
        (["/"], {}, "cannot start /: Permission denied"),
        (["true"], {"cwd": "/no/such"}, "cannot start true: its folder /no/such does not exist"),
        (["true", "a\0b"], {}, "cannot start true: embedded null byte"),
    ],
)
def test_a_program_that_cannot_be_started_says_why(
    context: Context, args: list[str], options: dict[str, Any], message: str
) -> None:
    error = failure(lambda: run(context, *args, **options))
    assert str(error) == message
    assert error.exit_code is None


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ("ls -l", {}, "run: args must be a list"),
        ([], {}, "run: args must be a list"),
        (["ls", 5], {}, "run: args must be texts or paths"),
        (["ls"], {"timeout_s": 0}, "run: timeout_s must be a number of seconds above 0"),
        (["ls"], {"timeout_s": float("nan")}, "run: timeout_s must be"),
        (["ls"], {"input": 5}, "run: input must be text or bytes"),
        (["ls"], {"env": {"A": 1}}, "run: env: 'A' and its value must be text"),
    ],
)
def test_a_wrong_argument_is_named(context: Context, args: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        programs.run(context, args, Options(**options))


def test_a_program_that_takes_too_long_ends_with_what_it_started(context: Context) -> None:
    error = failure(lambda: shell(context, STUBBORN, timeout_s=0.5))
    assert str(error).startswith("bash did not end within 0.5 s")
    assert len(context.lines) == 2
    assert alive(context.lines) == []


def test_a_run_that_must_stop_ends_its_program_with_what_it_started(context: Context) -> None:
    def stop() -> None:
        until(lambda: len(context.lines) == 2)
        context.stop.set()

    threading.Thread(target=stop).start()
    with pytest.raises(JobCancelled):
        shell(context, STUBBORN)
    assert alive(context.lines) == []


def test_a_program_that_ends_well_at_sigterm_is_given_the_time(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "STOP_S", 60.0)

    def stop() -> None:
        until(lambda: context.lines)
        context.stop.set()

    threading.Thread(target=stop).start()
    with pytest.raises(JobCancelled):
        shell(context, f"trap 'touch {tmp_path}/saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done")
    assert (tmp_path / "saved").exists()


def test_no_program_starts_once_the_run_must_stop(context: Context, tmp_path: Path) -> None:
    context.stop.set()
    with pytest.raises(JobCancelled):
        run(context, "touch", str(tmp_path / "touched"))
    assert not (tmp_path / "touched").exists()


def test_a_program_is_not_awaited_longer_because_it_left_a_process_that_has_its_output(context: Context) -> None:
    done = shell(context, "sleep 600 & echo $!")
    os.kill(int(done.stdout), signal.SIGKILL)
    assert context.lines == [done.stdout.strip()]


def test_an_exception_of_the_task_while_a_program_runs_ends_the_program(context: Context) -> None:
    def refuse(line: str) -> None:
        raise RuntimeError(line)

    with pytest.raises(RuntimeError):
        shell(context, "echo $$; sleep 600", progress=refuse)
