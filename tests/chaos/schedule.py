"""Which fault comes when: the same for the same seed, so that a storm can be looked at again."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.kinds import KINDS

CALM_S = 10.0
"""At the end of the storm: faults that begin just before its end are over by then."""


@dataclass(frozen=True)
class Planned:
    """One fault: how many seconds after the start, what, to which target, for how long, and its own dice."""

    number: int
    at_s: float
    kind: str
    target: str
    seconds: float
    seed: int

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at_s:7.1f} s  {self.kind} on {self.target}{lasts}"


def schedule(seed: int, minutes: float, gap_s: float, kinds: Collection[str] = ()) -> list[Planned]:
    """Faults about every `gap_s` seconds, of these kinds or of all; each comes once before any comes again."""
    dice = random.Random(seed)
    planned: list[Planned] = []
    at_s = gap_s
    for kind in _deck(dice, sorted(kinds or KINDS)):
        at_s += dice.uniform(0.3, 1.7) * gap_s
        if at_s > minutes * 60 - CALM_S:
            return planned
        target = dice.choice(KINDS[kind].targets)
        seconds = dice.uniform(*KINDS[kind].seconds)
        planned.append(Planned(len(planned), at_s, kind, target, seconds, dice.getrandbits(32)))
    raise AssertionError("unreachable")


def _deck(dice: random.Random, kinds: Sequence[str]) -> Iterator[str]:
    while True:
        yield from dice.sample(kinds, len(kinds))
