"""The scorecard of a storm: what was accepted, what was injected, what was lost or doubled, how long recovery took."""

from __future__ import annotations

import platform
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from tests.chaos.deploys import REFUSED
from tests.chaos.kinds import KINDS
from tests.chaos.orphans import ORPHAN
from tests.chaos.scheduled import TICK_DOUBLED, TICK_LOST, TOGETHER
from tests.invariants import LOST, NOT_ENDED, OVERLAP, TERMINAL_EVENTS

CONTROL = "nothing"


@dataclass
class Score:
    """Filled while the storm lasts, printed at its end."""

    minutes: float
    seed: int
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of each kind: seconds from the end of a fault until no job hung on what it hit and a new job had run."""
    skipped: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    """What recoveries that took long waited for."""
    problems: list[str] = field(default_factory=list)
    """Each broken promise, in words."""
    servers: str = ""
    """The versions of PostgreSQL and Redis."""
    accepted: int = 0
    stored: int = 0
    kinds_of_jobs: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    followed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def recovered(self, kind: str, seconds: float) -> None:
        """A fault of this kind is over, and what it hit is well again after so many seconds."""
        with self._lock:
            self.recoveries[kind].append(seconds)

    def problem(self, text: str) -> None:
        """A promise was broken."""
        with self._lock:
            self.problems.append(text)

    @property
    def injected(self) -> int:
        """How many faults there were so far."""
        return sum(len(times) for kind, times in self.recoveries.items() if kind != CONTROL)

    def count(self, *marks: str) -> int:
        """How many broken promises say this."""
        return sum(any(mark in problem for mark in marks) for problem in self.problems)

    def lines(self) -> Sequence[str]:
        """The scorecard, as Markdown."""
        lost = self.count(LOST, NOT_ENDED, TICK_LOST, REFUSED)
        doubled = self.count(OVERLAP, TICK_DOUBLED, TOGETHER)
        twice = self.count(TERMINAL_EVENTS)
        orphans = self.count(ORPHAN)
        kinds = sorted(set(self.recoveries) - {CONTROL})
        return [
            f"| `python -m tests.chaos --minutes {self.minutes:g} --seed {self.seed}` | |",
            "|---|---|",
            f"| machine | {_machine()} |",
            f"| servers | {self.servers} |",
            f"| jobs accepted (202), or made by a schedule | {self.accepted:,} |",
            f"| jobs stored, with those whose answer was lost | {self.stored:,} |",
            f"| of these | {_counts(self.kinds_of_jobs)} |",
            f"| ended as | {_counts(self.statuses)} |",
            f"| runs (claims) | {self.runs:,} |",
            f"| streams followed to their end over all faults | {self.followed:,} |",
            f"| faults injected | {self.injected:,}, of {len(kinds)} kinds |",
            f"| **jobs or ticks lost** | **{lost}** |",
            f"| **runs (two at once) or ticks doubled** | **{doubled}** |",
            f"| **second terminal writes** | **{twice}** |",
            f"| **processes that outlived their run** | **{orphans}** |",
            f"| other broken promises | {len(self.problems) - lost - doubled - twice - orphans} |",
            f"| worst recovery | {max((max(self.recoveries[kind]) for kind in kinds), default=0):.1f} s |",
            "",
            "| fault | what | times | recovery: median | worst |",
            "|---|---|---|---|---|",
            *(self._line(kind) for kind in ([CONTROL] if CONTROL in self.recoveries else []) + kinds),
            *(f"\nNot injected: {skipped}" for skipped in self.skipped),
        ]

    def _line(self, kind: str) -> str:
        times = sorted(self.recoveries[kind])
        median = times[len(times) // 2]
        return f"| {kind} | {KINDS[kind].text} | {len(times)} | {median:.1f} s | {times[-1]:.1f} s |"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()} "
        f"{platform.machine()}, Python {platform.python_version()}"
    )
