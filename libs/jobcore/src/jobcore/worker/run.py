"""One run of one job: read its input, call the task's function, check what it returned, name the outcome."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode
from opentelemetry.trace import Status as SpanStatus
from pydantic import ValidationError

from jobcore.errors import InvalidValue, JobCancelled, PermanentError, RetryableError, UnknownTaskType
from jobcore.models import JsonText, Outcome
from jobcore.sealing.keys import CannotOpen
from jobcore.states import ErrorKind, Status
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.stops import StopReason
from jobcore.tasks import Context, Registry, TaskType, leaves
from jobcore.tasks.registry import TaskFunction
from jobcore.telemetry import logs, traces
from jobcore.worker.async_context import RunAsyncContext, Stored
from jobcore.worker.context import RunContext
from jobcore.worker.error_details import error_of, message_of, problems_of, traceback_of
from jobcore.worker.interrupts import JobInterrupted
from jobcore.worker.results import InvalidOutput, result_of
from jobcore.worker.run_input import RunInput
from jobcore.worker.run_processes import RunProcesses
from jobcore.worker.run_store import RunStore
from jobcore.worker.run_threads import RunThreads

REFUSALS_MAX: Final = 5
"""The workers that may hand a job back because they cannot read its input, before it fails: the API has checked the
input, so during a deploy a worker of another version may read it."""

T = TypeVar("T")

log = logs.get(__name__)


class InputRefused(Exception):
    """This worker does not know the task type, or its version of the type refuses the input."""


class Host(Protocol):
    """Where the code of a `def` runs: the main thread (`Interrupts`) or a thread of the pool (`ThreadInterrupts`)."""

    def call(self, key: RunKey, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call task code, which can be interrupted."""

    def shield(self) -> AbstractContextManager[None]:
        """Delay an interrupt until the end of this block."""


class AsyncHost(Protocol):
    """Where the code of an `async def` runs: the event loop (`AsyncLane`)."""

    stored: Stored
    """Awaits what a context stores."""

    async def call(self, function: TaskFunction, /, *args: Any, **kwargs: Any) -> Any:
        """Await task code, which can be cancelled."""


class JobRun:
    """Runs a claimed job once: reads its input, calls the task's function, and says how that ended.

    `execute` calls a `def` on this thread, `execute_async` awaits an `async def`; all else is the same.
    """

    def __init__(self, store: RunStore, registry: Registry) -> None:
        self._claim = store.claim
        self.store = store
        self._registry = registry
        self._task_type: TaskType
        self.stop_method = "finished"
        """How the run stopped, for the cancel receipt if the job was cancelled meanwhile."""
        self._input = RunInput(store)

    def execute(self, host: Host) -> Outcome | None:
        """The outcome of the run; None if it was stopped for a drain and must be handed back."""
        with traces.run_span(self._claim) as span:
            try:
                function, args, kwargs = self._read(RunContext(self.store, host.shield))
                try:
                    with RunProcesses(self.store), RunThreads(self.store):
                        returned = host.call(self.store.key, function, *args, **kwargs)
                finally:
                    self.store.inputs.remove()
            except BaseException as error:
                return self._told(span, self._raised, error)
            return self._told(span, self._returned, returned)

    async def execute_async(self, host: AsyncHost) -> Outcome | None:
        """`execute` of an `async def`, on the event loop."""
        with traces.run_span(self._claim) as span:
            try:
                function, args, kwargs = self._read(RunAsyncContext(self.store, host.stored))
                try:
                    async with RunProcesses(self.store), RunThreads(self.store):
                        returned = await host.call(function, *args, **kwargs)
                finally:
                    if self.store.inputs.any:
                        await host.stored(self.store.inputs.remove)
            except BaseException as error:
                return self._told(span, self._raised, error)
            return self._told(span, self._returned, returned)

    def _read(self, context: Context) -> tuple[TaskFunction, tuple[Any, ...], Mapping[str, Any]]:
        """The function of the task, and its arguments. Raises InputRefused if this worker cannot read the input."""
        try:
            self._task_type = self._registry.get(self._claim.task_type)
            value = self._input.read(self._task_type.input_model)
        except UnknownTaskType as error:
            raise InputRefused(str(error)) from None
        except CannotOpen as error:
            raise InputRefused(f"input: {error}") from None
        except ValidationError as error:
            raise InputRefused(problems_of(error)) from None
        except Exception as error:  # a validator of the model may raise anything
            raise InputRefused(f"input: cannot be checked: {type(error).__name__}: {message_of(error)}") from None
        return self._task_type.function, *self._task_type.arguments(context, value)

    def _told(self, span: Span, conclude: Callable[[T], Outcome | None], ended: T) -> Outcome | None:
        """The outcome that follows from how the task ended, also in the span."""
        try:
            outcome = conclude(ended)
        except Exception as error:
            # reading a task's exception may itself raise, and the job must end nevertheless
            log.exception("cannot describe the error of a run", job_id=str(self._claim.id))
            outcome = self._failed(ErrorKind.RAISED, InvalidOutput(f"unreadable: {type(error).__name__}"), None)
        if outcome is not None and outcome.error is not None:
            span.set_status(SpanStatus(StatusCode.ERROR, outcome.error["message"]))
        return outcome

    def _returned(self, returned: Any) -> Outcome:
        try:
            return self._succeeded(result_of(self._task_type, returned, self.store.bounds.result_bytes))
        except InvalidOutput as error:
            return self._failed(ErrorKind.INVALID, error, None)

    def _raised(self, error: BaseException) -> Outcome | None:
        if isinstance(error, InputRefused):
            return self._refused(error)
        if isinstance(error, Exception):
            self._keep_traceback(error)
            retries = self._task_type.retry.retries(error)
            return self._failed(ErrorKind.RAISED, error, self._delay_s(error) if retries else None)
        # a task group wraps the exception that stopped it
        if stop := next((leaf for leaf in leaves(error) if isinstance(leaf, JobCancelled)), None):
            return self._stopped(stop)
        if isinstance(error, CancelledError) and self.store.should_stop:
            return self._stopped(JobCancelled("the task was cancelled"))
        # sys.exit() in the task, or KeyboardInterrupt: worth another try
        return self._failed(ErrorKind.RAISED, error, self._delay_s())

    def _delay_s(self, error: Exception | None = None) -> float:
        return self._task_type.retry.of_job(self._claim.retry).delay_s(self._claim.tries, error)

    def _refused(self, error: InputRefused) -> Outcome:
        """Hand the job back for a worker of another version; FAILED once REFUSALS_MAX runs have refused its input."""
        refusals = self._claim.refusals
        if refusals >= REFUSALS_MAX:
            return self._failed(ErrorKind.INVALID, error, None)
        retry_s = self.store.bounds.refused_backoff_s * 2**refusals
        log.warning(
            "this version cannot read the input; handing the job back",
            job_id=str(self._claim.id),
            task_type=self._claim.task_type,
            error=self._input.hide(str(error)),
            again_in_s=retry_s,
        )
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.PENDING,
            error=self._error(error, ErrorKind.INVALID),
            retry_s=retry_s,
            refused=True,
        )

    def _stopped(self, stop: JobCancelled) -> Outcome | None:
        reason = stop.reason if isinstance(stop, JobInterrupted) else self.store.stop_reason
        self.stop_method = "signal" if isinstance(stop, JobInterrupted) else "cooperative"
        if reason is StopReason.DRAIN:
            self.store.store_last()
            return None
        if reason is StopReason.TIMEOUT:
            message = f"it ran longer than {self._claim.timeout_s:g} s"
            return self._failed(ErrorKind.TIMEOUT, TimeoutError(message), self._delay_s())
        # cancelled, or the claim is lost: the fence refuses this outcome, and the receipt gets the method;
        # a task that raises JobCancelled without a stop request fails
        return self._failed(ErrorKind.RAISED, stop, None)

    def _succeeded(self, result: JsonText) -> Outcome:
        last = self.store.take_last()
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
        last = self.store.take_last()
        again_in_s = retry_s if self._claim.tries < self._claim.max_attempts else None
        log.warning(
            "an attempt failed",
            job_id=str(self._claim.id),
            task_type=self._claim.task_type,
            attempt=self._claim.attempt,
            kind=kind.value,
            error=self._input.hide(message_of(error)),
            again_in_s=None if again_in_s is None else round(again_in_s, 1),
        )
        return Outcome(
            self._claim.id,
            self._claim.fence,
            Status.FAILED if again_in_s is None else Status.PENDING,
            error=self._error(error, kind),
            retry_s=again_in_s,
            progress=last.progress,
            events=last.events,
            output_bytes=last.output_bytes,
        )

    def _error(self, error: BaseException, kind: ErrorKind) -> dict[str, Any]:
        """What is stored of an error, without the secrets of the input."""
        return {
            name: self._input.hide(value) if isinstance(value, str) else value
            for name, value in error_of(error, kind, self._claim.attempt).items()
        }

    def _keep_traceback(self, error: Exception) -> None:
        """Add the traceback to the span, and to the job's log unless the task raised one of our errors on purpose."""
        hide = self._input.hide
        text = hide(traceback_of(error))
        attributes = {"exception.type": type(error).__name__, "exception.message": hide(message_of(error))}
        trace.get_current_span().add_event("exception", attributes | {"exception.stacktrace": text})
        if isinstance(error, InvalidValue) or not isinstance(error, PermanentError | RetryableError):
            self.store.buffer.add_traceback(text)
