"""What an operator sets: environment variables, and how the addresses of PostgreSQL and Redis are read.

`variables` lists them all; the names below are what others import. This room imports nothing of jobcore.
"""

from jobcore.settings.variables import DEFAULT_SCHEMA, CoreSettings, Seconds, WorkerSettings, read

__all__ = ["DEFAULT_SCHEMA", "CoreSettings", "Seconds", "WorkerSettings", "read"]
