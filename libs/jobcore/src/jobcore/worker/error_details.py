"""How the exception of a run is stored: message, details, traceback. Reading it may itself raise anything."""

from __future__ import annotations

import json
import traceback
from types import TracebackType
from typing import Any, Final

from pydantic import ValidationError

from jobcore.errors import LongrunError
from jobcore.states import ErrorKind
from jobcore.worker.event_buffer import printable
from jobcore.worker.values import to_json

OUR_MODULES: Final = ("jobcore.worker.", "jobcore.testing")
STEPS_FILE: Final = "/jobcore/worker/run_steps.py"
"""Between the frames of two tasks of a run."""
MESSAGE_MAX: Final = 2_000
NAME_MAX: Final = 200
TRACEBACK_MAX: Final = 8_000
FRAMES_MAX: Final = 20
DETAILS_MAX_BYTES: Final = 16 * 1024
PROBLEMS_MAX: Final = 20


def error_of(error: BaseException, kind: ErrorKind, attempt: int) -> dict[str, Any]:
    """The `error` of a job or of one of its runs."""
    return {
        **_details(error),
        "kind": kind,
        "type": printable(type(error).__name__[:NAME_MAX]),
        "message": message_of(error),
        "attempt": attempt,
    }


def message_of(error: BaseException) -> str:
    """The error's text, at most MESSAGE_MAX characters; its type's name if it has none."""
    try:
        text = str(error)[:MESSAGE_MAX]
    except Exception:
        text = "its message cannot be read"
    return printable(text or type(error).__name__[:NAME_MAX])


def traceback_of(error: Exception) -> str:
    """The traceback of the error from the first frame of the task on."""
    frames = error.__traceback__
    while frames and frames.tb_next and _is_ours(frames):
        frames = frames.tb_next
    try:
        parts = traceback.format_exception(type(error), error, frames, limit=-FRAMES_MAX)
    except Exception as unreadable:
        return f"its traceback cannot be read: {type(unreadable).__name__}"
    # a part is a frame or a whole message; a message of megabytes must not displace the frames
    parts = [part for part in parts if STEPS_FILE not in part.partition("\n")[0]]
    short = [part if len(part) <= MESSAGE_MAX else f"{part[:MESSAGE_MAX]}…\n" for part in parts]
    return printable("".join(short))[-TRACEBACK_MAX:]


def _is_ours(frames: TracebackType) -> bool:
    return str(frames.tb_frame.f_globals.get("__name__")).startswith(OUR_MODULES)


def problems_of(error: ValidationError) -> str:
    """The fields of an input that its model refuses, and why, without the values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[:PROBLEMS_MAX]
    problems = (f"{'.'.join(['input', *map(str, item['loc'])])}: {item['msg']}" for item in found)
    return printable("; ".join(problems))


def _details(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, LongrunError):
        return {}
    try:
        found: dict[str, Any] = json.loads(to_json("details", dict(error.details), DETAILS_MAX_BYTES))
    except Exception as unstorable:
        return {"details": f"cannot be stored: {message_of(unstorable)}"}
    return found
