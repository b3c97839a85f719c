"""Task types: a function with a name, an input model, an output model and a retry policy.

    @task("web_scrape", input=ScrapeInput, output=ScrapeResult, queue="scrape", max_attempts=3)
    def web_scrape(ctx: JobContext, input: ScrapeInput) -> ScrapeResult: ...

A package announces the module of its tasks as an entry point of the group `longrun.tasks`. `load_tasks` imports all of
them in the API and in the workers, so both check an input against the same model.
"""

from jobcore.tasks.context import AsyncContext, Context, JobContext
from jobcore.tasks.decorator import task
from jobcore.tasks.modules import load_tasks
from jobcore.tasks.program import CompletedProgram
from jobcore.tasks.registry import Registry, TaskType
from jobcore.tasks.retry import LONGEST_DELAY_S, RetryPolicy, leaves

__all__ = [
    "LONGEST_DELAY_S",
    "AsyncContext",
    "CompletedProgram",
    "Context",
    "JobContext",
    "Registry",
    "RetryPolicy",
    "TaskType",
    "leaves",
    "load_tasks",
    "task",
]
