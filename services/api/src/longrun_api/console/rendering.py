"""Jinja, and how values look: everything is escaped, and text of strangers can neither act nor hide."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from longrun_api.console.assets import address

SHOWN_CHARACTERS: Final = 100_000
"""Characters of a value that a page shows; the whole value is in the API's document."""
HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
"""Characters that draw nothing, or change the order of others (UAX 9): they would make a text look like another."""
STATUS_MARKS: Final = {"PENDING": "○", "RUNNING": "◐", "SUCCESS": "●", "FAILED": "✕", "CANCELLED": "⊘"}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def plain(value: object) -> str:
    """A text without hidden characters: each is shown by its code point."""
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value))


def short(text: object, length: int = 200) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(plain(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def pretty(value: Any) -> str:
    """A JSON value as indented text, at most SHOWN_CHARACTERS of it."""
    text = plain(json.dumps(value, indent=2, ensure_ascii=False))
    rest = len(text) - SHOWN_CHARACTERS
    return text if rest <= 0 else f"{text[:SHOWN_CHARACTERS]}\n… and {rest:,} more characters"


def duration(seconds: float | None) -> str:
    """A duration in its two largest units; `–` if there is none."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole, parts = round(seconds), list[str]()
    for size, unit in _UNITS:
        if whole >= size or parts:
            parts.append(f"{whole // size} {unit}")
            whole %= size
        if len(parts) == 2:
            break
    return " ".join(parts)


def between(start: str | None, end: str | None) -> float | None:
    """Seconds from one time to another."""
    if start is None or end is None:
        return None
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def time(text: str | None) -> Markup:
    """A time in UTC, which the script of the console shows in the reader's zone."""
    if text is None:
        return Markup('<span class="none">–</span>')
    shown = text[:19].replace("T", " ")
    return Markup('<time datetime="{}" title="{} UTC">{} UTC</time>').format(text, shown, shown)


def count(value: Mapping[str, Any]) -> str:
    """A number of jobs; `+` if counting has stopped at a bound."""
    return f"{value['count']:,}" + ("" if value["exact"] else "+")


def percent(progress: Mapping[str, Any]) -> int | None:
    """How much is done, from 0 to 100; None if the total is unknown."""
    total = progress.get("total")
    return round(100 * min(max(progress["done"] / total, 0), 1)) if total else None


def environment() -> Environment:
    """The environment of all templates."""
    made = Environment(
        loader=PackageLoader("longrun_api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {each.__name__: each for each in (plain, short, pretty, duration, time, count, percent)}
    made.globals |= {"asset": address, "marks": STATUS_MARKS, "between": between}
    return made


TEMPLATES: Final = environment()
