"""`python -m tests.settings_page > docs/settings.md`: the page of all settings, made from the classes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from jobcore.settings import CoreSettings, WorkerSettings
from longrun_api.oidc_settings import OidcSettings
from longrun_api.settings import ApiSettings
from longrun_local.settings import LocalSettings
from longrun_scraper.settings import ScraperSettings

SECTIONS: list[tuple[str, type[BaseSettings], type[BaseSettings] | None]] = [
    ("Every process", CoreSettings, None),
    ("API", ApiSettings, OidcSettings),
    ("API: callers", OidcSettings, CoreSettings),
    ("Workers", WorkerSettings, CoreSettings),
    ("Scraper worker", ScraperSettings, WorkerSettings),
    ("`longrun run-local` and `make run`", LocalSettings, None),
]

HEAD = """# Settings

Environment variables, read once at the start. A value that cannot be used ends the process with a line that names it.
This page is made by `python -m tests.settings_page`; a test compares it with the code.

The customary `OTEL_*` variables configure tracing; it is off unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) is set.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(f"\n## {title}\n\n{table(cls, base)}" for title, cls, base in SECTIONS)


def table(cls: type[BaseSettings], base: type[BaseSettings] | None) -> str:
    """The settings that this class adds to its base."""
    inherited = set(base.model_fields) if base else set()
    own = {name: field for name, field in cls.model_fields.items() if name not in inherited}
    return "| variable | default | meaning |\n|---|---|---|\n" + "".join(rows(own, docstrings(cls)))


def rows(fields: dict[str, FieldInfo], meanings: dict[str, str]) -> Iterator[str]:
    """A line a setting."""
    for name, field in fields.items():
        meaning = " ".join(meanings.get(name, "").split()).replace("|", "\\|")
        yield f"| `{variable(name, field)}` | {shown(field.default)} | {meaning} |\n"


def docstrings(cls: type[BaseSettings]) -> dict[str, str]:
    """The text below each setting in the source. Pydantic could read it too, but then in each process, at its start."""
    (definition,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        setting.target.id: text.value.value
        for setting, text in pairwise(definition.body)
        if isinstance(setting, ast.AnnAssign)
        and isinstance(setting.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable's name."""
    alias = field.validation_alias
    return str(getattr(alias, "choices", [alias])[0]) if alias else f"LONGRUN_{name.upper()}"


def shown(default: Any) -> str:
    """A default as one would write it into the environment."""
    if default is None or default == "" or (isinstance(default, tuple | frozenset) and not default):
        return ""
    if isinstance(default, tuple | frozenset):
        return f"`{','.join(map(str, default))}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


if __name__ == "__main__":
    print(page(), end="")
