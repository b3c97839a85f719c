"""What a file may be called, and of which media type it is."""

from __future__ import annotations

import re
import unicodedata
from mimetypes import MimeTypes
from typing import Any, Final

from jobcore.errors import InvalidValue

NAME_MAX: Final = 200
"""Characters of a name."""
NAME_MAX_BYTES: Final = 255
"""Bytes of a name in UTF-8: what file systems accept."""
REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""General categories of Unicode that no name may contain: control, format (such as the reversal of the direction of
writing), surrogates and line breaks."""
JOINERS: Final = "\u200c\u200d"
"""Format characters that words of some languages, and emoji, need."""
MEDIA_TYPE: Final = re.compile(
    r"""[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+"""
    r"""([ ]?;[ ]?[!#$%&'*+.^_`|~0-9A-Za-z-]+=([!#$%&'*+.^_`|~0-9A-Za-z-]+|"[ !#-\[\]-~]*"))*"""
)
"""RFC 9110, section 8.3.1."""
MEDIA_TYPE_MAX: Final = 200
UNKNOWN: Final = "application/octet-stream"
COMPRESSED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}

_BY_NAME: Final = MimeTypes()  # the same on every machine: it reads no file of the system


def checked_name(name: Any) -> str:
    """The name. Raises InvalidValue for one that a file system, a header or a reader could take for something else."""
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_MAX:
        raise InvalidValue(f"file: name must be a string of 1 to {NAME_MAX} characters, not {str(name)[:300]!r}")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise InvalidValue(f"file: name {name!r} must not be a path: leave out the folders")
    if refused := [char for char in name if unicodedata.category(char) in REFUSED and char not in JOINERS]:
        raise InvalidValue(f"file: name {name!r} must not contain {refused[0]!r}")
    if name != name.strip():
        raise InvalidValue(f"file: name {name!r} must not begin or end with a space")
    if len(name.encode()) > NAME_MAX_BYTES:
        raise InvalidValue(f"file: name {name!r} has more than {NAME_MAX_BYTES} bytes in UTF-8")
    return name


def checked_media_type(media_type: Any, name: str) -> str:
    """The media type, or if it is None, the one that is usual for such a name. Raises InvalidValue."""
    if media_type is None:
        guessed, encoding = _BY_NAME.guess_type(name, strict=True)
        return COMPRESSED.get(encoding, UNKNOWN) if encoding else guessed or UNKNOWN
    if not isinstance(media_type, str) or len(media_type) > MEDIA_TYPE_MAX or not MEDIA_TYPE.fullmatch(media_type):
        raise InvalidValue(f"file: media_type must be one such as 'text/csv', not {str(media_type)[:300]!r}")
    return media_type
