#!/usr/bin/env bash
# Makes the databases and roles of the team stack. The image `postgres` runs it on an empty volume, `ratchet stack`
# on an empty cluster, an operator once on Cloud SQL; a script so that passwords come from the environment. Needs psql
# and, where there is no local socket, PGHOST, PGPORT and PGPASSWORD. Who runs it may make roles and databases
# (POSTGRES_USER, else postgres); a superuser it need not be, which nobody is on Cloud SQL.
#
#   mlflow              owns `mlflow` and `mlflow_auth`; only the tracking server knows its password
#   ratchet_owner       owns `ratchet` and its tables: for `ratchet migrate`, nobody works with it
#   ratchet_scientist   studies and locks; reads the ledger
#   ratchet_promoter    what ratchet_scientist may, and appends to the ledger: this role makes a promoter
#   ratchet_gateway     keeps requests, answers and outcomes, moves rollouts; reads the ledger: the gateway alone
set -euo pipefail

: "${MLFLOW_DB_PASSWORD:?}" "${RATCHET_OWNER_PASSWORD:?}" "${RATCHET_SCIENTIST_PASSWORD:?}" "${RATCHET_PROMOTER_PASSWORD:?}" \
  "${RATCHET_GATEWAY_PASSWORD:?}"

if [ "$(psql --no-psqlrc -At --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  --command "SELECT 1 FROM pg_roles WHERE rolname = 'mlflow'")" = 1 ]; then
  echo "the role mlflow is there already; nothing was done" >&2
  exit 1
fi

# The passwords go neither onto a command line, which everybody on the machine can read, nor, where a superuser runs this, into the server's log.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv mlflow MLFLOW_DB_PASSWORD
\getenv owner RATCHET_OWNER_PASSWORD
\getenv scientist RATCHET_SCIENTIST_PASSWORD
\getenv promoter RATCHET_PROMOTER_PASSWORD
\getenv gateway RATCHET_GATEWAY_PASSWORD
SELECT set_config('log_min_error_statement', 'panic', false) FROM pg_roles WHERE rolname = current_user AND rolsuper \g /dev/null
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE ROLE ratchet_owner LOGIN PASSWORD :'owner';
CREATE ROLE ratchet_scientist LOGIN PASSWORD :'scientist';
CREATE ROLE ratchet_promoter LOGIN PASSWORD :'promoter' IN ROLE ratchet_scientist;
CREATE ROLE ratchet_gateway LOGIN PASSWORD :'gateway';
GRANT mlflow, ratchet_owner TO CURRENT_USER; -- whoever is no superuser gives away only what a role of theirs may own
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
CREATE DATABASE ratchet OWNER ratchet_owner;
REVOKE CONNECT, TEMPORARY ON DATABASE mlflow, mlflow_auth, ratchet FROM PUBLIC;
GRANT CONNECT ON DATABASE ratchet TO ratchet_scientist, ratchet_gateway;
\connect ratchet
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO ratchet_owner;
GRANT USAGE ON SCHEMA public TO ratchet_scientist, ratchet_gateway;
REVOKE mlflow, ratchet_owner FROM CURRENT_USER;
SQL
