"""The general worker with a visibility timeout of a second: what it has not acknowledged by then is delivered again."""

from __future__ import annotations

from longrun_worker.app import app

app.conf.broker_transport_options = {**app.conf.broker_transport_options, "visibility_timeout": 1}
