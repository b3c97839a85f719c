"""What an operator sets: environment variables, among them the addresses of PostgreSQL and Redis.

`variables` lists them all; other rooms import the names below. This room imports nothing of jobcore.
"""

from jobcore.settings.variables import DEFAULT_SCHEMA, CommaSeparated, CoreSettings, Seconds, WorkerSettings, read

__all__ = ["DEFAULT_SCHEMA", "CommaSeparated", "CoreSettings", "Seconds", "WorkerSettings", "read"]
