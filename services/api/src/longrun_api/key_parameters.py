"""Parameters of requests for what is kept by key or by name: the key in the path, and where a page begins."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Query

KEY_MAX: Final = 200

AfterKey = Annotated[str, Query(max_length=KEY_MAX, pattern=r"^[^\x00]*$", description="`next` of the previous page.")]


def key_in_path(description: str) -> Any:
    """The declaration of a key in a path."""
    return Path(min_length=1, max_length=KEY_MAX, pattern=r"^[^\x00]+$", description=description)
