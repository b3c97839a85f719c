"""Times as the API shows them: RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def rfc3339(time: datetime) -> str:
    """An RFC 3339 time in UTC, in the same form as Pydantic's."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


Utc = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]
