"""Sessions on `DATABASE_URL`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

# one connection for each of the 40 threads in which FastAPI runs synchronous routes; a prefork child uses one
engine = create_engine(os.environ["DATABASE_URL"], pool_size=20, max_overflow=20)
# expire_on_commit would cost another SELECT after each commit
SessionLocal = sessionmaker(engine, expire_on_commit=False)


def get_session() -> Iterator[Session]:
    with SessionLocal() as session:
        yield session
