"""POST /tasks on the distribution's PostgreSQL with its defaults and on the embedded one, in turn."""

from __future__ import annotations

import statistics

from bench.client import post_one
from bench.figures import Row, milliseconds
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LONGRUN
from longrun_local.postgres import EmbeddedPostgres
from tests.servers import DebianPostgres

TIMEOUT_S = 30.0


def measure(stage: Stage, scale: Scale) -> list[Row]:
    embedded = EmbeddedPostgres(stage.directory / "embedded")
    stock = DebianPostgres(stage.directory / "stock")
    stock.programs()  # raises FileNotFoundError with the name of the package
    with (
        embedded,
        stock,
        stage.run(LONGRUN, worker=False, postgres=embedded) as here,
        stage.run(LONGRUN, worker=False, postgres=stock) as there,
    ):
        pairs = [(post_s(here), post_s(there)) for _ in range(scale.longrun_jobs // 10)]
    ours, stocks = (statistics.median(values) for values in zip(*pairs, strict=True))
    say(f"  {ours * 1000:.2f} ms on the embedded PostgreSQL, {stocks * 1000:.2f} ms on the distribution's")
    return [
        Row(
            what="POST /tasks on the distribution's PostgreSQL, p50",
            longrun=milliseconds(stocks),
            ratio=f"{stocks / ours:.2f}x of the embedded one ({milliseconds(ours)})",
            note=f"{len(pairs):,} each, one at a time, the two in turn; its defaults, JIT on",
        )
    ]


def post_s(running: Running) -> float:
    """Seconds of one POST."""
    answer = post_one(running.port, TIMEOUT_S)
    if answer.status != 202:
        raise RuntimeError(f"POST /tasks was answered {answer.status}")
    return answer.seconds
