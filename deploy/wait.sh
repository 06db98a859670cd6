#!/usr/bin/env bash
# deploy/wait.sh URL WHAT: returns when it answers, or says after three minutes that it does not.
set -euo pipefail
while ((SECONDS < 180)); do
  if curl --silent --fail --output /dev/null --max-time 5 "$1"; then exit 0; fi
  sleep 1
done
echo "$2 gives no answer at $1; why: make logs" >&2
exit 1
