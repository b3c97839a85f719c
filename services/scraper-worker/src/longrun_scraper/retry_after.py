"""The Retry-After header (RFC 9110 §10.2.3): seconds, or an HTTP-date."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 86_400.0
"""Longer delays are cut to a day, because they are probably mistakes."""


def delay_s(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait from `now` (default: the current time), at most LONGEST_S; None without a valid header."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_S)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:  # an asctime-date has no zone; HTTP dates are in UTC (RFC 9110 §5.6.7)
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, (when - (now or datetime.now(UTC))).total_seconds()), LONGEST_S)
