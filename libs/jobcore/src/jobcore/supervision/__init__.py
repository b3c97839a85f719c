"""The supervisor, a process beside each Celery main process, and the memory that it shares with that worker.

`supervisor` keeps the worker's lease and watches its children, with one module for each thing it does. `slots` is the
shared memory: the only thing that a child and its supervisor have in common, and so the only module here that the
worker's own processes import. This room may import keeper and every room below it, never worker.
"""
