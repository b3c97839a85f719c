"""When cron expressions come due: as crontab(5) says, strictly one after another, right at every change of clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobcore.cron import NAMED, Cron
from jobcore.errors import InvalidInput

SPRING, AUTUMN = "2026-03-29", "2026-10-25"
"""Berlin: 02:00 → 03:00 at 01:00 UTC; 03:00 → 02:00 at 01:00 UTC."""
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo",
         "Pacific/Apia", "Africa/Casablanca"]  # fmt: skip

FIELDS = [(0, 59, 59), (0, 23, 23), (1, 28, 31), (1, 12, 12), (0, 6, 6)]
"""The least value, the largest that every month has, and the largest of all."""


def field(low: int, high: int, top: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A field of an expression, and the values that it stands for."""
    one = st.integers(low, high).map(lambda value: (str(value), frozenset([value])))
    step = st.integers(1, high).map(lambda by: (f"*/{by}", frozenset(range(low, top + 1, by))))
    ends = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda pair: (min(pair), max(pair)))
    range_ = ends.map(lambda pair: (f"{pair[0]}-{pair[1]}", frozenset(range(pair[0], pair[1] + 1))))
    several = st.lists(one | range_, min_size=2, max_size=3).map(
        lambda parts: (",".join(text for text, _ in parts), frozenset().union(*(values for _, values in parts)))
    )
    return st.just(("*", frozenset(range(low, top + 1)))) | one | step | range_ | several


times = st.integers(1_420_000_000, 2_050_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))


def ticks(expression: str, zone: str, after: str, count: int) -> list[str]:
    found = islice(Cron.parse(expression, zone).ticks(datetime.fromisoformat(after).replace(tzinfo=UTC)), count)
    return [f"{tick:%m-%d %H:%M}" for tick in found]


@given(fields=st.tuples(*(field(*bounds) for bounds in FIELDS)), zone=st.sampled_from(ZONES), after=times)
def test_ticks_rise_strictly_and_match_the_expression(
    fields: tuple[tuple[str, frozenset[int]], ...], zone: str, after: datetime
) -> None:
    minute, hour, day, month, weekday = fields
    cron = Cron.parse(" ".join(text for text, _ in fields), zone)
    found = list(islice(cron.ticks(after), 20))
    assert all(earlier < later for earlier, later in pairwise([after, *found]))
    for tick in found:
        local = tick.astimezone(ZoneInfo(zone))
        if _near_a_change(tick, zone):
            continue  # a tick that the clock leaps over is made up for right after: see the examples below
        assert local.minute in minute[1]
        assert local.hour in hour[1]
        assert local.month in month[1]
        days = (local.day in day[1], (local.weekday() + 1) % 7 in weekday[1])
        assert all(days) if "*" in (day[0][0], weekday[0][0]) else any(days)
        assert (tick.second, tick.microsecond, tick.tzinfo) == (0, 0, UTC)


@given(fields=st.tuples(*(field(*bounds) for bounds in FIELDS)), zone=st.sampled_from(ZONES), after=times)
def test_no_tick_depends_on_where_one_begins_to_look(
    fields: tuple[tuple[str, frozenset[int]], ...], zone: str, after: datetime
) -> None:
    cron = Cron.parse(" ".join(text for text, _ in fields), zone)
    found = list(islice(cron.ticks(after), 6))
    for place, tick in enumerate(found):
        assert list(islice(cron.ticks(tick), 6))[: 5 - place] == found[place + 1 :]
        assert cron.next(tick - timedelta(seconds=1)) == tick


@given(
    fields=st.tuples(*(field(*bounds) for bounds in FIELDS)),
    zone=st.sampled_from(ZONES),
    after=times,
    hours=st.floats(0, 2000),
    count=st.integers(1, 30),
)
def test_the_latest_ticks_are_the_last_of_all(
    fields: tuple[tuple[str, frozenset[int]], ...], zone: str, after: datetime, hours: float, count: int
) -> None:
    cron = Cron.parse(" ".join(text for text, _ in fields), zone)
    until = after + timedelta(hours=hours)
    every = list(takewhile(lambda tick: tick <= until, islice(cron.ticks(after), 3000)))
    if len(every) < 3000:
        assert cron.latest(after, until, count) == every[-count:]


def test_the_latest_ticks_are_all_there_are_where_there_are_few() -> None:
    until = datetime(2026, 11, 24, tzinfo=UTC)
    found = Cron.parse("0 0 29 2 *", "UTC").latest(datetime(2013, 1, 1, tzinfo=UTC), until, 100)
    assert [tick.year for tick in found] == [2016, 2020, 2024]


def test_the_latest_ticks_of_ten_years_of_seconds_are_found_at_once() -> None:
    until = datetime(2026, 11, 24, 12, tzinfo=UTC)
    started = time.process_time()
    for zone in ZONES:
        found = Cron.parse("* * * 1 * *" if zone == "UTC" else "* * * * * *", zone).latest(
            until - timedelta(days=3653), until, 100
        )
        assert len(found) == 100
        assert all(later - earlier == timedelta(seconds=1) for earlier, later in pairwise(found))
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # the clock leaps over 02:30: it runs at 03:00, once
        ("30 2 * * *", "Europe/Berlin", f"{SPRING}T00:00", ["03-29 01:00", "03-30 00:30"]),
        ("0,30 2 * * *", "Europe/Berlin", f"{SPRING}T00:00", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
        ("0,30 2-3 * * *", "Europe/Berlin", f"{SPRING}T00:00", ["03-29 01:00", "03-29 01:30", "03-30 00:00"]),
        # 02:30 comes twice: the first one counts
        ("30 2 * * *", "Europe/Berlin", f"{AUTUMN}T00:00", ["10-25 00:30", "10-26 01:30"]),
        ("30 2 * * *", "Europe/Berlin", f"{AUTUMN}T01:15", ["10-26 01:30"]),
        ("50 2 * * *", "Europe/Berlin", f"{AUTUMN}T01:45", ["10-26 01:50"]),
        # what runs every so many minutes, or each hour, goes by real time
        ("*/30 * * * *", "Europe/Berlin", f"{SPRING}T00:30", ["03-29 01:00", "03-29 01:30", "03-29 02:00"]),
        ("*/30 * * * *", "Europe/Berlin", f"{AUTUMN}T00:00", ["10-25 00:30", "10-25 01:00", "10-25 01:30"]),
        ("15 * * * *", "Europe/Berlin", f"{AUTUMN}T00:00", ["10-25 00:15", "10-25 01:15", "10-25 02:15"]),
        # half an hour's shift
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00", ["10-03 15:30", "10-04 15:15"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["04-04 14:45", "04-05 15:15"]),
        # a midnight that is not there
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00", ["11-04 03:00", "11-05 02:00"]),
        # a day that is not there: 2011-12-30 in Samoa
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00", ["12-29 22:00", "12-30 10:00", "12-30 22:00"]),
        # with seconds there is no making up: 02:30 is not there, or twice
        ("0 30 2 * * *", "Europe/Berlin", f"{SPRING}T00:00", ["03-30 00:30"]),
        ("0 30 2 * * *", "Europe/Berlin", f"{AUTUMN}T00:00", ["10-25 00:30", "10-25 01:30", "10-26 01:30"]),
    ],
)
def test_a_change_of_clocks(expression: str, zone: str, after: str, expected: list[str]) -> None:
    assert ticks(expression, zone, after, len(expected)) == expected


@pytest.mark.parametrize("name", NAMED)
def test_names_stand_for_expressions(name: str) -> None:
    now = datetime(2026, 5, 17, 13, 37, tzinfo=UTC)
    assert Cron.parse(name.upper(), "UTC").next(now) == Cron.parse(NAMED[name], "UTC").next(now)


@pytest.mark.parametrize(
    ("expression", "timezone", "complaint"),
    [
        ("", "UTC", "cron: is not a cron expression"),
        ("* * *", "UTC", "cron: is not a cron expression: give minute, hour"),
        ("60 * * * *", "UTC", "cron: has a bad minute"),
        ("* * 0 * *", "UTC", "cron: has a bad day-of-month"),
        ("0 0 31 2 *", "UTC", "cron: has a bad day-of-month"),
        ("* * */20 * 1L", "UTC", "cron: has no tick"),
        ("9" * 5000 + " * * * *", "UTC", "cron: must have at most"),
        ("9" * 190 + " * * * *", "UTC", "cron: has a bad minute"),
        ("* * * * *", "Europe/Berln", "timezone: 'Europe/Berln' is not a time zone .* did you mean Europe/Berlin"),
        ("* * * * *", "../etc/passwd", "timezone: "),
        ("* * * * *", "Europe", "timezone: "),
        ("* * * * *", "", "timezone: .* such as UTC"),
        ("* * * * *", "a\0b", "timezone: "),
    ],
)
def test_a_mistake_names_its_field(expression: str, timezone: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        Cron.parse(expression, timezone)


@given(expression=st.text(max_size=40) | st.text("0123456789*/,-#LW? MONJA", max_size=30))
def test_whatever_is_given_is_a_cron_expression_or_a_named_mistake(expression: str) -> None:
    try:
        cron, at_fault = Cron.parse(expression, "Europe/Berlin"), ""
    except InvalidInput as error:
        [at_fault] = [item.field for item in error.errors]
    assert at_fault == "cron" or cron.next(datetime.now(UTC))


def _near_a_change(tick: datetime, zone: str) -> bool:
    """Whether a day about this tick has another offset."""
    offsets = {
        (tick + timedelta(hours=hours)).astimezone(ZoneInfo(zone)).utcoffset() for hours in (-26, -2, -1, 0, 1, 2, 26)
    }
    return len(offsets) > 1
