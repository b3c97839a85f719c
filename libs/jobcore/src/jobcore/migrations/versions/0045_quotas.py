"""Quotas of single owners, which differ from those of the settings (docs/adr/0052-quotas.md)."""

from __future__ import annotations

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # submissions: tasks a second; NULL: any number
    op.execute("CREATE TABLE quotas (owner text PRIMARY KEY, submissions integer CHECK (submissions > 0))")
    op.get_bind().exec_driver_sql(
        "CREATE TRIGGER quotas_audit AFTER INSERT OR DELETE OR UPDATE OF submissions ON quotas FOR EACH ROW "
        "EXECUTE FUNCTION audit('quota', 'owner', '{submissions}')"
    )


def downgrade() -> None:
    op.execute("DROP TABLE quotas")
