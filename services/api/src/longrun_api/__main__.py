"""`python -m longrun_api`: uvicorn with this API's settings, the same as the command in `docs/operations.md`."""

from __future__ import annotations

import uvicorn

from jobcore.settings import read
from longrun_api.settings import ApiSettings

if __name__ == "__main__":
    settings = read(ApiSettings)
    uvicorn.run(
        "longrun_api.main:app",
        host=settings.host,
        port=settings.port,
        access_log=False,
        timeout_graceful_shutdown=settings.shutdown_s,
    )
