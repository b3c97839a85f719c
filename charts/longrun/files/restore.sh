#!/usr/bin/env bash
# Puts Longrun's schema back to what it was in a dump in $BACKUPS (/backups): RESTORE_FILE, or the newest. All or nothing.
set -euo pipefail
cd "${BACKUPS:-/backups}"

url="postgresql://${DATABASE_URL#*://}"
schema=${LONGRUN_SCHEMA:-longrun}
newest=$(find . -maxdepth 1 -name 'longrun-*.dump' -printf '%f\n' | sort -r | head -n 1)
dump=${RESTORE_FILE:-$newest}
if [ ! -f "$dump" ]; then
    echo "restore: RESTORE_FILE: no dump '$dump' on the volume; there are:" >&2
    ls -lh >&2
    exit 1
fi

open=$(psql -XAtq --set ON_ERROR_STOP=1 "$url" <<'SQL'
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'longrun%'
SQL
)
if [ "$open" != 0 ]; then
    echo "restore: $open connections of Longrun are open: scale all workloads to 0 first" >&2
    exit 1
fi

# a dump of 0.1 has the tables in public; the migration that follows a restore moves them
contents=$(pg_restore --list "$dump")
source=$schema
grep -q " TABLE $schema jobs " <<< "$contents" || source=public

# COMMIT is sent only when pg_restore gave everything; without it the end of the input rolls all back
echo "restore: $dump"
{
    cat <<'SQL'
BEGIN;
SELECT format('CREATE SCHEMA %I', :'schema') WHERE to_regnamespace(:'schema') IS NULL \gexec
-- also the tables of a version newer than the dump
SELECT format('DROP TABLE %I.%I CASCADE', schemaname, tablename) FROM pg_tables
WHERE schemaname = :'schema' AND pg_has_role(tableowner, 'USAGE') \gexec
SQL
    pg_restore --schema="$source" --clean --if-exists --no-owner --no-privileges --file=- "$dump" && echo 'COMMIT;'
} | psql -Xq --set ON_ERROR_STOP=1 --set schema="$schema" --output=/dev/null "$url"
psql -Xq --set source="$source" "$url" <<'SQL'
SELECT status, count(*) FROM :"source".jobs GROUP BY status ORDER BY status;
SQL
