"""A coroutine of a run, which tells at each of its steps whose code the event loop executes.

If such a step blocks the loop, or ends the process, others can see which run it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any

from jobcore.worker.interrupts import end_fork


class RunSteps(Coroutine[Any, Any, Any]):
    """Drives a coroutine of a run. `enter` is called before each step, `leave` after it.

    A process that a step forks ends with the step: it must not turn the loop, which is its parent's.
    """

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], enter: Callable[[], None], leave: Callable[[], None]
    ) -> None:
        self._coroutine = coroutine
        self._enter = enter
        self._leave = leave
        self._pid = os.getpid()

    def send(self, value: Any) -> Any:
        """Execute a step."""
        return self._step(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        """Execute a step that begins with this exception."""
        return self._step(self._coroutine.throw, *error)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        self._enter()
        try:
            awaited = step(*args)
            end_fork(self._pid, None)
            return awaited
        except BaseException as error:
            end_fork(self._pid, None if isinstance(error, StopIteration) else error)
            raise
        finally:
            self._leave()

    def close(self) -> None:
        """End the coroutine."""
        self._coroutine.close()

    def __await__(self) -> Any:
        """As the coroutine itself."""
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)  # cr_frame, cr_code, …, for whoever prints tasks
