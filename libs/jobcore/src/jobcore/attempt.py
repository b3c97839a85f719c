"""One run of one job, as a pipeline: find the task, check its input, call it, check its output, name the outcome."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.trace import StatusCode
from pydantic import BaseModel, ValidationError

from jobcore import logs, telemetry
from jobcore.context import RunContext, printable
from jobcore.errors import JobCancelled, LongrunError, PermanentError, RetryableError, UnknownTaskType
from jobcore.interrupts import Interrupts, JobInterrupted
from jobcore.models import Claim, Outcome
from jobcore.slots import Post
from jobcore.states import ErrorKind, Status
from jobcore.store import documents
from jobcore.tasks import Registry, RetryPolicy, TaskType

MESSAGE_MAX: Final = 2_000
TRACEBACK_MAX: Final = 8_000
OWN_FRAMES: Final = 2
"""`_attempt` and `Interrupts.call` stand above the task's first frame."""
UNKNOWN_TYPE_RETRY: Final = RetryPolicy(backoff_s=5.0)

log = logs.get(__name__)


class InvalidOutput(Exception):
    """What the task returned is not what its output model says, or not storable as JSON."""


class Attempt:
    """Runs a claimed job once."""

    def __init__(self, claim: Claim, context: RunContext, registry: Registry, interrupts: Interrupts) -> None:
        self._claim = claim
        self._context = context
        self._registry = registry
        self._interrupts = interrupts
        self.stop_method = "finished"
        """How the run stopped, for the receipt should its job turn out to be cancelled."""

    def run(self) -> Outcome | None:
        """The outcome of the run; None if it was stopped for a deploy and should be handed back."""
        with telemetry.run_span(self._claim) as span:
            try:
                outcome = self._attempt()
            except Exception as error:
                # a task's exception can be so broken that looking at it raises; the job must end all the same
                log.exception("an attempt could not be told", job_id=str(self._claim.id))
                outcome = self._failed(ErrorKind.RAISED, InvalidOutput(f"unreadable: {type(error).__name__}"), None)
            if outcome is not None and outcome.error is not None:
                span.set_status(SpanStatus(StatusCode.ERROR, outcome.error["message"]))
            return outcome

    def _attempt(self) -> Outcome | None:
        try:
            task_type = self._registry.get(self._claim.task_type)
        except UnknownTaskType as error:
            return self._failed(ErrorKind.INVALID, error, self._delay_s(UNKNOWN_TYPE_RETRY))
        try:
            value = task_type.input_model.model_validate(self._claim.input)
        except ValidationError as error:
            return self._failed(ErrorKind.INVALID, error, None)
        try:
            returned = self._interrupts.call(self._context.key, task_type.function, self._context, value)
            return self._succeeded(_output(task_type, returned))
        except JobCancelled as stop:
            return self._stopped(task_type, stop)
        except InvalidOutput as error:
            return self._failed(ErrorKind.INVALID, error, None)
        except Exception as error:
            self._keep_traceback(error)
            retries = task_type.retry.retries(error)
            return self._failed(ErrorKind.RAISED, error, self._delay_s(task_type.retry, error) if retries else None)
        except BaseException as error:
            # sys.exit() in a task, an operator's SIGTERM or SIGINT to this child: worth another try
            return self._failed(ErrorKind.RAISED, error, self._delay_s(task_type.retry))

    def _delay_s(self, policy: RetryPolicy, error: Exception | None = None) -> float:
        return policy.of_job(self._claim.retry).delay_s(self._claim.tries, error)

    def _stopped(self, task_type: TaskType, stop: JobCancelled) -> Outcome | None:
        reason = stop.reason if isinstance(stop, JobInterrupted) else self._context.stop_reason
        self.stop_method = "signal" if isinstance(stop, JobInterrupted) else "cooperative"
        if reason is Post.DRAIN:
            return None
        if reason is Post.TIMEOUT:
            message = f"it ran longer than {self._claim.timeout_s:g} s"
            return self._failed(ErrorKind.TIMEOUT, TimeoutError(message), self._delay_s(task_type.retry))
        # cancelled, or the claim was lost: the fence refuses this outcome and the receipt gets the method;
        # a task that raises JobCancelled for no reason fails
        return self._failed(ErrorKind.RAISED, stop, None)

    def _succeeded(self, result: Any) -> Outcome:
        words = self._context.last_words()
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.SUCCESS,
            result=result,
            progress=words.progress,
            events=words.events,
        )

    def _failed(self, kind: ErrorKind, error: BaseException, retry_s: float | None) -> Outcome:
        words = self._context.last_words()
        again = retry_s is not None and self._claim.tries < self._claim.max_attempts
        log.warning(
            "an attempt failed",
            job_id=str(self._claim.id),
            task_type=self._claim.task_type,
            attempt=self._claim.attempt,
            kind=kind.value,
            error=_message(error),
            again_in_s=round(retry_s, 1) if again and retry_s is not None else None,
        )
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.PENDING if again else Status.FAILED,
            error={
                **(error.details if isinstance(error, LongrunError) else {}),
                "kind": kind,
                "type": type(error).__name__,
                "message": _message(error),
                "attempt": self._claim.attempt,
            },
            retry_s=retry_s if again else None,
            progress=words.progress,
            events=words.events,
        )

    def _keep_traceback(self, error: Exception) -> None:
        """Into the span and the job's log: of the task's own frames, and only if the task did not raise on purpose."""
        trace.get_current_span().record_exception(error)
        if isinstance(error, PermanentError | RetryableError):
            return
        frames = error.__traceback__
        for _ in range(OWN_FRAMES):
            frames = frames.tb_next if frames and frames.tb_next else frames
        text = "".join(traceback.format_exception(type(error), error, frames, limit=-20))
        self._context.traceback(text[-TRACEBACK_MAX:])


def _output(task_type: TaskType, returned: Any) -> Any:
    try:
        model = returned if isinstance(returned, BaseModel) else task_type.output_model.model_validate(returned)
        if not isinstance(model, task_type.output_model):
            model = task_type.output_model.model_validate(model.model_dump())
        result = model.model_dump(mode="json")
    except ValidationError as error:
        raise InvalidOutput(f"{task_type.name} returned something else than its output model: {error}") from None
    for path, problem in documents.problems(result, "result"):
        raise InvalidOutput(f"{path} {problem}")
    return result


def _message(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{_path(item)}: {item['msg']}" for item in error.errors())[:MESSAGE_MAX]
    try:
        text = str(error)
    except Exception:
        text = "its message cannot be read"
    return printable(text or type(error).__name__)[:MESSAGE_MAX]


def _path(item: Mapping[str, Any]) -> str:
    return ".".join(["input", *(str(part) for part in item["loc"])])
