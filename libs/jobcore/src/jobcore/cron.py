"""Cron expressions in a time zone: when they come due. docs/schedules.md says what that means for users.

"30 2 * * *"       minute, hour, day of month, month, day of week, as in crontab(5)
"*/10 * * * * *"   with seconds in front
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
"""No zone has ever put its clock forward or back by more."""
SHORTEST_SPAN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """A valid expression in a time zone that exists; ticks are whole seconds, in UTC."""

    expression: str
    zone: ZoneInfo

    @classmethod
    def parse(cls, expression: str, timezone: str) -> Self:
        """InvalidInput names `cron` or `timezone`, and says what is wrong with it."""
        cron = cls(NAMED.get(expression.strip().lower(), expression), _zone(timezone))
        if len(expression) > MAX_LENGTH:
            raise InvalidInput(FieldError("cron", f"must have at most {MAX_LENGTH} characters"))
        try:
            never = cron.next(datetime.now(UTC)) is None
        except (CronSimError, ValueError) as error:
            raise InvalidInput(FieldError("cron", _complaint(str(error)))) from None
        if never:
            raise InvalidInput(FieldError("cron", "never comes due in the next 50 years"))
        return cron

    def next(self, after: datetime) -> datetime | None:
        """The first tick after this time; None if there is none for 50 years."""
        return next(self.ticks(after), None)

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """Every tick after this time, in order, each once."""
        last = after
        for local in CronSim(self.expression, after.astimezone(self.zone)):
            tick = local.astimezone(UTC)
            # where the clock is put forward several ticks may fall together, where it is put back one may lie behind us
            if tick > last:
                yield tick
                last = tick

    def latest(self, after: datetime, until: datetime, count: int) -> list[datetime]:
        """The last `count` ticks after `after` and not after `until`, in order; quick however long that time is."""
        backwards = islice(CronSim(self.expression, until.astimezone(self.zone), reverse=True), count, None)
        oldest = next(backwards, None)
        span = SHORTEST_SPAN if oldest is None else until - oldest.astimezone(UTC) + SHORTEST_SPAN
        while True:
            # going back is only a guess of where to begin: what a clock change moves is right going forward
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
    raise InvalidInput(FieldError("timezone", f"{name[:100]!r} is no time zone of the IANA database: {hint}"))


def _complaint(said: str) -> str:
    what = said.replace("Bad ", "has a bad ") if said.startswith("Bad ") else "is no cron expression"
    return (
        f"{what}: give minute, hour, day of month, month, day of week, such as 30 2 * * MON-FRI (seconds first if six)"
    )
