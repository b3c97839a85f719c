"""What the load generator reaches by itself, against a server that does nothing."""

from __future__ import annotations

from bench.figures import Row
from bench.load import Load, post
from bench.process import Process
from bench.scale import Scale
from bench.stage import Stage, say
from longrun_local.ports import free_port


def measure(stage: Stage, scale: Scale) -> list[Row]:
    port = free_port()
    server = Process("null-server", ["bench.null_server", str(port)], {}, stage.directory)
    try:
        server.wait_for_port(port)
        answers = post(Load(port=port, count=scale.longrun_jobs * 3))
    finally:
        server.stop()
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
