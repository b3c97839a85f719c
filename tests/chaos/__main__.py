"""`python -m tests.chaos [--minutes 20] [--seed N] [--kinds …] [--plan]`: a storm, its progress, its scorecard.

The same seed gives the same faults at the same times; what they hit depends on the machine. Exit code 1 if a promise
was broken; the logs and data are kept then.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.kinds import KINDS
from tests.chaos.schedule import schedule
from tests.chaos.storm import new_seed, rage

LINE_S = 15.0
"""Where the output is not a terminal, a line of progress comes so often."""


class Progress:
    """One live line on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next = 0.0

    def __call__(self, text: str) -> None:
        passed = int(time.monotonic() - self._began)
        line = f"{passed // 60:3}:{passed % 60:02} {text}"
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_S
            print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run a storm as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="A storm of faults over a mixed load.")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=None, help="replay the faults of an earlier storm")
    parser.add_argument("--gap", type=float, default=4.0, help="seconds between two faults, on average")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=(), metavar="KIND", help="only these")
    parser.add_argument("--plan", action="store_true", help="only print which faults would come")
    options = parser.parse_args()
    seed = new_seed() if options.seed is None else options.seed
    planned = schedule(seed, options.minutes, options.gap, options.kinds)
    if options.plan:
        print(*planned, sep="\n")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="longrun-chaos-"))
    folder.chmod(0o711)
    print(f"seed {seed}: {len(planned)} faults in {options.minutes:g} minutes; logs in {folder}", file=sys.stderr)
    score = rage(folder, planned, options.minutes, seed, Progress())
    print("", *score.lines(), sep="\n")
    print("", *score.slow, sep="\n", file=sys.stderr)
    if score.problems:
        print("", "Broken promises:", *score.problems, "", f"The logs and data are in {folder}", sep="\n")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
