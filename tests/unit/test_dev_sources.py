"""Which files `longrun dev` watches, and that it notices each way in which they change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from longrun_local import changes as changes_module
from longrun_local.changes import Changes
from longrun_local.errors import StartError
from longrun_local.sources import Sources
from tests.waiting import until


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, which is the working directory."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.py").write_text("A = 1\n")
    return tmp_path


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_a_folder_and_a_module_become_what_longrun_tasks_takes(folder: Path) -> None:
    write(folder / "more/reports.py")
    write(folder / "pack_of_sources/__init__.py")
    found = Sources(["tasks.py", "more", "pack_of_sources.tasks", "json"])
    assert found.modules == (f"{folder}/tasks.py", f"{folder}/more/", "pack_of_sources.tasks", "json")
    assert {folder, folder / "more", folder / "pack_of_sources"} <= set(found.folders())


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("task.py", r"task\.py: there is no such file or folder"),
        ("no/such", "no/such: there is no such file or folder"),
        ("no_such_module", "no_such_module: there is no such file, folder or module"),
        ("notes.txt", r"notes\.txt: the name of a file of task types ends in \.py"),
        ("a,b.py", "a name with a comma cannot be given"),
    ],
)
def test_what_does_not_exist_is_refused_with_its_name(folder: Path, given: str, why: str) -> None:
    (folder / "notes.txt").touch()
    with pytest.raises(StartError, match=why):
        Sources([given])


def test_the_files_are_those_of_the_folder_and_of_packages_below_it(folder: Path) -> None:
    wanted = {folder / "tasks.py", write(folder / "helpers/words.py"), write(folder / "helpers/deep/er.py")}
    write(folder / ".longrun/data/a.py")
    write(folder / "venv/pyvenv.cfg")
    write(folder / "venv/a.py")
    write(folder / "node_modules/a.py")
    write(folder / "documents/letters/a.py")
    (folder / "helpers/loop").symlink_to(folder)
    (folder / ".#tasks.py").symlink_to("nobody@nowhere")
    assert set(Sources(["tasks.py"]).files()) == wanted


def test_installed_packages_are_not_watched(folder: Path) -> None:
    assert Sources(["pytest"]).folders() == []


def change_in_place(folder: Path) -> None:
    (folder / "tasks.py").write_text("A = 2\n")


def replace_by_a_rename(folder: Path) -> None:
    write(folder / ".tasks.py.new", "A = 1\n").rename(folder / "tasks.py")


def remove(folder: Path) -> None:
    (folder / "tasks.py").unlink()


def add_a_package(folder: Path) -> None:
    write(folder / "fresh/words.py", "B = 1\n")


@pytest.mark.parametrize("act", [change_in_place, replace_by_a_rename, remove, add_a_package])
@pytest.mark.parametrize("events", [True, False], ids=["events", "no-events"])
def test_every_change_is_noticed_once(
    folder: Path, act: Callable[[Path], None], events: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    if not events:

        def no_watches(*_: object, **__: object) -> None:
            raise OSError("no watches left")

        monkeypatch.setattr(changes_module, "watch", no_watches)
    with Changes(Sources(["tasks.py"]), said.append) as changes:
        assert not changes.found()
        act(folder)
        until(changes.found)
        [path] = changes.take()
        assert path.name in {"tasks.py", "words.py"}
        assert not changes.found()
        assert changes.take() == []
    assert bool(said) is not events


def test_a_file_in_a_package_that_came_later_is_watched_too(folder: Path) -> None:
    with Changes(Sources(["tasks.py"]), print) as changes:
        file = write(folder / "fresh/words.py", "B = 1\n")
        until(changes.found)
        changes.take()
        file.write_text("B = 22\n")
        until(changes.found)
        assert changes.take() == [file]
