#!/usr/bin/env bash
# Starts the tracking server from its environment; docker-compose.yml and `ratchet stack` both call it.
# Secrets stay out of the command line, which everybody on the machine can read.
set -euo pipefail

address() { # of a database, where POSTGRES_HOST is a machine or, as on Cloud Run, the folder of a socket
  case "${POSTGRES_HOST:?}" in
    /*) echo "postgresql+psycopg2://mlflow:${MLFLOW_DB_PASSWORD:?}@/$1?host=$POSTGRES_HOST" ;;
    *) echo "postgresql+psycopg2://mlflow:${MLFLOW_DB_PASSWORD:?}@$POSTGRES_HOST:${POSTGRES_PORT:-5432}/$1" ;;
  esac
}
state="${MLFLOW_STATE:?a folder of its own, for auth.ini and the counters of Prometheus}"

umask 077
mkdir -p "$state/prometheus"
cat > "$state/auth.ini" <<INI
[mlflow]
default_permission = ${MLFLOW_DEFAULT_PERMISSION:-READ}
database_uri = $(address mlflow_auth)
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = true
auth_cache_ttl_seconds = 30
INI

: "${MLFLOW_AUTH_ADMIN_PASSWORD:?}" "${MLFLOW_FLASK_SERVER_SECRET_KEY:?}" "${MLFLOW_SERVER_ALLOWED_HOSTS:?}"
export MLFLOW_AUTH_CONFIG_PATH="$state/auth.ini"
MLFLOW_BACKEND_STORE_URI="$(address mlflow)"
export MLFLOW_BACKEND_STORE_URI
export MLFLOW_ARTIFACTS_DESTINATION="${RATCHET_BUCKET:?such as gs://a-bucket}"
export MLFLOW_EXPOSE_PROMETHEUS="$state/prometheus"
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # saves 1.4 GB of processes
if [ -s /run/secrets/google ]; then # a key that Compose was given; without one Google's own client looks around
  export GOOGLE_APPLICATION_CREDENTIALS=/run/secrets/google
fi
export GOOGLE_CLOUD_PROJECT="${GOOGLE_CLOUD_PROJECT:-ratchet}"
exec mlflow server --app-name basic-auth --host "${MLFLOW_HOST:-127.0.0.1}" --port "${MLFLOW_PORT:-5000}" \
  --workers "${MLFLOW_WORKERS:-2}"
