#!/bin/sh
# Called once by Patroni on the first primary, with a connection string of the superuser: makes what vitrine-server
# connects to. pg_monitor lets it name a transaction of anybody's that stalls.
set -eu
exec @PG_BIN@/psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname "$1" <<'SQL'
CREATE ROLE vitrine LOGIN PASSWORD '@APPLICATION_PASSWORD@';
CREATE DATABASE vitrine OWNER vitrine;
\connect vitrine
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO vitrine;
GRANT pg_monitor TO vitrine;
SQL
