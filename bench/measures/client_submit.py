"""What a submit of the Python client costs, against a server that does nothing."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from bench.client_load import IN_FLIGHT, Submits
from bench.figures import Row, rate
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
        raw = post(Load(port=port, count=scale.longrun_jobs, clients=IN_FLIGHT, keys=True))
        raw_us = raw.cpu_s / raw.accepted * 1e6
        return [
            _row(f"submits a second a core, AsyncLongrun, {IN_FLIGHT} in flight", "async", port, scale, raw_us),
            _row("submits a second a core, Longrun, one thread", "blocking", port, scale, raw_us),
        ]


def _row(what: str, kind: str, port: int, scale: Scale, raw_us: float) -> Row:
    rounds = [_submits(kind, port, scale.longrun_jobs) for _ in range(scale.rounds)]
    cost_us = statistics.median(each.cost_us for each in rounds)
    say(f"{what}: {cost_us:.0f} µs of CPU each")
    return Row(
        what=what,
        longrun=rate([each.rate_a_core for each in rounds]),
        note=f"{cost_us:.0f} µs of CPU a submit; the load generator, which parses nothing: {raw_us:.0f} µs",
    )


def _submits(kind: str, port: int, count: int) -> Submits:
    command = [sys.executable, "-m", "bench.client_load", kind, str(port), str(count)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    return Submits(**json.loads(result.stdout))
