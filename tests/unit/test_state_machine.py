"""docs/state-machine.md and jobcore.states say the same."""

from __future__ import annotations

import re
from pathlib import Path

from jobcore.states import TERMINAL, TRANSITIONS, ErrorKind, Status

PAGE = (Path(__file__).parents[2] / "docs" / "state-machine.md").read_text()


CODE = sorted((str(source), event, str(target)) for (source, event), target in TRANSITIONS.items())


def test_the_diagram_draws_exactly_the_transitions_of_the_code() -> None:
    drawn = re.findall(r"^ +([A-Z]+) --> ([A-Z]+): (.+)$", PAGE, re.MULTILINE)
    assert sorted((source, event, target) for source, target, event in drawn) == CODE


def test_the_table_lists_exactly_the_transitions_of_the_code() -> None:
    listed = re.findall(r"^\| `([A-Z]+)` \| (.+?) \| `([A-Z]+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == CODE


def test_the_diagram_begins_with_pending_and_ends_with_every_terminal_status() -> None:
    assert re.findall(r"\[\*\] --> ([A-Z]+)", PAGE) == [Status.PENDING]
    assert set(re.findall(r"([A-Z]+) --> \[\*\]", PAGE)) == TERMINAL


def test_out_of_a_terminal_status_only_a_manual_retry_leads_and_none_out_of_success() -> None:
    ways_out = {(source, event) for source, event in TRANSITIONS if source in TERMINAL}
    assert ways_out == {(Status.FAILED, "manual retry"), (Status.CANCELLED, "manual retry")}


def test_every_error_kind_is_explained() -> None:
    assert re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE) == list(ErrorKind)
