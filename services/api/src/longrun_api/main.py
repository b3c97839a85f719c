"""The application for uvicorn: `uvicorn longrun_api.main:app`."""

from __future__ import annotations

from jobcore.settings import read
from longrun_api.app import create_app
from longrun_api.settings import ApiSettings

app = create_app(read(ApiSettings))
