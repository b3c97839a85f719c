#!/usr/bin/env bash
# Dumps Longrun's schema of the database at DATABASE_URL into $BACKUPS (/backups) and keeps the newest KEEP dumps.
set -euo pipefail
cd "${BACKUPS:-/backups}"
# one at a time
exec 9> .lock
flock 9

# the services also take SQLAlchemy's spelling (postgresql+psycopg2://), libpq does not
url="postgresql://${DATABASE_URL#*://}"
dump="longrun-$(date -u +%Y%m%dT%H%M%SZ).dump"

rm -f -- *.partial
pg_dump --format=custom --schema="${LONGRUN_SCHEMA:-longrun}" --no-owner --no-privileges --lock-wait-timeout=60s \
    --file="$dump.partial" "$url"
pg_restore --list "$dump.partial" > /dev/null
sync "$dump.partial"
# only a whole dump ever has a dump's name
mv "$dump.partial" "$dump"
sync .

find . -maxdepth 1 -name 'longrun-*.dump' | sort -r | tail -n "+$((KEEP + 1))" | xargs -r rm -v --
ls -lh
