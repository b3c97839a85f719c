"""Faults of Redis: it dies, freezes, forgets, fills up, goes back in time, or its list holds nonsense."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.deployment import WAKE_UPS
from tests.chaos.kinds import REDIS, Strike, fault

BRIEF = (0.5, 3.0)
LONG = (2.0, 8.0)
GARBAGE = ("this is not a message", b"\xff\x00", "{}", '{"body": 1}', "null", "[]")


def restarted(strike: Strike, meanwhile: Callable[[Path], None]) -> None:
    """Kill Redis, do something to its files, start it."""
    server = strike.deployment.redis
    server.stop(immediate=True)
    try:
        meanwhile(server.folder / "appendonlydir")
    finally:
        server.start()


def newest_aof(folder: Path) -> Path:
    return max(folder.glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)


@fault(REDIS)
def redis_killed(strike: Strike) -> None:
    """SIGKILL, and a start at once."""
    restarted(strike, lambda _folder: None)


@fault(REDIS, LONG)
def redis_away(strike: Strike) -> None:
    """SIGKILL, and a start some seconds later."""
    restarted(strike, lambda _folder: time.sleep(strike.seconds))


@fault(REDIS, LONG)
def redis_frozen(strike: Strike) -> None:
    """SIGSTOP, then SIGCONT."""
    pid = strike.deployment.redis.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(strike.seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


@fault(REDIS)
def redis_flushed(strike: Strike) -> None:
    """FLUSHALL."""
    with strike.deployment.broker() as client:
        client.flushall()


@fault(REDIS)
def redis_lost_with_its_disk(strike: Strike) -> None:
    """SIGKILL, its append-only files deleted, a start."""
    restarted(strike, shutil.rmtree)


@fault(REDIS)
def redis_aof_truncated(strike: Strike) -> None:
    """SIGKILL, 3,000 bytes off the end of its append-only file, a start."""

    def truncate(folder: Path) -> None:
        path = newest_aof(folder)
        os.truncate(path, max(0, path.stat().st_size - 3000))

    restarted(strike, truncate)


@fault(REDIS)
def redis_aof_damaged(strike: Strike) -> None:
    """SIGKILL, noise in the middle of its append-only file, a start."""

    def damage(folder: Path) -> None:
        path = newest_aof(folder)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(random.Random(strike.seed).randbytes(200))

    restarted(strike, damage)


@fault(REDIS, BRIEF)
def redis_failed_over(strike: Strike) -> None:
    """Redis goes back to what it held some seconds ago, as when a lagging replica is promoted."""
    folder = strike.deployment.redis.folder / "appendonlydir"
    kept = folder.with_name("kept")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, ignore_dangling_symlinks=True)
    time.sleep(strike.seconds)

    def go_back(folder: Path) -> None:
        shutil.rmtree(folder)
        kept.rename(folder)

    restarted(strike, go_back)


@fault(REDIS)
def redis_clients_killed(strike: Strike) -> None:
    """CLIENT KILL of every connection."""
    with strike.deployment.broker() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


@fault(REDIS, LONG)
def redis_full(strike: Strike) -> None:
    """Redis has no memory left and refuses every write (OOM), as with a full disk (MISCONF)."""
    with strike.deployment.broker() as client:
        client.config_set("maxmemory", "1mb")
        try:
            time.sleep(strike.seconds)
        finally:
            client.config_set("maxmemory", "0")


@fault(REDIS, LONG)
def redis_read_only(strike: Strike) -> None:
    """Redis takes no writes (NOREPLICAS), as a primary that lost its replicas."""
    with strike.deployment.broker() as client:
        client.config_set("min-replicas-to-write", "3")
        try:
            time.sleep(strike.seconds)
        finally:
            client.config_set("min-replicas-to-write", "0")


@fault(REDIS)
def poison_in_the_list(strike: Strike) -> None:
    """Garbage in the list of wake-ups."""
    with strike.deployment.broker() as client:
        client.lpush(WAKE_UPS, *GARBAGE)


@fault(REDIS)
def wake_ups_multiplied(strike: Strike) -> None:
    """A hundred copies of a wake-up."""
    with strike.deployment.broker() as client:
        for _ in range(200):
            if waiting := client.lrange(WAKE_UPS, 0, 0):
                client.lpush(WAKE_UPS, *waiting * 100)
                return
            time.sleep(0.01)
