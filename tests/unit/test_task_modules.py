"""Task types come from the files and modules that LONGRUN_TASKS names; a broken one takes no other with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobcore.errors import UnknownTaskType
from jobcore.tasks import Registry, decorator, load_tasks, modules

GREET = """
from jobcore import task

@task
def greet(name: str) -> str:
    return f"Hello, {name}!"
"""


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry of this test's own; what the test imports is forgotten at its end."""
    own = Registry()
    monkeypatch.setattr(decorator, "registry", own)
    monkeypatch.setattr(modules, "registry", own)
    monkeypatch.setattr(modules, "entry_points", lambda group: [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    load_tasks.cache_clear()
    yield own
    load_tasks.cache_clear()
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> str:
    """Write a file; returns its path."""
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_file_is_loaded_with_the_files_beside_it(tmp_path: Path, registry: Registry) -> None:
    write(tmp_path, "words_of_greetings.py", "HELLO = 'Hello'")
    file = write(tmp_path, "greetings.py", GREET + "\nfrom words_of_greetings import HELLO\n")
    assert load_tasks((file,)) is registry
    assert registry.names() == ("greet",)
    assert not registry.broken


def test_a_file_may_be_named_relative_to_the_working_directory(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "greetings.py", GREET)
    monkeypatch.chdir(tmp_path)
    load_tasks(("greetings.py",))
    assert registry.names() == ("greet",)


def test_a_module_is_loaded_by_its_dotted_name(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pack_of_greetings").mkdir()
    write(tmp_path / "pack_of_greetings", "tasks.py", GREET)
    monkeypatch.syspath_prepend(tmp_path)
    load_tasks(("pack_of_greetings.tasks",))
    assert registry.names() == ("greet",)


def test_a_file_beside_the_tasks_does_not_take_the_place_of_a_library(tmp_path: Path, registry: Registry) -> None:
    write(tmp_path, "statistics.py", "raise RuntimeError('not the library')")
    file = write(tmp_path, "greetings.py", "import statistics\nstatistics.mean([1])\n" + GREET)
    load_tasks((file,))
    assert registry.names() == ("greet",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library' (broken.py:1)"),
        ("\n1 / 0", "ZeroDivisionError: division by zero (broken.py:2)"),
        ("def f(:", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("import sys\nsys.exit('not today')", "SystemExit: not today (broken.py:2)"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines (broken.py:1)"),
        (
            GREET.replace("name: str", "name"),
            "ValueError: @task: broken.greet: parameter name needs a type, such as name: str (broken.py:4)",
        ),
    ],
)
def test_a_broken_module_is_noted_with_its_reason_in_one_line_and_the_others_are_loaded(
    tmp_path: Path, registry: Registry, text: str, reason: str
) -> None:
    broken, whole = write(tmp_path, "broken.py", text), write(tmp_path, "greetings.py", GREET)
    load_tasks((broken, whole))
    assert registry.names() == ("greet",)
    assert registry.broken == {"broken.py": reason}
    with pytest.raises(UnknownTaskType, match=r"cannot import broken\.py: "):
        registry.get("lost")


def test_a_file_that_is_not_there_is_noted(tmp_path: Path, registry: Registry) -> None:
    file = str(tmp_path / "missing.py")
    load_tasks((file,))
    assert registry.broken == {"missing.py": "FileNotFoundError: there is no such file"}


def test_a_file_named_like_a_module_that_is_loaded_is_noted(tmp_path: Path, registry: Registry) -> None:
    file = write(tmp_path, "json.py", GREET)
    load_tasks((file,))
    assert registry.broken == {"json.py": "ImportError: another module is named json: rename the file"}


def test_a_module_in_the_working_directory_is_found_by_its_dotted_name(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "greetings_of_here.py", GREET)
    monkeypatch.chdir(tmp_path)
    load_tasks(("greetings_of_here",))
    assert registry.names() == ("greet",)


def test_a_file_of_a_package_is_loaded_as_a_part_of_it(tmp_path: Path, registry: Registry) -> None:
    inner = tmp_path / "outer_of_greetings" / "inner"
    inner.mkdir(parents=True)
    write(inner.parent, "__init__.py", "")
    write(inner.parent, "words.py", "HELLO = 'Hello'")
    write(inner, "__init__.py", "")
    load_tasks((write(inner, "greetings.py", "from ..words import HELLO\n" + GREET),))
    assert not registry.broken
    assert registry.get("greet").function.__module__ == "outer_of_greetings.inner.greetings"


def test_a_package_named_like_a_library_is_noted(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "json").mkdir()
    write(tmp_path / "json", "__init__.py", "")
    load_tasks((write(tmp_path / "json", "greetings.py", GREET),))
    assert registry.broken == {"greetings.py": "ImportError: another module is named json: rename the folder"}


def test_each_file_of_a_folder_is_loaded_except_tests_and_hidden_ones(tmp_path: Path, registry: Registry) -> None:
    for name in ("first", "second"):
        write(tmp_path, f"{name}_of_folder.py", GREET.replace("greet", name))
    write(tmp_path, "third_of_folder.py", "import no_such_library")
    for name in ("_hidden.py", "test_first.py", "conftest.py", "setup.py"):
        write(tmp_path, name, "raise RuntimeError('not a task file')")
    load_tasks((f"{tmp_path}/",))
    assert registry.names() == ("first", "second")
    assert list(registry.broken) == ["third_of_folder.py"]


def test_a_folder_without_task_files_is_noted(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "empty").mkdir()
    load_tasks((f"{tmp_path}/empty", f"{tmp_path}/missing"))
    assert registry.broken == {
        "empty": "FileNotFoundError: this folder has no task files",
        "missing": "FileNotFoundError: there is no such file",
    }


def test_a_module_that_fails_halfway_leaves_none_of_its_task_types(tmp_path: Path, registry: Registry) -> None:
    write(tmp_path, "whole_of_two.py", GREET)
    half = write(tmp_path, "half.py", "import whole_of_two\n" + GREET.replace("greet", "half") + "1 / 0\n")
    load_tasks((half,))
    assert registry.names() == ("greet",), "what half.py imported is whole"
