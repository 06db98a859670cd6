# shellcheck shell=bash
# What the scripts of this folder know: the values, names made of them, and what Google is asked for.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
# shellcheck source=deploy/gcp/values.sh
. "$here/values.sh"
# shellcheck disable=SC1091
if [ -e "$here/values.local.sh" ]; then . "$here/values.local.sh"; fi

there() { "$@" > /dev/null 2>&1; }
account() { echo "$1@$PROJECT.iam.gserviceaccount.com"; }
instance() { echo "$PROJECT:$REGION:$DATABASE"; }

value() { # of a name in .env
  local found
  found="$(sed -n "s/^$1=//p" "$root/.env")"
  [ -n "$found" ] || { echo "$root/.env: $1 is missing or empty" >&2 && return 1; }
  echo "$found"
}

server_url() { gcloud run services describe "$SERVER" --project "$PROJECT" --region "$REGION" --format 'value(status.url)'; }

network() { # as Vertex AI wants it: by the project's number
  echo "projects/$(gcloud projects describe "$PROJECT" --format 'value(projectNumber)')/global/networks/$NETWORK"
}

database_address() { # of Cloud SQL, within the network
  gcloud sql instances describe "$DATABASE" --project "$PROJECT" --format json | python3 -c \
    'import json, sys; print(*(a["ipAddress"] for a in json.load(sys.stdin)["ipAddresses"] if a["type"] == "PRIVATE"))'
}
