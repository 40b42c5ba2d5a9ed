#!/bin/sh
# Run once, by the PostgreSQL image, when the volume is new: the role that Grafana logs in with. What it may read,
# `pricemonitor setup --reader-role grafana` says.
# Where this file is not executable it becomes part of the image's own script, which must not inherit these.
(
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$GRAFANA_POSTGRES_PASSWORD" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE grafana LOGIN PASSWORD :'password';
SQL
)
