"""The Retry-After header (RFC 9110 §10.2.3): seconds, or an HTTP-date."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 86_400.0
"""A server that asks for more than a day is tried after a day: nobody waits for its typing error."""


def delay_s(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait from `now` (default: this moment), 0 to LONGEST_S; None if there is nothing to obey."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_S)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:  # an asctime-date names no zone: HTTP-dates are UTC (RFC 9110 §5.6.7)
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, (when - (now or datetime.now(UTC))).total_seconds()), LONGEST_S)
