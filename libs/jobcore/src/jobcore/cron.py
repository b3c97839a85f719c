"""Cron expressions in a time zone, and their ticks. docs/schedules.md explains them to users.

"30 2 * * *"       minute, hour, day of month, month, day of week, as in crontab(5)
"*/10 * * * * *"   the same, after a field of seconds
"@daily"           yearly, monthly, weekly, daily, hourly
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from itertools import islice, takewhile
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from jobcore.errors import FieldError, InvalidInput

NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MAX_LENGTH: Final = 200
LONGEST_SHIFT: Final = timedelta(hours=25)
"""More than any time zone has ever moved its clock at once."""
SHORTEST_SPAN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """A valid expression in a known time zone; its ticks are whole seconds, in UTC."""

    expression: str
    zone: ZoneInfo

    @classmethod
    def parse(cls, expression: str, timezone: str) -> Self:
        """Parse an expression. Raises InvalidInput, which names `cron` or `timezone` and says what is wrong with it."""
        cron = cls(NAMED.get(expression.strip().lower(), expression), _zone(timezone))
        if len(expression) > MAX_LENGTH:
            raise InvalidInput(FieldError("cron", f"must have at most {MAX_LENGTH} characters"))
        try:
            never = cron.next(datetime.now(UTC)) is None
        except (CronSimError, ValueError) as error:
            raise InvalidInput(FieldError("cron", _problem(str(error)))) from None
        if never:
            raise InvalidInput(FieldError("cron", "has no tick in the next 50 years"))
        return cron

    def next(self, after: datetime) -> datetime | None:
        """The first tick after this time; None if the next 50 years have none."""
        return next(self.ticks(after), None)

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """All ticks after this time, in order and without duplicates."""
        last = after
        for local in CronSim(self.expression, after.astimezone(self.zone)):
            tick = local.astimezone(UTC)
            # when the clock moves forward, several local times are one tick; when it moves back, a tick may repeat
            if tick > last:
                yield tick
                last = tick

    def latest(self, after: datetime, until: datetime, count: int) -> list[datetime]:
        """The last `count` ticks in (after, until], in order. The cost depends on `count` alone."""
        backwards = islice(CronSim(self.expression, until.astimezone(self.zone), reverse=True), count, None)
        oldest = next(backwards, None)
        span = SHORTEST_SPAN if oldest is None else until - oldest.astimezone(UTC) + SHORTEST_SPAN
        while True:
            # going backwards only estimates the start, because clock changes are handled right only going forwards
            start = max(after, until - span)
            found = deque(takewhile(lambda tick: tick <= until, self.ticks(start)), maxlen=count)
            if len(found) == count or start == after:
                return list(found)
            span = min(2 * span + LONGEST_SHIFT, until - after)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(name: str) -> ZoneInfo:
    try:
        if name in _zones():
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    close = get_close_matches(name[:100], _zones(), 1)
    hint = f"did you mean {close[0]}?" if close else "such as UTC or Europe/Berlin"
    raise InvalidInput(FieldError("timezone", f"{name[:100]!r} is not a time zone of the IANA database: {hint}"))


def _problem(message: str) -> str:
    what = message.replace("Bad ", "has a bad ") if message.startswith("Bad ") else "is not a cron expression"
    fields = "minute, hour, day of month, month, day of week, such as 30 2 * * MON-FRI"
    return f"{what}: give {fields}; a field in front of these is for seconds"
