"""Pages of a slow site a second, fetched by a scraper-worker with its defaults.

The jobs are queued before the worker starts, as in `drain`. The site is a process of its own and takes half a second
for each page, so the ideal is the places of the worker divided by that.
"""

from __future__ import annotations

from bench.figures import Row
from bench.measures.drain import SPAN, queue_in_longrun
from bench.scale import Scale
from bench.slow_site import AFTER_S
from bench.stage import Stage, listens, say
from bench.systems import LONGRUN, SCRAPER_WORKER
from jobcore.settings import WorkerSettings
from longrun_local.ports import free_port
from tests.waiting import until

WITHIN_S = 600


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """One row."""
    say(f"pages: {scale.pages:,} pages of a site that takes {AFTER_S} s for each")
    with stage.run(LONGRUN, worker=False, api=False) as running:
        port = free_port()
        running.start("site", ["bench.slow_site", str(port)])
        until(lambda: listens(port), what="the site listens")
        page = {"url": f"http://127.0.0.1:{port}/"}
        queue_in_longrun(running, scale.pages, "web_scrape", page, queue="scrape")
        running.start("scraper-worker", SCRAPER_WORKER, {"LONGRUN_FETCH_ALLOW": f"127.0.0.1:{port}"})
        running.finish(WITHIN_S)
        failed = running.database.value("SELECT count(*) FROM jobs WHERE status <> 'SUCCESS'")
        if failed:
            raise RuntimeError(f"{failed} of {scale.pages} pages were not scraped")
        rate = scale.pages / running.database.value(SPAN)
    places = WorkerSettings.model_fields["worker_concurrency"].default * _jobs_per_child()
    say(f"  {rate:.1f} pages a second")
    return [
        Row(
            what=f"pages a second of a site that answers after {AFTER_S:g} s",
            longrun=f"{rate:.0f}",
            ratio=f"{rate / (places / AFTER_S):.2f}x the ideal {places / AFTER_S:.0f}",
            note=f"{scale.pages:,} pages, a scraper-worker with its defaults",
        )
    ]


def _jobs_per_child() -> int:
    return int(WorkerSettings.model_fields["jobs_per_child"].default)
