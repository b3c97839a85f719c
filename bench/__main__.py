"""`python -m bench`: measure Longrun beside its baselines and print one Markdown table."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from bench.figures import Row, table
from bench.machine import describe
from bench.measures import (
    backlogs,
    batch,
    ceiling,
    claims,
    client_submit,
    console,
    drain,
    end_to_end,
    files,
    filters,
    hostile,
    idempotent,
    idle_readers,
    lane_drain,
    lane_pickup,
    lane_stops,
    memory,
    owned,
    pages,
    peer,
    pickup,
    rate_limit,
    recovery,
    redis_away,
    scrape,
    stock,
    stream,
    submit,
    waiting,
    webhooks,
)
from bench.scale import Scale, full, quick
from bench.stage import Stage, say
from tests.harness import ROOT

MEASURES = {
    "ceiling": ceiling.measure,
    "client_submit": client_submit.measure,
    "submit": submit.measure,
    "idempotent": idempotent.measure,
    "batch": batch.measure,
    "stock": stock.measure,
    "end_to_end": end_to_end.measure,
    "owned": owned.measure,
    "drain": drain.measure,
    "peer": peer.measure,
    "pickup": pickup.measure,
    "stream": stream.measure,
    "redis_away": redis_away.measure,
    "recovery": recovery.measure,
    "claims": claims.measure,
    "backlogs": backlogs.measure,
    "memory": memory.measure,
    "files": files.measure,
    "filters": filters.measure,
    "console": console.measure,
    "hostile": hostile.measure,
    "idle_readers": idle_readers.measure,
    "scrape": scrape.measure,
    "waiting": waiting.measure,
    "lane_drain": lane_drain.measure,
    "lane_pickup": lane_pickup.measure,
    "lane_stops": lane_stops.measure,
    "pages": pages.measure,
    "rate_limit": rate_limit.measure,
    "webhooks": webhooks.measure,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=MEASURES, help="run only this measure; can be repeated")
    parser.add_argument("--quick", action="store_true", help="few jobs and one round: rough figures in a few minutes")
    parser.add_argument("--keep", action="store_true", help="keep the data and the logs")
    parser.add_argument("--directory", type=Path, default=ROOT / ".longrun", help="where to put the data")
    return parser.parse_args()


def run(name: str, stage: Stage, scale: Scale) -> list[Row]:
    """Run one measure and return its rows; if it fails, one row with the reason."""
    try:
        return MEASURES[name](stage, scale)
    except Exception as error:
        traceback.print_exc()
        reason = str(error).strip().split("\n")[0]
        return [Row(what=name, longrun="not measured", note=f"{type(error).__name__}: {reason}".replace("|", "/"))]


def main() -> None:
    options = arguments()
    scale = quick() if options.quick else full()
    # SIGTERM ends the run as Ctrl-C does: it stops every process that it started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=options.directory)).absolute()
    stage = Stage(directory)
    say(f"starting the servers; data and logs are in {directory}")
    try:
        stage.start()
        machine = describe(stage)
        rows = [row for name in options.only or MEASURES for row in run(name, stage, scale)]
    finally:
        stage.stop()
        if not options.keep:
            shutil.rmtree(directory)
    print(f"\n{machine}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
