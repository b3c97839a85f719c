"""Memory of each process of an idle system: RSS, and PSS on Linux."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import psutil

from bench.figures import Row
from bench.measures.drain import queue_in_longrun
from bench.scale import Scale
from bench.stage import Stage, pid_of, say
from bench.systems import CHILDREN, LITERAL, LONGRUN, SCRAPER_WORKER, System
from tests.processes import Process
from tests.waiting import until

JOBS = 1_000
SETTLED_S = 3


def of_processes(processes: Sequence[psutil.Process]) -> str:
    """For example `3 processes: 210 MiB RSS, 120 PSS`."""
    infos = [process.memory_full_info() for process in processes]
    rss, pss = sum(info.rss for info in infos), sum(getattr(info, "pss", 0) for info in infos)
    count = f"{len(infos)} processes: " if len(infos) > 1 else ""
    return f"{count}{_mib(rss)} MiB RSS" + (f", {_mib(pss)} PSS" if pss else "")


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f}"


def _with_children(pid: int) -> list[psutil.Process]:
    main = psutil.Process(pid)
    return [main, *main.children(recursive=True)]


def _has_children(process: Process) -> bool:
    process.check()
    return len(_with_children(process.pid)) > CHILDREN


def memory(stage: Stage, system: System, idle_s: int) -> Mapping[str, str]:
    """A cell per process, `idle_s` seconds after the last of `JOBS` jobs."""
    with stage.run(system) as running:
        if system is LONGRUN:
            scraper = running.start("scraper-worker", SCRAPER_WORKER)
            until(lambda: _has_children(scraper), what="the scraper-worker has its children")
        running.post(JOBS)
        running.finish()
        time.sleep(idle_s)
        cells: dict[str, list[psutil.Process]] = {}
        for process in running.processes:
            main, *children = _with_children(process.pid)
            cells[f"{process.name}, main" if children else process.name] = [main]
            cells |= {f"{process.name}, child {number}": [child] for number, child in enumerate(children, 1)}
        cells["Valkey"] = _with_children(pid_of(stage.valkey))
        cells["PostgreSQL"] = _with_children(pid_of(stage.postgres))
        cells["all"] = [process for group in cells.values() for process in group]
        texts = {name: of_processes(group) for name, group in cells.items()}
    say(f"  all of {system.name}: {texts['all']}")
    return texts


def growth(stage: Stage, jobs: int) -> str:
    """The USS of the worker's processes after `JOBS` jobs, and after `jobs` more."""
    with stage.run(LONGRUN) as running:
        [worker] = running.workers
        sizes = []
        for count in (JOBS * 2, jobs):
            queue_in_longrun(running, count)
            running.finish()
            time.sleep(SETTLED_S)
            sizes.append(sum(process.memory_full_info().uss for process in _with_children(worker.pid)))
    before, after = sizes
    return f"{_mib(before)} → {_mib(after)} MiB ({after / before - 1:+.0%})"


def measure(stage: Stage, scale: Scale) -> list[Row]:
    cells = {}
    for system in (LONGRUN, LITERAL):
        say(f"memory: {system.name}, idle for {scale.idle_s} s")
        cells[system] = memory(stage, system, scale.idle_s)
    say(f"memory: the worker after {scale.many_jobs:,} jobs")
    grown = Row(
        what=f"worker's memory after {JOBS * 2:,} and {scale.many_jobs:,} jobs more",
        longrun=growth(stage, scale.many_jobs),
        note="USS of main process, supervisor and two children",
    )
    names = dict.fromkeys([*cells[LONGRUN], *cells[LITERAL]])
    return [grown] + [
        Row(
            what=f"memory: {name}",
            longrun=cells[LONGRUN].get(name, ""),
            literal=cells[LITERAL].get(name, ""),
            note="RSS counts shared pages in each process, PSS once" if name == "all" else "",
        )
        for name in sorted(names, key=lambda name: name == "all")
    ]
