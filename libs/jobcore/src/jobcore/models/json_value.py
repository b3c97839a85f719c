"""JSON that is stored as the text that it already is."""

from __future__ import annotations


class JsonText(str):
    """The JSON text of a value. A row that holds one is stored without serializing the value again."""

    __slots__ = ()
