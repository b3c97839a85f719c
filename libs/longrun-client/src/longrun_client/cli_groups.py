"""Options of the command line that several commands share: declared once, as the parameters of a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, Final

import typer

Command = Callable[..., None]


def with_group(
    name: str, declaration: Command, make: Callable[[Mapping[str, Any]], Any]
) -> Callable[[Command], Command]:
    """Give a command of Typer the options of `declaration`, in the place of its parameter `name`.

    The command gets what `make` makes of their values.
    """
    options = inspect.signature(declaration, eval_str=True).parameters

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [each for one in own for each in (options.values() if one.name == name else [one])]

        @wraps(command)
        def with_options(**given: Any) -> None:
            made = make({option: given.pop(option) for option in options})
            command(**given, **{name: made})

        # Typer reads both
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_options

    return decorate


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-11-24 or 2026-11-24T12:00:00+01:00") from None
    return time if time.tzinfo else time.astimezone()


TIME: Final[dict[str, Any]] = {"metavar": "TIME", "parser": _time}
"""Arguments of an option that takes a time; without an offset, it is local."""
