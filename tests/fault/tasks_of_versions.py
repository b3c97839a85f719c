"""Task types of a service that is deployed again and again: each version adds a field and a type."""

from __future__ import annotations

import os
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from jobcore.tasks import JobContext, task

VERSION_VARIABLE = "LONGRUN_TEST_VERSION"
VERSION = int(os.environ.get(VERSION_VARIABLE, "1"))


class Versioned(BaseModel):
    """A number, and whatever later versions add."""

    model_config = ConfigDict(extra="forbid")
    number: int


class Ran(BaseModel):
    """The number."""

    number: int


def model(version: int) -> type[BaseModel]:
    """The input of this version: it has a new optional field in each version from the second on."""
    fields: dict[str, Any] = {f"field_{number}": (int, 0) for number in range(2, version + 1)}
    return create_model(f"Version{version}", __base__=Versioned, **fields)


@task("test_versioned", input=model(VERSION), output=Ran, max_attempts=9)
def versioned(_ctx: JobContext, input: Any) -> Ran:
    """Say the number."""
    return Ran(number=input.number)


for number in range(2, VERSION + 1):
    task(f"test_of_version_{number}", input=Versioned, output=Ran, max_attempts=9)(versioned)
