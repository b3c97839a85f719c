"""The table of API keys for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from longrun_client.models_keys import ApiKey
from longrun_client.tables import new_table
from longrun_client.text import local_time, printable


def key_table(keys: Iterable[ApiKey]) -> Table:
    """One row per key."""
    table = new_table("ID", "NAME", "OWNER", "SCOPES", "STATE", "LAST USED")
    for key in keys:
        table.add_row(
            key.id,
            printable(key.name),
            "-" if key.owner is None else printable(key.owner),
            " ".join(key.scopes),
            _state(key),
            "never" if key.last_used_at is None else local_time(key.last_used_at),
        )
    return table


def _state(key: ApiKey) -> Text:
    if key.revoked_at is not None:
        return Text("revoked", "red")
    if key.expires_at is None:
        return Text("valid")
    if key.expires_at <= datetime.now(UTC):
        return Text("expired", "red")
    return Text(f"until {local_time(key.expires_at)}")
