"""Changes of functions in the database."""

from __future__ import annotations

from collections.abc import Mapping

from alembic import op
from sqlalchemy import text

Changes = Mapping[str, Mapping[str, str]]
"""What changes in the text of each function: new texts by old ones, each of which is there once."""


def change(functions: Changes) -> None:
    """Replace parts of functions, which keep their grants; docs/schema.sql has the functions as they are now."""
    for function, changes in functions.items():
        find = text("SELECT pg_get_functiondef(CAST(:function AS regprocedure))")
        definition: str = op.get_bind().execute(find, {"function": function}).scalar_one()
        for old, new in changes.items():
            if definition.count(old) != 1:
                raise RuntimeError(f"{function} is not as the migration before left it: it has no {old!r}")
            definition = definition.replace(old, new)
        op.execute(definition.replace(":", r"\:"))


def change_back(functions: Changes) -> None:
    """Undo `change`."""
    change({function: {new: old for old, new in changes.items()} for function, changes in functions.items()})
