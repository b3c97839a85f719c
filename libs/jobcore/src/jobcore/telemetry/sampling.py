"""Which spans may begin a trace. Imported only if tracing is on, because it loads the SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

JOB_ID: Final = "longrun.job.id"


class RequestsAndRuns(Sampler):
    """Only a request to the API or the run of a job begins a trace, if `chosen` wants it.

    Other spans without a parent come from periodic work: SQL of the keeper and the supervisor, wake-ups without a
    submission, probes. They would outnumber the traces of jobs.
    """

    def __init__(self, chosen: Sampler) -> None:
        self._chosen = chosen

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Drop other spans without a parent; ask `chosen` about the rest."""
        has_parent = get_current_span(parent_context).get_span_context().is_valid
        if has_parent or kind is SpanKind.SERVER or JOB_ID in (attributes or {}):
            return self._chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        """The name of this sampler in the logs of the SDK."""
        return f"RequestsAndRuns({self._chosen.get_description()})"
