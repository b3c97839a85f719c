"""All of Longrun on one machine without Docker: embedded PostgreSQL and Valkey, one launcher."""
