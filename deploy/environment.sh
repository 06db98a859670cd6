#!/usr/bin/env bash
# What a person needs in the environment to work on the stack that `make up` started:
#
#   source <(deploy/environment.sh scientist)   to train and evaluate
#   source <(deploy/environment.sh promoter)    to promote, roll back, review
#   source <(deploy/environment.sh gateway)     for `ratchet serve`, which records what it is asked
#   source <(deploy/environment.sh)             as the server's admin, with a promoter's role in the database
set -euo pipefail
# shellcheck disable=SC1091
. "$(dirname "$0")/../.env"
case "${1:-admin}" in
  admin) account=admin password="$MLFLOW_AUTH_ADMIN_PASSWORD" role=promoter database="$RATCHET_PROMOTER_PASSWORD" ;;
  scientist) account=scientist password="$MLFLOW_SCIENTIST_PASSWORD" role=scientist database="$RATCHET_SCIENTIST_PASSWORD" ;;
  promoter) account=promoter password="$MLFLOW_PROMOTER_PASSWORD" role=promoter database="$RATCHET_PROMOTER_PASSWORD" ;;
  gateway) account="$MLFLOW_SERVING_USERNAME" password="$MLFLOW_SERVING_PASSWORD" role=gateway database="$RATCHET_GATEWAY_PASSWORD" ;;
  *)
    echo "deploy/environment.sh: '$1' is none of scientist, promoter, gateway, admin" >&2
    exit 2
    ;;
esac
cat <<EXPORTS
export MLFLOW_TRACKING_URI=http://127.0.0.1:$MLFLOW_PORT
export MLFLOW_TRACKING_USERNAME=$account MLFLOW_TRACKING_PASSWORD=$password
export RATCHET_DATABASE_URL=postgresql://ratchet_$role:$database@127.0.0.1:$POSTGRES_PORT/ratchet
EXPORTS
if [ -n "${RATCHET_LEDGER_TRUST:-}" ]; then echo "export RATCHET_LEDGER_TRUST=$RATCHET_LEDGER_TRUST"; else echo "unset RATCHET_LEDGER_TRUST"; fi
if [ "$role" = promoter ]; then echo "export RATCHET_LEDGER_KEY=$RATCHET_LEDGER_KEY"; else echo "unset RATCHET_LEDGER_KEY"; fi
