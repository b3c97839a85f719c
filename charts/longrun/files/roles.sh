#!/bin/sh
# Runs once, in a new volume of the postgres image: the role longrun owns its database and is no superuser.
# The superuser postgres keeps no password, so it gets in through the socket of this container alone.
# The image sources this file if it is not executable, so it sets no options of the shell.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_USER" <<'SQL'
\set password `printf %s "$POSTGRES_PASSWORD"`
CREATE ROLE longrun LOGIN PASSWORD :'password';
CREATE DATABASE longrun OWNER longrun;
ALTER ROLE CURRENT_USER PASSWORD NULL;
SQL
