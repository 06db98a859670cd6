#!/usr/bin/env bash
# What Vertex AI runs in the image: fetches the passwords as the job's own account, trains and evaluates. A promoter
# promotes: the job has a scientist's rights.
#
#   deploy/gcp/train.sh TASK         with PROJECT, DATABASE_ADDRESS and MLFLOW_TRACKING_URI in the environment
set -euo pipefail

secret() { python "$(dirname "$0")/secret.py" "$1"; }

MLFLOW_TRACKING_PASSWORD="$(secret MLFLOW_TRAINER_PASSWORD)"
password="$(secret RATCHET_SCIENTIST_PASSWORD)"
export MLFLOW_TRACKING_USERNAME=trainer MLFLOW_TRACKING_PASSWORD
export RATCHET_DATABASE_URL="postgresql://ratchet_scientist:$password@${DATABASE_ADDRESS:?}:5432/ratchet?sslmode=require"
cd "$(mktemp -d)" # the image's own folder is root's
exec ratchet evaluate -c "$1"
