"""What the shell completes, by asking the server: ids of tasks, keys and webhooks; task types, queues and schedules.

`longrun --install-completion` sets the shell up. A server that does not answer at once completes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Final, TypeVar

import typer

from longrun_client import calls, calls_keys, calls_list, calls_queues, calls_schedules, calls_webhooks
from longrun_client.calls import Call
from longrun_client.errors import LongrunError
from longrun_client.server import Server
from longrun_client.transport import Transport

Found = Iterable[tuple[str, str]]
"""Words, and what each is."""
Complete = Callable[[typer.Context, str], Found]

ANSWER_S: Final = 5.0
"""How long a shell waits for the server."""
SHOWN: Final = 50
PLAIN: Final = re.compile(r"[\w.:/-]+", re.ASCII)
"""Words that mean the same in every shell: a shell may execute others."""

T = TypeVar("T")


def _completing(call: Callable[[str], Call[T]], words: Callable[[T], Found]) -> Complete:
    """A completion by one call for what begins with the given text, whose value has these words."""

    def complete(context: typer.Context, incomplete: str) -> Found:
        try:
            server = Server.at(context.find_root().params.get("server"), ANSWER_S, ANSWER_S)
            with closing(Transport(server)) as transport:
                found = list(words(transport.once(call(incomplete))))
        except (LongrunError, ValueError):
            return []
        return [
            (word, what if PLAIN.fullmatch(what) else "")
            for word, what in found
            if word.startswith(incomplete) and PLAIN.fullmatch(word)
        ]

    return complete


task_ids: Final = _completing(
    lambda beginning: calls_list.page(SHOWN, None, {"id_prefix": beginning or None, "fields": ["task_id"]}),
    lambda page: ((task.task_id, f"{task.task_type}:{task.status}") for task in page.items),
)
task_types: Final = _completing(lambda _: calls.task_types(), lambda known: ((each.name, each.queue) for each in known))
queues: Final = _completing(
    lambda _: calls_queues.queue_page(None), lambda page: ((each.name, "") for each in page.items)
)
schedules: Final = _completing(
    lambda _: calls_schedules.schedule_page(None),
    lambda page: ((each.name, str(each.task.get("task_type", ""))) for each in page.items),
)
key_ids: Final = _completing(
    lambda _: calls_keys.key_page(None), lambda page: ((each.id, each.name) for each in page.items)
)
webhook_ids: Final = _completing(
    lambda _: calls_webhooks.page(None), lambda page: ((each.webhook_id, each.url) for each in page.items)
)
