"""Parameters of requests for what is kept by key or by name: the key in the path, and where a page begins."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Query, Request

from jobcore.models import owned_keys
from longrun_api.callers import caller_of, owner_to_look_at
from longrun_api.field_types import Owner

KEY_MAX: Final = 200

AfterKey = Annotated[str, Query(max_length=KEY_MAX, pattern=r"^[^\x00]*$", description="`next` of the previous page.")]


def key_in_path(description: str) -> Any:
    """The declaration of a key in a path."""
    return Path(min_length=1, max_length=KEY_MAX, pattern=r"^[^\x00\x1f]+$", description=description)


OfOwner = Annotated[Owner | None, Query(description="Whose key it is; by default, the caller's own.")]


def stored_key(request: Request, owner: str | None, key: str) -> str:
    """The key in a path, of this owner or else of the caller, as it is stored; raises InvalidInput."""
    return owned_keys.stored(owner_to_look_at(caller_of(request), owner), key)
