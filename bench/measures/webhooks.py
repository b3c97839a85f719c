"""Deliveries of events while one receiver hangs: how long those to all other hosts take.

Each tenth of a second, one transaction makes ten deliveries, one of which goes to the host that never answers. They
wait, are promoted, claimed, signed and sent as any. The receiver verifies each with `standardwebhooks`. The time is
from the event to the stored answer, by the database's clock.
"""

from __future__ import annotations

import time
from typing import Final

from bench.figures import Row, milliseconds, percentile
from bench.receiver import HANGING
from bench.scale import Scale
from bench.stage import Running, Stage, listens, say
from bench.systems import LONGRUN, SCRAPER_WORKER
from jobcore.store import webhook_secrets
from jobcore.store.database import Database
from longrun_local.ports import free_port
from tests.waiting import until

HOSTS: Final = 20
TICK_S: Final = 0.1
EACH_TICK: Final = 10
SEND: Final = """
SELECT longrun.send_event('task.success', NULL, NULL, '{}', NULL, NULL, NULL, format('http://%%s:%%s/', host, %s),
                          format('%%s:%%s', host, %s), 'standard')
FROM unnest(%s) AS host
"""
OTHERS: Final = "task_type = 'longrun.webhook' AND strpos(input ->> 'url', %s) = 0"
LEFT: Final = f"SELECT count(*) FROM jobs WHERE {OTHERS} AND finished_at IS NULL"
TIMES: Final = f"SELECT extract(epoch FROM finished_at - created_at)::float8 FROM jobs WHERE {OTHERS} AND status = %s"


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """One row."""
    say(f"webhooks: {scale.deliveries:,} deliveries to {HOSTS} hosts, of which one hangs")
    with stage.run(LONGRUN, worker=False, api=False) as running:
        port = free_port()
        running.start("receiver", ["bench.receiver", str(port), _secret(running)])
        until(lambda: listens(port), what="the receiver listens")
        running.start("scraper-worker", SCRAPER_WORKER, {"LONGRUN_WEBHOOK_ALLOW": "127.0.0.0/8"})
        _send(running, port, HOSTS)  # so that the worker has started
        hanging = f"//{HANGING}:"
        until(lambda: running.database.value(LEFT, hanging) == 0, what="the first deliveries")
        running.database.execute("DELETE FROM jobs WHERE finished_at IS NOT NULL")
        began = time.monotonic()
        for tick in range(scale.deliveries // EACH_TICK):
            time.sleep(max(0.0, began + tick * TICK_S - time.monotonic()))
            _send(running, port, tick)
        until(lambda: running.database.value(LEFT, hanging) == 0, what="the deliveries")
        taken = [seconds for (seconds,) in running.database.rows(TIMES, hanging, "SUCCESS")]
        sent = running.database.value(f"SELECT count(*) FROM jobs WHERE {OTHERS}", hanging)
    if len(taken) != sent:
        raise RuntimeError(f"{sent - len(taken)} of {sent} deliveries were not accepted")
    figures = milliseconds(percentile(taken, 50), percentile(taken, 99))
    say(f"  p50 / p99 {figures}")
    return [
        Row(
            what="from an event to the answer of its receiver, while another receiver hangs (p50 / p99)",
            longrun=figures,
            note=f"{scale.deliveries:,} deliveries, {EACH_TICK / TICK_S:.0f} a second; a tenth of them hang",
        )
    ]


def _send(running: Running, port: int, tick: int) -> None:
    others = [f"127.0.1.{(tick * EACH_TICK + number) % (HOSTS - 1) + 1}" for number in range(EACH_TICK - 1)]
    running.database.execute(SEND, port, port, [HANGING, *others])


def _secret(running: Running) -> str:
    database = Database(running.database.url, name="bench")
    [secret] = database.call(webhook_secrets.live, None)
    database.close()
    return secret.text
