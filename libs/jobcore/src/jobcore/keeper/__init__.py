"""The keeper: it checks PostgreSQL every second and does the periodic work on all jobs.

`keeper` is the loop; `scheduler`, `housekeeping` and `queue_gauges` are its larger parts. It runs as a thread of every
API process and every supervisor, or alone: `python -m jobcore.keeper`. This room may import admission and every room
below it.
"""
