"""Every kind of fault that a storm can bring: where it strikes, how long it lasts, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.deployment import APIS, KEEPER, WORKERS, Deployment

ANY = (*APIS, *WORKERS, KEEPER)
INSTANT = (0.0, 0.0)
REDIS = ("redis",)
POSTGRES = ("postgres",)


@dataclass(frozen=True)
class Strike:
    """One fault as it happens: on this deployment, at this target, for so many seconds, with dice of its own."""

    deployment: Deployment
    target: str
    seconds: float
    seed: int


@dataclass(frozen=True)
class Kind:
    """What can strike where; `seconds` is from when to when it may last."""

    name: str
    targets: tuple[str, ...]
    seconds: tuple[float, float]
    strike: Callable[[Strike], None]

    @property
    def text(self) -> str:
        """What it is, in a few words."""
        return (self.strike.__doc__ or "").strip().rstrip(".")


KINDS: dict[str, Kind] = {}


def fault(
    targets: tuple[str, ...], seconds: tuple[float, float] = INSTANT
) -> Callable[[Callable[[Strike], None]], Callable[[Strike], None]]:
    """Make the decorated function a kind of fault; it returns when the fault is over."""

    def add(strike: Callable[[Strike], None]) -> Callable[[Strike], None]:
        name = strike.__name__
        KINDS[name] = Kind(name, targets, seconds, strike)
        return strike

    return add
