"""What waits to be stored, in order, and how much was given and stored so far."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """Items in order; `given` counts those that were ever added."""

    def __init__(self) -> None:
        self.waiting: list[T] = []
        self.given = 0

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def stored(self) -> int:
        """How many are stored."""
        return self.given - len(self.waiting)

    def add(self, item: T) -> None:
        """Add one at the end."""
        self.waiting.append(item)
        self.given += 1

    def drop(self, count: int) -> None:
        """The first ones are stored."""
        del self.waiting[:count]
