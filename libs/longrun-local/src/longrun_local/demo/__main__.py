"""`longrun demo` (also `make demo`): serve a small web site, scrape it with the running Longrun, print the results."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from jobcore.settings import read
from longrun_client import Longrun, LongrunError, LongrunUnavailable, Status, Task
from longrun_client.follow import watch
from longrun_local.demo.site import OLD_ADDRESS, served
from longrun_local.errors import StartError
from longrun_local.settings import LocalSettings


def demo(client: Longrun, port: int, console: Console) -> bool:
    """Scrape the front page of the site and every page that it links to; return whether all succeeded."""
    with served(port) as site:
        console.print(f"This command serves a small site at {site}. Longrun scrapes its old address:\n", soft_wrap=True)
        front = follow(client, site + OLD_ADDRESS, console)
        if front.status is not Status.SUCCESS:
            console.print(_hint(front, port), style="red", soft_wrap=True)
            return False
        linked = {link["url"].partition("#")[0] for link in front.result["links"]}
        own = sorted(url for url in linked if url.startswith(site) and url != front.result["final_url"])
        console.print(f"\nIt links to {len(own)} more pages. Longrun scrapes them in parallel:\n", soft_wrap=True)
        tasks = [client.submit("web_scrape", {"url": url}) for url in own]
        done = [front, *(client.wait(task.task_id) for task in tasks)]
    console.print(_table(done))
    console.print(f"\nThe complete result of the first page: {client.base_url}{front.links.self}", soft_wrap=True)
    return all(task.status is Status.SUCCESS for task in done)


def follow(client: Longrun, url: str, console: Console) -> Task:
    """Submit a scrape and print its events as they happen; return the ended task."""
    task = client.submit("web_scrape", {"url": url})
    console.print(f"POST /tasks → 202, task {task.task_id}")
    watch(client.stream(task.task_id), console)
    return client.get(task.task_id)


def main() -> int:
    """Run the demo; returns the exit code, 0 if every page was scraped."""
    settings = read(LocalSettings)
    url = os.environ.get("LONGRUN_URL") or settings.url
    console = Console()
    try:
        with Longrun(url) as client:
            client.task_types()
            return 0 if demo(client, settings.demo_port, console) else 1
    except LongrunUnavailable:
        _say(f"no Longrun server at {url}: start it with `longrun run-local` in another terminal, then try again")
    except (LongrunError, StartError) as error:
        _say(str(error))
    except KeyboardInterrupt:
        _say("stopped; tasks that were submitted continue")
    return 1


def _table(tasks: Sequence[Task]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("PAGE", "CHARSET", "TITLE", "H1", "LINKS"):
        table.add_column(column, justify="right" if column == "LINKS" else "left", overflow="fold")
    for task in tasks:
        if task.status is Status.SUCCESS:
            page = task.result
            table.add_row(
                urlsplit(page["final_url"]).path,
                page["charset"],
                page["title"],
                "; ".join(page["h1"]),
                str(len(page["links"])),
            )
        else:
            table.add_row(
                urlsplit(task.input["url"]).path, "", f"{task.status}: {task.error.message if task.error else ''}"
            )
    return table


def _hint(task: Task, port: int) -> str:
    why = task.error.message if task.error else ""
    return (
        f"The scrape ended as {task.status}: {why}\nIf the address was refused: scrapes may reach 127.0.0.1:{port} "
        "only if Longrun was started with `longrun run-local` and the same LONGRUN_DEMO_PORT."
    )


def _say(text: str) -> None:
    print(f"longrun: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
