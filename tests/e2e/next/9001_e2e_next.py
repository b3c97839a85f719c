"""A column more, as a next version might bring it."""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

THOSE_OF_THIS_VERSION = "\n".join(path.read_text() for path in Path(__file__).parent.glob("0*.py"))

revision = "9001"
# the one that no other follows
[down_revision] = set(re.findall(r'^revision = "(.+)"', THOSE_OF_THIS_VERSION, re.MULTILINE)) - set(
    re.findall(r'^down_revision = "(.+)"', THOSE_OF_THIS_VERSION, re.MULTILINE)
)
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN e2e_next text")


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN e2e_next")
