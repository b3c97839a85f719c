"""How `ctx.run` starts a program: checks of its arguments, and errors that say what is wrong."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from jobcore.errors import InvalidValue, ProgramFailed
from jobcore.tasks.program import Arguments, ReadProgress


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a program; `JobContext.run` describes them."""

    progress: ReadProgress | None = None
    cwd: str | os.PathLike[str] | None = None
    env: Mapping[str, str] | None = None
    input: str | bytes | None = None
    check: bool = True
    timeout_s: float | None = None
    log: bool = True

    @property
    def input_bytes(self) -> bytes:
        """What the program reads from its standard input."""
        return self.input.encode() if isinstance(self.input, str) else self.input or b""

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not (_is_number(self.timeout_s) and self.timeout_s > 0):
            raise InvalidValue(f"run: timeout_s must be a number of seconds above 0, not {self.timeout_s!r}")
        if not isinstance(self.input, str | bytes | None):
            raise InvalidValue(f"run: input must be text or bytes, not {type(self.input).__name__}")
        for name, value in (self.env or {}).items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise InvalidValue(f"run: env: {name!r} and its value must be text, not {value!r}")


def start(words: tuple[str, ...], options: Options) -> subprocess.Popen[bytes]:
    """Start the program, with pipes to its streams. Raises ProgramFailed if that is impossible."""
    try:
        return subprocess.Popen(
            words,
            cwd=options.cwd,
            env=None if options.env is None else {**os.environ, **options.env},
            stdin=subprocess.DEVNULL if options.input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        if options.cwd is not None and not os.path.isdir(options.cwd):
            why = f"its folder {os.fspath(options.cwd)} does not exist"
        elif isinstance(error, FileNotFoundError):
            why = "there is no such program on this worker"
        else:
            why = getattr(error, "strerror", None) or str(error)
        raise ProgramFailed(f"cannot start {words[0]}: {why}", program=words[0]) from None


def words_of(args: Arguments) -> tuple[str, ...]:
    """The program and its arguments as texts. Raises InvalidValue for anything else."""
    if isinstance(args, str | bytes):
        raise InvalidValue('run: args must be a list, such as ["ls", "-l"]; for a shell: ["bash", "-c", …]')
    try:
        words = tuple(os.fspath(word) for word in args)
    except TypeError as error:
        raise InvalidValue(f"run: args must be texts or paths: {error}") from None
    if not words or not all(isinstance(word, str) for word in words):
        raise InvalidValue("run: args must be a list of texts or paths, the program first")
    return words


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
