"""Keys of owners: each owner has keys of its own, because what is stored begins with the owner.

    given by          stored
    the operator      key
    an owner          owner U+001F key

So no statement about keys knows of owners: two owners never share a limit, a turn, a dedupe key, an idempotency key or
the name of a schedule. Neither an owner nor a key that a client gives has the character U+001F.
"""

from __future__ import annotations

import re
from typing import Final, overload

SEPARATOR: Final = "\x1f"
"""Unit separator: a control character that nobody types."""
OWNER_MAX: Final = 200
"""The most characters of an owner."""
OWNER: Final = r"^[^\x00-\x1f\x7f]+$"
_OWNER: Final = re.compile(rf"[^\x00-\x1f\x7f\ud800-\udfff]{{1,{OWNER_MAX}}}")


def is_owner(text: str) -> bool:
    """Whether this can be an owner: 1 to OWNER_MAX characters, none of them a control character."""
    return _OWNER.fullmatch(text) is not None


@overload
def stored(owner: str | None, key: str) -> str: ...
@overload
def stored(owner: str | None, key: None) -> None: ...
def stored(owner: str | None, key: str | None) -> str | None:
    """What is stored for this key of an owner; None: of the operator."""
    return key if owner is None or key is None else f"{owner}{SEPARATOR}{key}"


def turn(owner: str) -> str:
    """The fairness key of all jobs of an owner."""
    return stored(owner, "")


def shown(key: str | None) -> str | None:
    """A stored key as its owner gave it; None for that of an owner's turn, which nobody gave."""
    if key is None or SEPARATOR not in key:
        return key
    return key.partition(SEPARATOR)[2] or None


def name(key: str) -> str:
    """A stored key, which is not that of a turn, as its owner gave it."""
    return shown(key) or key


def owner_of(key: str) -> str | None:
    """Whose stored key this is; None: the operator's."""
    owner, separator, _ = key.partition(SEPARATOR)
    return owner if separator else None
