"""The maximum rate of the load generator, against a server that does nothing."""

from __future__ import annotations

import sys

from bench.figures import Row
from bench.load import Load, post
from bench.scale import Scale
from bench.stage import Stage, listens, say
from longrun_local.ports import free_port
from tests.processes import Stack


def measure(stage: Stage, scale: Scale) -> list[Row]:
    port = free_port()
    with Stack("", "", stage.directory) as stack:
        server = stack.start("null-server", [sys.executable, "-m", "bench.null_server", str(port)])
        stack.until(server, lambda: listens(port))
        answers = post(Load(port=port, count=scale.longrun_jobs * 3))
    cost_us = answers.cpu_s / answers.accepted * 1e6
    say(f"load generator: {answers.rate:,.0f} POSTs/s at most, {cost_us:.0f} µs of CPU each")
    return [
        Row(
            what="load generator's own ceiling",
            longrun=f"{answers.rate:,.0f} POSTs/s",
            literal="the same",
            note=f"against a server that does nothing; {cost_us:.0f} µs of CPU a POST",
        )
    ]
