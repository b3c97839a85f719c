"""The peer: PgQueuer with its defaults. These modules run in its own virtual environment, without Longrun."""
