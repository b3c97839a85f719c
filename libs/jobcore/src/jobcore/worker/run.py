"""One run of one job, as a pipeline: read its input, call the task, check its output, name the outcome."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.trace import StatusCode
from pydantic import BaseModel, ValidationError

from jobcore.errors import (
    InvalidValue,
    JobCancelled,
    LongrunError,
    PermanentError,
    RetryableError,
    UnknownTaskType,
)
from jobcore.models import Outcome
from jobcore.states import ErrorKind, Status
from jobcore.supervision.slots import StopReason
from jobcore.tasks import Registry, RetryPolicy, TaskType, leaves
from jobcore.telemetry import logs, traces
from jobcore.worker.context import RunContext
from jobcore.worker.event_buffer import printable
from jobcore.worker.interrupts import Interrupts, JobInterrupted
from jobcore.worker.run_store import RunStore
from jobcore.worker.values import from_json, infinite, to_json

MESSAGE_MAX: Final = 2_000
NAME_MAX: Final = 200
TRACEBACK_MAX: Final = 8_000
DETAILS_MAX_BYTES: Final = 16 * 1024
ERRORS_MAX: Final = 20
OWN_FRAMES: Final = 2
"""`_execute` and `Interrupts.call` stand above the task's first frame."""
REFUSALS_MAX: Final = 5
"""So many workers may give a job back whose input they cannot read, before it fails: old and new versions of its task
type may run side by side, and the API has checked the input."""

log = logs.get(__name__)


class InputRefused(Exception):
    """This worker cannot run the job: it does not know the task type, or its version of the type refuses the input."""


class InvalidOutput(Exception):
    """What the task returned is not what its output model says, or not storable as JSON."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a task returned, as its output model serializes it; `size` is its bytes as JSON."""

    value: Any
    size: int


class JobRun:
    """Runs a claimed job once."""

    def __init__(self, store: RunStore, registry: Registry, interrupts: Interrupts) -> None:
        self._claim = store.claim
        self._store = store
        self._registry = registry
        self._interrupts = interrupts
        self.stop_method = "finished"
        """How the run stopped, for the receipt should its job turn out to be cancelled."""

    def execute(self) -> Outcome | None:
        """The outcome of the run; None if it was stopped for a deploy and should be handed back."""
        with traces.run_span(self._claim) as span:
            try:
                outcome = self._execute()
            except Exception as error:
                # a task's exception can be so broken that looking at it raises; the job must end all the same
                log.exception("an attempt could not be told", job_id=str(self._claim.id))
                outcome = self._failed(ErrorKind.RAISED, InvalidOutput(f"unreadable: {type(error).__name__}"), None)
            if outcome is not None and outcome.error is not None:
                span.set_status(SpanStatus(StatusCode.ERROR, outcome.error["message"]))
            return outcome

    def _execute(self) -> Outcome | None:
        try:
            task_type, value = self._read()
        except InputRefused as error:
            return self._refused(error)
        context = RunContext(self._store, self._interrupts.shield)
        try:
            returned = self._interrupts.call(self._store.key, task_type.function, context, value)
            return self._succeeded(_result(task_type, returned, self._store.bounds.result_bytes))
        except JobCancelled as stop:
            return self._stopped(task_type, stop)
        except InvalidOutput as error:
            return self._failed(ErrorKind.INVALID, error, None)
        except Exception as error:
            self._keep_traceback(error)
            retries = task_type.retry.retries(error)
            return self._failed(ErrorKind.RAISED, error, self._delay_s(task_type.retry, error) if retries else None)
        except BaseException as error:
            stops = [leaf for leaf in leaves(error) if isinstance(leaf, JobCancelled)]
            if stops:  # a task group wraps what it was stopped by
                return self._stopped(task_type, stops[0])
            # sys.exit() in a task, an operator's SIGTERM or SIGINT to this child: worth another try
            return self._failed(ErrorKind.RAISED, error, self._delay_s(task_type.retry))

    def _read(self) -> tuple[TaskType, BaseModel]:
        try:
            task_type = self._registry.get(self._claim.task_type)
            return task_type, task_type.input_model.model_validate_json(self._claim.input)
        except UnknownTaskType as error:
            raise InputRefused(str(error)) from None
        except ValidationError as error:
            raise InputRefused(_input_problems(error)) from None
        except Exception as error:  # out of a validator of the model's own
            raise InputRefused(f"input: cannot be checked: {type(error).__name__}: {_message(error)}") from None

    def _delay_s(self, policy: RetryPolicy, error: Exception | None = None) -> float:
        return policy.of_job(self._claim.retry).delay_s(self._claim.tries, error)

    def _refused(self, error: InputRefused) -> Outcome:
        """Give the job back for a worker of another version, which the API's is; FAILED if none can read it."""
        refusals = self._claim.refusals
        if refusals >= REFUSALS_MAX:
            return self._failed(ErrorKind.INVALID, error, None)
        retry_s = self._store.bounds.refused_backoff_s * 2**refusals
        log.warning(
            "this worker cannot run a job and gives it back",
            job_id=str(self._claim.id),
            task_type=self._claim.task_type,
            error=str(error),
            again_in_s=retry_s,
        )
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.PENDING,
            error=self._error(ErrorKind.INVALID, error),
            retry_s=retry_s,
            refused=True,
        )

    def _stopped(self, task_type: TaskType, stop: JobCancelled) -> Outcome | None:
        reason = stop.reason if isinstance(stop, JobInterrupted) else self._store.stop_reason
        self.stop_method = "signal" if isinstance(stop, JobInterrupted) else "cooperative"
        if reason is StopReason.DRAIN:
            self._store.store_last()
            return None
        if reason is StopReason.TIMEOUT:
            message = f"it ran longer than {self._claim.timeout_s:g} s"
            return self._failed(ErrorKind.TIMEOUT, TimeoutError(message), self._delay_s(task_type.retry))
        # cancelled, or the claim was lost: the fence refuses this outcome and the receipt gets the method;
        # a task that raises JobCancelled for no reason fails
        return self._failed(ErrorKind.RAISED, stop, None)

    def _succeeded(self, result: Result) -> Outcome:
        last = self._store.take_last()
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.SUCCESS,
            result=result.value,
            result_bytes=result.size,
            progress=last.progress,
            events=last.events,
        )

    def _failed(self, kind: ErrorKind, error: BaseException, retry_s: float | None) -> Outcome:
        last = self._store.take_last()
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
            error=self._error(kind, error),
            retry_s=retry_s if again else None,
            progress=last.progress,
            events=last.events,
        )

    def _error(self, kind: ErrorKind, error: BaseException) -> dict[str, Any]:
        return {
            **_details(error),
            "kind": kind,
            "type": printable(type(error).__name__[:NAME_MAX]),
            "message": _message(error),
            "attempt": self._claim.attempt,
        }

    def _keep_traceback(self, error: Exception) -> None:
        """Into the span and the job's log: of the task's own frames, and only if the task did not raise on purpose."""
        text = _traceback(error)
        attributes = {"exception.type": type(error).__name__, "exception.message": _message(error)}
        trace.get_current_span().add_event("exception", attributes | {"exception.stacktrace": text})
        if isinstance(error, InvalidValue) or not isinstance(error, PermanentError | RetryableError):
            self._store.buffer.add_traceback(text)


def _result(task_type: TaskType, returned: Any, max_bytes: int) -> Result:
    """What the task returned, with the names that the type's `output_schema` has."""
    try:
        text = _serialized(task_type.output_model, returned)
        return Result(from_json("result", text, max_bytes), len(text))
    except ValidationError as error:
        raise InvalidOutput(f"{task_type.name} returned something else than its output model: {error}") from None
    except Exception as error:  # also out of a serializer of the model's own, or for want of memory
        raise InvalidOutput(_message(error)) from None


def _serialized(output_model: type[BaseModel], returned: Any) -> str:
    if not isinstance(returned, output_model):
        plain = returned.model_dump() if isinstance(returned, BaseModel) else returned
        returned = output_model.model_validate(plain, by_alias=True, by_name=True)
    # the model's own serializer: a subclass may have fields that its output_schema does not know
    serializer = output_model.__pydantic_serializer__
    text = serializer.to_json(returned, by_alias=True).decode()
    if "null" in text and "ser_json_inf_nan" not in output_model.model_config:
        for path in infinite(json.loads(text), serializer.to_python(returned, by_alias=True), "result"):
            raise InvalidOutput(f"{path} must be a finite number: JSON has no NaN and no infinity")
    return text


def _input_problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)[:ERRORS_MAX]
    said = "; ".join(f"{'.'.join(['input', *map(str, item['loc'])])}: {item['msg']}" for item in found)
    return printable(said)


def _message(error: BaseException) -> str:
    try:
        text = str(error)[:MESSAGE_MAX]
    except Exception:
        text = "its message cannot be read"
    return printable(text or type(error).__name__[:NAME_MAX])


def _details(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, LongrunError):
        return {}
    try:
        found: dict[str, Any] = json.loads(to_json("details", dict(error.details), DETAILS_MAX_BYTES))
    except Exception as unstorable:
        return {"details": f"cannot be stored: {_message(unstorable)}"}
    return found


def _traceback(error: Exception) -> str:
    frames = error.__traceback__
    for _ in range(OWN_FRAMES):
        frames = frames.tb_next if frames and frames.tb_next else frames
    try:
        parts = traceback.format_exception(type(error), error, frames, limit=-20)
        # a part is a frame or a whole message: one of megabytes must not push the frames out
        return printable("".join(part if len(part) <= MESSAGE_MAX else f"{part[:MESSAGE_MAX]}…\n" for part in parts))[
            -TRACEBACK_MAX:
        ]
    except Exception as unreadable:
        return f"its traceback cannot be read: {type(unreadable).__name__}"
