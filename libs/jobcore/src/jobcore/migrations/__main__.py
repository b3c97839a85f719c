"""`python -m jobcore.migrations`: upgrade the database at DATABASE_URL."""

from __future__ import annotations

from sqlalchemy.exc import OperationalError

from jobcore.migrations import upgrade
from jobcore.settings import CoreSettings, read


def main() -> None:
    """Upgrade, or end with one clear line."""
    try:
        upgrade(read(CoreSettings).database_url)
    except OperationalError as error:
        raise SystemExit(f"longrun: cannot migrate the database at DATABASE_URL: {error.orig}") from None
    print("longrun: the database schema is current")


if __name__ == "__main__":
    main()
