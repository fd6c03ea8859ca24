#!/bin/sh
# Run once by the container of PostgreSQL, as its superuser: databases and roles as docs/examples/external-postgres.sql makes them, each role with its own
# password, and TimescaleDB in the database of the series where the server has it.
set -eu
script=${OXBOW_SCRIPT:-/oxbow/external-postgres.sql}
roles=${OXBOW_ROLES:-/run/secrets/postgres_roles}
administrator=${POSTGRES_USER:-postgres}

made=$(mktemp)
trap 'rm -f "$made"' EXIT
chmod 600 "$made"
cat "$script" > "$made"
while IFS='=' read -r role password; do
  # Passwords are hexadecimal (make-secrets): nothing in them means anything to sed or SQL.
  sed -i "s/^CREATE ROLE $role LOGIN PASSWORD 'change-me-[0-9]*';/CREATE ROLE $role LOGIN PASSWORD '$password';/" "$made"
done < "$roles"
if grep -q "^[^-].*'change-me" "$made"; then
  echo 'a role of external-postgres.sql has no password in postgres_roles' >&2
  exit 1
fi
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$administrator" --dbname=postgres --file="$made"
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$administrator" --dbname=oxbow_series <<'SQL'
SELECT 'CREATE EXTENSION timescaledb' FROM pg_available_extensions WHERE name = 'timescaledb' \gexec
SQL
