"""What PostgreSQL did for each statement of the store: the plans that auto_explain reports to the client."""

from __future__ import annotations

import json
import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sqlalchemy import TextClause, event

from jobcore import store
from jobcore.store.database import Database
from jobcore.store.prepared import Prepared

EXPLAINING = {
    "shared_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "jit": "on",
}
COMPILES_FROM = 100_000
"""PostgreSQL's default of jit_above_cost."""


@dataclass(frozen=True)
class Plan:
    """One execution: blocks that were read, the planner's estimate, and the tables that were read as a whole."""

    blocks: int
    cost: float
    scanned: frozenset[str]
    text: str


class Recorder:
    """The plans of every statement that a database sent, by the statement's name in the store."""

    def __init__(self) -> None:
        self.names = statements()
        self.plans: dict[str, list[Plan]] = defaultdict(list)
        self._name = ""
        self._warnings: Any = None

    @contextmanager
    def recording(self, database: Database) -> Iterator[None]:
        """Record what is sent meanwhile."""
        engine = database.engine
        event.listen(engine, "before_execute", self._begin)
        event.listen(engine, "before_cursor_execute", self._listen)
        event.listen(engine, "after_cursor_execute", self._end)
        try:
            yield
        finally:
            event.remove(engine, "before_execute", self._begin)
            event.remove(engine, "before_cursor_execute", self._listen)
            event.remove(engine, "after_cursor_execute", self._end)

    def _begin(self, _connection: Any, clause: Any, *_: Any) -> None:
        self._name = self.names.get(str(clause), "")

    def _listen(self, _connection: Any, cursor: Any, *_: Any) -> None:
        self._warnings, cursor.connection.notices = cursor.connection.notices, []

    def _end(self, _connection: Any, cursor: Any, *_: Any) -> None:
        notices, cursor.connection.notices = cursor.connection.notices, self._warnings
        if self._name:
            self.plans[self._name] += [plan for notice in notices if (plan := _plan(notice))]
            self.plans[self._name] += []  # a statement that was sent is there, whatever it reported


def statements() -> dict[str, str]:
    """The name of each statement of `jobcore.store`, by its text."""
    found = {}
    for module in pkgutil.iter_modules(store.__path__):
        for name, value in vars(import_module(f"jobcore.store.{module.name}")).items():
            for key, statement in value.items() if isinstance(value, dict) else [("", value)]:
                if isinstance(statement, TextClause):
                    found[str(statement)] = f"{module.name}.{name}{key and [key]}"
            if isinstance(value, Prepared):
                for text in value.texts:
                    found[str(text)] = f"{module.name}.{name}"
    return found


def _plan(notice: str) -> Plan | None:
    _, separator, document = notice.partition("plan:\n")
    if not separator:
        return None
    explained = json.loads(document)
    plan = explained["Plan"]
    return Plan(
        plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        plan["Total Cost"],
        frozenset(_scanned(plan)),
        "\n".join([*(["JIT"] if "JIT" in explained else []), *_shown(plan, 0)]),
    )


def _shown(node: dict[str, Any], depth: int) -> Iterator[str]:
    what = (node.get(key, "") for key in ("Subplan Name", "Node Type", "Relation Name", "Index Name", "CTE Name"))
    blocks = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
    counts = f"cost {node['Total Cost']} rows {node['Plan Rows']}, was {node['Actual Rows']}, {blocks} blocks"
    yield f"{'  ' * depth}{' '.join(filter(None, what))}: {counts}"
    for child in node.get("Plans", ()):
        yield from _shown(child, depth + 1)


def _scanned(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan" and node["Actual Loops"]:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _scanned(child)
