"""Base classes of responses."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")


class Wire(BaseModel):
    """Base class of all responses and their parts."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class KeysetPage(Wire, Generic[Item]):
    """A page of items; `next` is the cursor of the next page, None on the last one."""

    items: tuple[Item, ...]
    next: str | None = None


class SeqPage(Wire, Generic[Item]):
    """A page of items in the order of their seq; pass `next_after` as `after` to get the items that follow."""

    items: tuple[Item, ...]
    next_after: int
