"""The text that `longrun run-local` prints when everything runs: addresses, and commands to try."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from longrun_local.home import Home
from longrun_local.settings import LocalSettings
from longrun_local.task_modules import TaskModules

DEFAULTS = LocalSettings.model_construct()
EXAMPLE = {"task_type": "web_scrape", "input": {"url": "https://example.com"}}


def banner(settings: LocalSettings, home: Home, tasks: TaskModules, note: str = "") -> str:
    """The text, with a note about files that are watched; paths are relative to the current directory."""
    command = _command()
    elsewhere = "" if settings.url == DEFAULTS.url else f"LONGRUN_URL={settings.url} "
    demo = elsewhere + ("" if settings.demo_port == DEFAULTS.demo_port else f"LONGRUN_DEMO_PORT={settings.demo_port} ")
    return f"""
  Longrun is running.

    API        {settings.url}
    API docs   {settings.url}/docs
    Tasks      {", ".join(tasks.queues)}
{_broken(tasks)}
  Try it in another terminal:

    curl -s {settings.url}/tasks -H 'Content-Type: application/json' \\
      -d '{json.dumps(EXAMPLE)}'

    {elsewhere}{command} submit web_scrape --url https://example.com --follow

    {demo}{command} demo     (a small site of its own, no internet needed)

{note}  Logs are in {_relative(home.logs)}, data in {_relative(home.data)}.
  Ctrl-C stops everything; the data stays for the next time.
"""


def _broken(tasks: TaskModules) -> str:
    """What is missing, and why."""
    if not tasks.broken:
        return ""
    lines = "".join(f"    {line}\n" for line in tasks.complaints())
    return f"\n  Some task types are missing:\n\n{lines}"


def _command() -> str:
    """The command to type for this installation's `longrun`."""
    own = Path(sys.executable).parent / "longrun"
    return "longrun" if shutil.which("longrun") == str(own) else _relative(own)


def _relative(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
