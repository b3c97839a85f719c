"""The processes of a Celery worker: its main process and the children of its pool.

`celery_app` ties everything together. The main process has `pool`, `refusals`, `shutdown`, `watchdog` and
`heartbeat`; a child has `claim_loop` and what a run needs: `run`, `context`, `completer` and the rest.
This room may import every other one, and no room imports it. Of supervision it takes only `slots`, except in
`celery_app`, which starts the supervisor.
"""
