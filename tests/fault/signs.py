"""Signs of life of processes that a run leaves; it imports little, because each of them that is Python imports it."""

from __future__ import annotations

import os
import time

SIGN_S = 0.03


def write_signs(path: str) -> None:
    """Write pid and time, again and again for ever."""
    while True:
        with open(path, "a") as file:
            file.write(f"{os.getpid()} {time.time():.6f}\n")
        time.sleep(SIGN_S)  # the pace of the signs
