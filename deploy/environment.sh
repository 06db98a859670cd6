#!/usr/bin/env bash
# What a person needs in the environment to work on the stack that `make up` started, as its admin and a promoter:
#
#   source <(deploy/environment.sh)
set -euo pipefail
# shellcheck disable=SC1091
. "$(dirname "$0")/../.env"
cat <<EXPORTS
export MLFLOW_TRACKING_URI=http://127.0.0.1:$MLFLOW_PORT
export MLFLOW_TRACKING_USERNAME=admin MLFLOW_TRACKING_PASSWORD=$MLFLOW_AUTH_ADMIN_PASSWORD
export RATCHET_DATABASE_URL=postgresql://ratchet_promoter:$RATCHET_PROMOTER_PASSWORD@127.0.0.1:$POSTGRES_PORT/ratchet
export RATCHET_LEDGER_KEY=$RATCHET_LEDGER_KEY
EXPORTS
