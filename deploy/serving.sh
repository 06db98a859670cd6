#!/usr/bin/env bash
# Makes the account by which the model server reads the registry, unless it is there: it may read, and nothing else.
set -euo pipefail
# shellcheck disable=SC1091
. "$(dirname "$0")/../.env"
users="http://127.0.0.1:$MLFLOW_PORT/api/2.0/mlflow/users"
as_admin() { # the password stays out of the command line, which everybody on the machine can read
  curl --silent --show-error --fail --output /dev/null --config - "$@" <<< "user = admin:$MLFLOW_AUTH_ADMIN_PASSWORD"
}
as_admin "$users/get?username=${MLFLOW_SERVING_USERNAME:?is empty in .env}" 2> /dev/null && exit 0
about="$(mktemp)"
trap 'rm -f "$about"' EXIT
printf '{"username": "%s", "password": "%s"}' "$MLFLOW_SERVING_USERNAME" "$MLFLOW_SERVING_PASSWORD" > "$about"
as_admin --header 'Content-Type: application/json' --data "@$about" "$users/create"
echo "made the account $MLFLOW_SERVING_USERNAME, which may read"
