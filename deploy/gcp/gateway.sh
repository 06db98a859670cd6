#!/usr/bin/env bash
# The gateway, four ways to run the same image (deploy/Dockerfile). It needs what `deploy.sh prepare` makes.
#
#   deploy/gcp/gateway.sh run        Cloud Run: deploy/cloudrun/
#   deploy/gcp/gateway.sh gke        a cluster of GKE: deploy/gke/
#   deploy/gcp/gateway.sh kserve     KServe on that cluster: deploy/kserve/
#   deploy/gcp/gateway.sh vertex     to the models of Vertex AI; it ends by saying how an endpoint gets it
#
# Each may be run again. None was run against the real service: the manifests and this script are linted, and tested with
# stand-ins for gcloud and kubectl.
set -euo pipefail
# shellcheck source=deploy/gcp/known.sh
. "$(dirname "$0")/known.sh"

filled() { # filled FILE NAME=VALUE...: the manifest with its ${NAMES} filled in; one that has no value is a fault
  local file="$1" reader
  shift
  reader="$(value MLFLOW_SERVING_USERNAME)"
  env "$@" "TRACKING_USERNAME=$reader" "SERVING=$SERVING" "IMAGE=$IMAGE" "TASK=$TASK" "STAGE=$STAGE" \
    "NAMESPACE=$NAMESPACE" python3 -c \
    'import os, re, sys; print(re.sub(r"\$\{(\w+)\}", lambda name: os.environ[name[1]], open(sys.argv[1]).read()))' "$file"
}

run() {
  local manifest url
  url="$(server_url)"
  manifest="$(mktemp)"
  filled "$root/deploy/cloudrun/service.yaml" "TRACKING_URI=$url" "INSTANCE=$(instance)" "ACCOUNT=$(account "$SERVING")" \
    > "$manifest"
  gcloud run services replace "$manifest" --project "$PROJECT" --region "$REGION"
  rm "$manifest"
  echo "who may call it: gcloud run services add-iam-policy-binding $SERVING --role roles/run.invoker --member …"
}

need() { # need NAME WHAT: a file that values.local.sh names
  if [ ! -s "${!1:-}" ]; then
    echo "$1 ('${!1:-}'): no such file; name $2 in deploy/gcp/values.local.sh" >&2
    return 1
  fi
}

secret() { # secret NAME KEY=FILE...: through pipes, for a command line is for everybody to read
  local name="$1" word words=()
  shift
  for word in "$@"; do words+=(--from-file "$word"); done
  kubectl create secret generic "$name" --namespace "$NAMESPACE" --dry-run=client --output yaml "${words[@]}" |
    kubectl apply --filename -
}

cluster() { # its namespace, the passwords and the keys
  need API_KEYS_FILE "who may ask the gateway"
  local reader database
  reader="$(value MLFLOW_SERVING_PASSWORD)"
  database="$(value RATCHET_GATEWAY_PASSWORD)"
  gcloud container clusters get-credentials "$CLUSTER" --project "$PROJECT" --location "$REGION"
  kubectl create namespace "$NAMESPACE" --dry-run=client --output yaml | kubectl apply --filename -
  secret "$SERVING" MLFLOW_TRACKING_PASSWORD=<(printf %s "$reader") RATCHET_GATEWAY_PASSWORD=<(printf %s "$database") \
    "api-keys=$API_KEYS_FILE"
}

applied() { # applied FILE...
  local url address file
  url="$(server_url)"
  address="$(database_address)"
  for file in "$@"; do
    filled "$file" "TRACKING_URI=$url" "DATABASE_ADDRESS=$address" | kubectl apply --filename -
  done
}

gke() {
  need METRICS_KEY_FILE "a key with the scope admin, by which /metrics is read"
  cluster
  secret "$SERVING-metrics" key=<(tr -d '\n' < "$METRICS_KEY_FILE")
  applied "$root/deploy/gke/gateway.yaml" "$root/deploy/gke/monitoring.yaml"
  echo "once a cluster: helm install prometheus-adapter prometheus-community/prometheus-adapter -f deploy/gke/adapter.yaml"
}

kserve() {
  cluster
  applied "$root/deploy/kserve/service.yaml"
}

vertex() { # a further version where the model is there already
  local of place url address reader
  of=(--model-id "$SERVING")
  place="--project $PROJECT --region $REGION"
  url="$(server_url)"
  address="$(database_address)"
  reader="$(value MLFLOW_SERVING_USERNAME)"
  if there gcloud ai models describe "$SERVING" --project "$PROJECT" --region "$REGION"; then
    of=(--parent-model "projects/$PROJECT/locations/$REGION/models/$SERVING")
  fi
  if [ -n "$ARTIFACTS" ]; then
    gcloud storage cp "$root/$TASK" "$ARTIFACTS/task.yaml"
    of+=(--artifact-uri "$ARTIFACTS")
  fi
  gcloud ai models upload "${of[@]}" --project "$PROJECT" --region "$REGION" --display-name "$SERVING" \
    --container-image-uri "$IMAGE" --container-command python,/ratchet/deploy/gcp/vertex.py --container-ports 5001 \
    --container-predict-route /invocations --container-health-route /ready \
    --container-env-vars "PROJECT=$PROJECT,RATCHET_TASK=$TASK,RATCHET_STAGE=$STAGE,MLFLOW_TRACKING_URI=$url,MLFLOW_TRACKING_USERNAME=$reader,RATCHET_DATABASE_URL=postgresql://ratchet_gateway@$address:5432/ratchet?sslmode=require"
  echo "An endpoint gets it by:"
  echo "  gcloud ai endpoints create $place --endpoint-id $SERVING --display-name $SERVING --network $(network)"
  echo "  gcloud ai endpoints deploy-model $SERVING $place --model $SERVING --display-name $SERVING \\"
  echo "    --service-account $(account "$SERVING") --machine-type n2-standard-2 --min-replica-count 1 --max-replica-count 10"
}

case "${1:-}" in
  run | gke | kserve | vertex) "$1" ;;
  *) sed -n '2,7p' "$0" && exit 2 ;;
esac
