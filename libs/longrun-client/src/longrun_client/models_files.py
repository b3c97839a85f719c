"""Files of tasks."""

from __future__ import annotations

from pydantic import AwareDatetime

from longrun_client.wire import Wire


class TaskFile(Wire):
    """A file of a task. `size` is in bytes, `sha256` hexadecimal."""

    name: str
    size: int
    media_type: str
    sha256: str
    created_at: AwareDatetime


class UploadedFile(Wire):
    """A file that one submission may use until `expires_at`. `size` is in bytes, `sha256` hexadecimal."""

    file_id: str
    size: int
    media_type: str
    sha256: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
