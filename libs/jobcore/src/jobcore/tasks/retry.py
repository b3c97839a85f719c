"""When a failed try is followed by another one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from jobcore.errors import PermanentError, RetryableError

LONGEST_DELAY_S: Final = 366 * 86_400.0
"""The longest wait before another try, in seconds, whatever a task asks for."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which errors are retried and when: exponential backoff with jitter, delays in seconds."""

    max_attempts: int = 3
    backoff_s: float = 2.0
    backoff_max_s: float = 600.0
    jitter: float = 0.25
    retry_on: tuple[type[Exception], ...] = (Exception,)
    never_on: tuple[type[Exception], ...] = (PermanentError,)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value; the message names the option and what it must be."""
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts: must be at least 1, not {self.max_attempts}")
        for name in ("backoff_s", "backoff_max_s"):
            if not 0 <= getattr(self, name) <= LONGEST_DELAY_S:
                raise ValueError(f"{name}: must be 0 to {LONGEST_DELAY_S:.0f} seconds, not {getattr(self, name)}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter: must be 0 to 1, the share by which a delay varies, not {self.jitter}")
        for name in ("retry_on", "never_on"):
            kinds = getattr(self, name)
            if not isinstance(kinds, tuple) or not all(isinstance(k, type) and issubclass(k, Exception) for k in kinds):
                raise ValueError(f"{name}: must be a tuple of exception types, such as (OSError,), not {kinds!r}")

    def of_job(self, own: Mapping[str, float] | None) -> RetryPolicy:
        """This policy, with the backoff_s, backoff_max_s and jitter that a job sets for itself."""
        return replace(self, **own) if own else self  # type: ignore[arg-type]

    def delay_s(self, attempt: int, error: Exception | None = None) -> float:
        """Seconds to wait after the failed `attempt` (from 1): backoff × 2^(attempt-1) ± jitter, bounded.

        The delay of a `RetryableError` (HTTP Retry-After) replaces the backoff; of several in an ExceptionGroup the
        longest counts.
        """
        retryable = [leaf.delay_s for leaf in leaves(error) if isinstance(leaf, RetryableError)]
        if asked := [delay for delay in retryable if delay is not None]:
            return min(max(0.0, *asked), LONGEST_DELAY_S)
        delay: float = min(self.backoff_max_s, self.backoff_s * 2 ** min(attempt - 1, 32))
        return delay * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311

    def retries(self, error: Exception) -> bool:
        """True if this error is worth another try; for an ExceptionGroup, if everything in it is.

        One PermanentError in a group ends the job, because another try would raise it again.
        """
        return self._retries(error, within=False)

    def _retries(self, error: BaseException, *, within: bool) -> bool:
        wanted = within or isinstance(error, self.retry_on)
        if isinstance(error, self.never_on):
            return False
        if isinstance(error, BaseExceptionGroup):
            return all(self._retries(inner, within=wanted) for inner in error.exceptions)
        return wanted


def leaves(error: BaseException | None) -> Iterator[BaseException]:
    """The error itself; for an exception group, the errors in it and in its subgroups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    elif error is not None:
        yield error
