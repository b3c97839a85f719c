"""The processes of a Celery worker: its main process and its children.

`celery_app` ties everything together. The main process uses `pool`, `worker_options`, `shutdown`, `watchdog` and
`heartbeat`. A child uses `claim_loop`, and for each run `run`, `context`, `run_store` and `event_buffer`; its
`completer` stores outcomes. This room may import every other one, and no room imports it. From supervision it imports
only `slots`, except in `celery_app`, which starts the supervisor.
"""
