"""A real server that speaks S3: versitygw, which keeps objects as files in a folder. `.ci/s3` installs it with Go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from longrun_local import ports
from tests.waiting import until

PROGRAM: Final = "versitygw"
KEYS: Final = {"AWS_ACCESS_KEY_ID": "testing-key", "AWS_SECRET_ACCESS_KEY": "testing-secret"}


def program() -> Path | None:
    """Where the server is; None if it is not installed."""
    folders = [os.environ.get("PATH", ""), os.environ.get("GOBIN", ""), str(Path.home() / "go" / "bin")]
    found = shutil.which(PROGRAM, path=os.pathsep.join(filter(None, folders)))
    return Path(found) if found else None


class S3Server:
    """Runs for as long as its block, with its data in a folder. Raises FileNotFoundError if it is not installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a client reaches it."""
        return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}", "AWS_REGION": "us-east-1", **KEYS}

    def new_place(self) -> str:
        """A value for LONGRUN_FILES: a prefix in a new bucket."""
        bucket = f"longrun-{uuid4().hex}"
        (self._folder / bucket).mkdir()
        return f"s3://{bucket}/some/files"

    def objects(self, place: str) -> list[Path]:
        """The files in which the server keeps the objects under this place."""
        return [path for path in (self._folder / place.removeprefix("s3://")).rglob("*") if path.is_file()]

    def __enter__(self) -> Self:
        found = program()
        if found is None:
            raise FileNotFoundError(f"{PROGRAM} is not installed: .ci/s3 installs it with Go")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._port = ports.free_port()
        self._process = subprocess.Popen(
            [found, "--port", f"127.0.0.1:{self._port}", "posix", str(self._folder)],
            env={"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: not ports.is_free(self._port), what=f"{PROGRAM} listens on port {self._port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
