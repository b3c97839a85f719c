"""Whether Redis can carry wake-ups and live events, checked by the very commands that they use.

PING is not enough: a Redis that is full, a read-only replica or part of a Cluster, or that has too strict an ACL,
answers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import redis
import redis.asyncio
from redis import exceptions, sentinel
from redis.asyncio import sentinel as asyncio_sentinel

from jobcore.settings.redis_server import RedisServer

CLUSTER: Final = "it is a Redis Cluster, which is not supported: use one Redis, or Sentinel"
START_S: Final = 1.0
REFUSALS: Final = {
    "OOM": "it is out of memory",
    "MISCONF": "it cannot write to its disk",
    "NOREPLICAS": "it has lost its replicas and takes no writes",
    "READONLY": "it is a read-only replica",
    "LOADING": "it is still loading its data",
    "MASTERDOWN": "it is a replica without its master",
}
"""The meaning of an error's first word (Redis, "Redis protocol specification": simple errors)."""


def refuse_cluster(server: RedisServer) -> None:
    """End the process with one line if Redis is a Cluster; does nothing if Redis is unavailable."""
    try:
        with server.client(START_S) as client:
            [hello] = client.pipeline(transaction=False).execute_command("HELLO", 2).execute(raise_on_error=False)
    except (redis.RedisError, OSError):
        return
    if _fields(hello).get("mode") == "cluster":
        raise SystemExit(f"longrun: REDIS_URL: {CLUSTER}")


async def problem(client: redis.asyncio.Redis, server: RedisServer) -> str | None:
    """Why Redis cannot carry wake-ups and live events, without secrets and addresses; None if it can."""
    commands = _commands(server)
    pipeline: Any = client.pipeline(transaction=False)
    for command in commands:
        pipeline.pipeline_execute_command(*command)  # `execute_command` would send WATCH at once
    try:
        hello, *answers = await pipeline.execute(raise_on_error=False)
    except (redis.RedisError, OSError) as error:
        return _unreachable(error)
    why = _wrong_kind(_fields(hello)) or _refused(commands[1:], answers)
    if why:
        await client.connection_pool.disconnect()  # the transaction of its connection may still be open
    return why


def _wrong_kind(facts: Mapping[str, str]) -> str | None:
    match facts.get("mode"):
        case "cluster":
            return CLUSTER
        case "sentinel":
            return "it is a Sentinel: begin REDIS_URL with sentinel://"
    return None


def _commands(server: RedisServer) -> list[tuple[Any, ...]]:
    """Each command that Celery's transport or Longrun uses, on keys and a channel that nobody else uses."""
    mine = server.key(f"check:{uuid4()}:")
    wake_up, unacked, index, table, mutex, channel = (f"{mine}{number}" for number in range(6))
    return [
        ("HELLO", 2),
        ("LPUSH", wake_up, 1),
        ("RPUSH", wake_up, 1),
        ("LLEN", wake_up),
        ("BRPOP", wake_up, 0.01),
        ("RPOP", wake_up),
        ("ZADD", index, 1, "tag"),
        ("ZREVRANGEBYSCORE", index, 0, 0),
        ("ZREM", index, "tag"),
        ("HSET", unacked, "tag", 1),
        ("HGET", unacked, "tag"),
        ("HDEL", unacked, "tag"),
        ("SADD", table, 1),
        ("SMEMBERS", table),
        ("SREM", table, 1),
        ("SET", mutex, 1, "NX", "PX", 1000),
        ("SCRIPT", "LOAD", "return 1"),
        ("EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 1, mutex),
        ("WATCH", unacked),
        ("MULTI",),
        ("DEL", wake_up, unacked, index, table, mutex),
        ("EXEC",),
        ("SUBSCRIBE", channel),
        ("UNSUBSCRIBE", channel),
        ("PUBLISH", channel, 1),
        ("PUBSUB", "NUMSUB", channel),
    ]


def _refused(commands: Sequence[tuple[Any, ...]], answers: Sequence[Any]) -> str | None:
    refusals = {
        str(command[0]): answer
        for command, answer in zip(commands, answers, strict=True)
        if isinstance(answer, exceptions.ResponseError)
        and not isinstance(answer, exceptions.NoScriptError | exceptions.ExecAbortError)
    }
    if not refusals:
        return None
    if forbidden := [name for name, error in refusals.items() if isinstance(error, exceptions.NoPermissionError)]:
        return f"its ACL refuses {', '.join(forbidden)} on the keys or channels of Longrun"
    return next((why for error in refusals.values() if (why := _refusal(error))), "it refuses writes")


def _refusal(error: Exception) -> str | None:
    match error:  # redis-py removes the first word where it has a class for the error
        case exceptions.OutOfMemoryError():
            word = "OOM"
        case exceptions.ReadOnlyError():
            word = "READONLY"
        case exceptions.MasterDownError():
            word = "MASTERDOWN"
        case _:
            word = str(error).partition(" ")[0]
    return REFUSALS.get(word)


def _unreachable(error: Exception) -> str:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        mismatch = "mismatch" in text
        return "its certificate is for another host" if mismatch else "its certificate is not trusted"
    match error:
        case exceptions.AuthenticationError() | exceptions.NoPermissionError():
            return "it refuses the user or the password"
        case exceptions.BusyLoadingError():
            return REFUSALS["LOADING"]
        case exceptions.TimeoutError() | TimeoutError():
            return "it does not answer in time"
        case sentinel.MasterNotFoundError() | asyncio_sentinel.MasterNotFoundError():
            return "the Sentinels name no master"
        case exceptions.ResponseError():
            return _refusal(error) or "it refuses the connection"
    return "it cannot be reached"


def _fields(hello: Any) -> dict[str, str]:
    """The answer of HELLO in RESP2, a flat list of names and values; {} from a Redis older than 6."""
    if not isinstance(hello, list):
        return {}
    words = [item.decode() if isinstance(item, bytes) else str(item) for item in hello]
    return dict(zip(words[::2], words[1::2], strict=False))
