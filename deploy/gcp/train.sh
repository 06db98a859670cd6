#!/usr/bin/env bash
# What Vertex AI runs in the image: fetches the passwords as the job's own account, trains and evaluates. A promoter
# promotes: the job has a scientist's rights.
#
#   deploy/gcp/train.sh TASK         with PROJECT, DATABASE_ADDRESS and MLFLOW_TRACKING_URI in the environment
set -euo pipefail

secret() { # the newest value; a job of Vertex AI, unlike Cloud Run, is given no secrets
  python - "$1" <<'PYTHON'
import base64, json, os, sys
from urllib.request import Request, urlopen

METADATA = os.environ.get("METADATA", "http://metadata.google.internal/computeMetadata/v1")
SECRETS = os.environ.get("SECRETS", "https://secretmanager.googleapis.com/v1")
account = Request(f"{METADATA}/instance/service-accounts/default/token", headers={"Metadata-Flavor": "Google"})
token = json.load(urlopen(account, timeout=30))["access_token"]
place = f"{SECRETS}/projects/{os.environ['PROJECT']}/secrets/{sys.argv[1]}/versions/latest:access"
answer = json.load(urlopen(Request(place, headers={"Authorization": f"Bearer {token}"}), timeout=30))
print(base64.b64decode(answer["payload"]["data"]).decode())
PYTHON
}

MLFLOW_TRACKING_PASSWORD="$(secret MLFLOW_TRAINER_PASSWORD)"
password="$(secret RATCHET_SCIENTIST_PASSWORD)"
export MLFLOW_TRACKING_USERNAME=trainer MLFLOW_TRACKING_PASSWORD
export RATCHET_DATABASE_URL="postgresql://ratchet_scientist:$password@${DATABASE_ADDRESS:?}:5432/ratchet?sslmode=require"
cd "$(mktemp -d)" # the image's own folder is root's
exec ratchet evaluate -c "$1"
