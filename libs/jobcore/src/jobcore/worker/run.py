"""One run of one job: read its input, call the task's function, check what it returned, name the outcome."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.trace import StatusCode
from pydantic import BaseModel, ValidationError

from jobcore.errors import InvalidValue, JobCancelled, PermanentError, RetryableError, UnknownTaskType
from jobcore.models import JsonText, Outcome
from jobcore.states import ErrorKind, Status
from jobcore.supervision.stops import StopReason
from jobcore.tasks import Registry, RetryPolicy, TaskType, leaves
from jobcore.telemetry import logs, traces
from jobcore.worker.context import RunContext
from jobcore.worker.error_details import error_of, message_of, problems_of, traceback_of
from jobcore.worker.interrupts import Interrupts, JobInterrupted
from jobcore.worker.results import InvalidOutput, result_of
from jobcore.worker.run_store import RunStore

OWN_FRAMES: Final = 2
"""The frames of `_execute` and `Interrupts.call`, which are above the task's first one."""
REFUSALS_MAX: Final = 5
"""The workers that may hand a job back because they cannot read its input, before it fails: the API has checked the
input, so during a deploy a worker of another version may read it."""

log = logs.get(__name__)


class InputRefused(Exception):
    """This worker does not know the task type, or its version of the type refuses the input."""


class JobRun:
    """Runs a claimed job once."""

    def __init__(self, store: RunStore, registry: Registry, interrupts: Interrupts) -> None:
        self._claim = store.claim
        self._store = store
        self._registry = registry
        self._interrupts = interrupts
        self.stop_method = "finished"
        """How the run stopped, for the cancel receipt if the job was cancelled meanwhile."""

    def execute(self) -> Outcome | None:
        """The outcome of the run; None if it was stopped for a drain and must be handed back."""
        with traces.run_span(self._claim) as span:
            try:
                outcome = self._execute()
            except Exception as error:
                # reading a task's exception may itself raise, and the job must end nevertheless
                log.exception("cannot describe the error of a run", job_id=str(self._claim.id))
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
            args, kwargs = task_type.arguments(context, value)
            returned = self._interrupts.call(self._store.key, task_type.function, *args, **kwargs)
            return self._succeeded(result_of(task_type, returned, self._store.bounds.result_bytes))
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
            if stops:  # a task group wraps the exception that stopped it
                return self._stopped(task_type, stops[0])
            # sys.exit() in the task, or KeyboardInterrupt: worth another try
            return self._failed(ErrorKind.RAISED, error, self._delay_s(task_type.retry))

    def _read(self) -> tuple[TaskType, BaseModel]:
        try:
            task_type = self._registry.get(self._claim.task_type)
            return task_type, task_type.input_model.model_validate_json(self._claim.input)
        except UnknownTaskType as error:
            raise InputRefused(str(error)) from None
        except ValidationError as error:
            raise InputRefused(problems_of(error)) from None
        except Exception as error:  # a validator of the model may raise anything
            raise InputRefused(f"input: cannot be checked: {type(error).__name__}: {message_of(error)}") from None

    def _delay_s(self, policy: RetryPolicy, error: Exception | None = None) -> float:
        return policy.of_job(self._claim.retry).delay_s(self._claim.tries, error)

    def _refused(self, error: InputRefused) -> Outcome:
        """Hand the job back for a worker of another version; FAILED once REFUSALS_MAX runs have refused its input."""
        refusals = self._claim.refusals
        if refusals >= REFUSALS_MAX:
            return self._failed(ErrorKind.INVALID, error, None)
        retry_s = self._store.bounds.refused_backoff_s * 2**refusals
        log.warning(
            "this version cannot read the input; handing the job back",
            job_id=str(self._claim.id),
            task_type=self._claim.task_type,
            error=str(error),
            again_in_s=retry_s,
        )
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.PENDING,
            error=error_of(error, ErrorKind.INVALID, self._claim.attempt),
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
        # cancelled, or the claim is lost: the fence refuses this outcome, and the receipt gets the method;
        # a task that raises JobCancelled without a stop request fails
        return self._failed(ErrorKind.RAISED, stop, None)

    def _succeeded(self, result: JsonText) -> Outcome:
        last = self._store.take_last()
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.SUCCESS,
            result=result,
            result_bytes=len(result),
            progress=last.progress,
            events=last.events,
            output_bytes=last.output_bytes,
        )

    def _failed(self, kind: ErrorKind, error: BaseException, retry_s: float | None) -> Outcome:
        last = self._store.take_last()
        again_in_s = retry_s if self._claim.tries < self._claim.max_attempts else None
        log.warning(
            "an attempt failed",
            job_id=str(self._claim.id),
            task_type=self._claim.task_type,
            attempt=self._claim.attempt,
            kind=kind.value,
            error=message_of(error),
            again_in_s=None if again_in_s is None else round(again_in_s, 1),
        )
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.FAILED if again_in_s is None else Status.PENDING,
            error=error_of(error, kind, self._claim.attempt),
            retry_s=again_in_s,
            progress=last.progress,
            events=last.events,
            output_bytes=last.output_bytes,
        )

    def _keep_traceback(self, error: Exception) -> None:
        """Add the traceback to the span, and to the job's log unless the task raised one of our errors on purpose."""
        text = traceback_of(error, skipped=OWN_FRAMES)
        attributes = {"exception.type": type(error).__name__, "exception.message": message_of(error)}
        trace.get_current_span().add_event("exception", attributes | {"exception.stacktrace": text})
        if isinstance(error, InvalidValue) or not isinstance(error, PermanentError | RetryableError):
            self._store.buffer.add_traceback(text)
