#!/usr/bin/env bash
# The team stack on Google Cloud: Cloud SQL, a bucket, Cloud Run for tracking and for the model, least rights for each.
#
#   deploy/gcp/deploy.sh prepare     services bucket database image accounts secrets; it ends by saying what comes next
#   deploy/gcp/deploy.sh start       tracking, then model once a version is in its stage
#   deploy/gcp/deploy.sh STEP        one of those, or train
#
# Each step may be run again. Not run against the real service: written from Google's documentation, linted by
# ShellCheck, and tested with stand-ins for Google's commands. Read a step before you run it; it costs money (Cloud SQL
# above all) as long as it stands.
set -euo pipefail
# shellcheck source=deploy/gcp/known.sh
. "$(dirname "$0")/known.sh"

joined() { (IFS=, && echo "$*"); }

services() {
  gcloud services enable --project "$PROJECT" run.googleapis.com sqladmin.googleapis.com secretmanager.googleapis.com \
    artifactregistry.googleapis.com cloudbuild.googleapis.com aiplatform.googleapis.com storage.googleapis.com \
    container.googleapis.com
}

bucket() { # one set of rights for all objects, old versions kept for 90 days
  there gcloud storage buckets describe "gs://$BUCKET" ||
    gcloud storage buckets create "gs://$BUCKET" --project "$PROJECT" --location "$REGION" \
      --uniform-bucket-level-access --public-access-prevention
  gcloud storage buckets update "gs://$BUCKET" --versioning --lifecycle-file "$here/lifecycle.json"
}

database() { # backups and a log to go back to any minute of a week; databases and roles by the stack's own script
  "$root/deploy/secrets.sh" "$root/.env"
  there gcloud sql instances describe "$DATABASE" --project "$PROJECT" ||
    gcloud sql instances create "$DATABASE" --project "$PROJECT" --region "$REGION" --tier "$DATABASE_TIER" \
      --database-version "$DATABASE_VERSION" --edition enterprise --backup --enable-point-in-time-recovery \
      --ssl-mode ENCRYPTED_ONLY --network "projects/$PROJECT/global/networks/$NETWORK" --assign-ip
  local password
  password="$(value POSTGRES_PASSWORD)"
  gcloud sql users set-password postgres --project "$PROJECT" --instance "$DATABASE" \
    --flags-file <(printf -- '--password: "%s"\n' "$password") # not on the command line
}

next() { # what needs psql, and a person who looks
  echo "Now, once, from a machine with psql: cloud-sql-proxy $(instance) --port 5432, and then"
  echo "  set -a; . .env; PGHOST=127.0.0.1 PGPASSWORD=\$POSTGRES_PASSWORD deploy/postgres/init.sh"
  echo "  RATCHET_DATABASE_URL=postgresql://ratchet_owner:\$RATCHET_OWNER_PASSWORD@127.0.0.1/ratchet ratchet migrate"
  echo "  deploy/gcp/deploy.sh tracking"
  echo "Then make the accounts serving and trainer on the server, with the passwords in .env (docs/accounts.md)."
}

image() {
  there gcloud artifacts repositories describe "$REPOSITORY" --project "$PROJECT" --location "$REGION" ||
    gcloud artifacts repositories create "$REPOSITORY" --project "$PROJECT" --location "$REGION" --repository-format docker
  docker build --tag "$IMAGE" --file "$root/deploy/Dockerfile" "$root"
  gcloud auth configure-docker "$REGION-docker.pkg.dev" --quiet
  docker push "$IMAGE"
}

accounts() { # the server writes the bucket; who trains and who serves have no right on it: they go through the server
  local name
  for name in "$SERVER" "$SERVING" "$TRAINER"; do
    there gcloud iam service-accounts describe "$(account "$name")" --project "$PROJECT" ||
      gcloud iam service-accounts create "$name" --project "$PROJECT"
  done
  gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --role roles/storage.objectAdmin \
    --member "serviceAccount:$(account "$SERVER")"
  gcloud projects add-iam-policy-binding "$PROJECT" --role roles/cloudsql.client --condition None \
    --member "serviceAccount:$(account "$SERVER")"
  gcloud projects add-iam-policy-binding "$PROJECT" --role roles/cloudsql.client --condition None \
    --member "serviceAccount:$(account "$SERVING")"
}

secret() { # secret NAME ACCOUNT...: takes the value from .env, and lets the accounts read it
  local name="$1" content
  shift
  content="$(value "$name")"
  there gcloud secrets describe "$name" --project "$PROJECT" ||
    gcloud secrets create "$name" --project "$PROJECT" --replication-policy automatic
  printf %s "$content" | gcloud secrets versions add "$name" --project "$PROJECT" --data-file -
  for reader in "$@"; do
    gcloud secrets add-iam-policy-binding "$name" --project "$PROJECT" --role roles/secretmanager.secretAccessor \
      --member "serviceAccount:$(account "$reader")"
  done
}

secrets() {
  "$root/deploy/secrets.sh" "$root/.env"
  secret MLFLOW_DB_PASSWORD "$SERVER"
  secret MLFLOW_AUTH_ADMIN_PASSWORD "$SERVER"
  secret MLFLOW_FLASK_SERVER_SECRET_KEY "$SERVER"
  secret RATCHET_SCIENTIST_PASSWORD "$TRAINER"
  secret MLFLOW_TRAINER_PASSWORD "$TRAINER"
  secret MLFLOW_SERVING_PASSWORD "$SERVING"
  secret RATCHET_GATEWAY_PASSWORD "$SERVING"
}

tracking() { # Cloud Run reaches Cloud SQL through a socket below /cloudsql
  gcloud run deploy "$SERVER" --project "$PROJECT" --region "$REGION" --image "$IMAGE" \
    --service-account "$(account "$SERVER")" --add-cloudsql-instances "$(instance)" \
    --memory 4Gi --cpu 2 --min-instances 1 --max-instances 2 --port 5000 --allow-unauthenticated \
    --command bash --args deploy/tracking/serve.sh \
    --set-env-vars "$(joined "POSTGRES_HOST=/cloudsql/$(instance)" "RATCHET_BUCKET=gs://$BUCKET" \
      MLFLOW_HOST=0.0.0.0 MLFLOW_STATE=/tmp/mlflow "MLFLOW_SERVER_ALLOWED_HOSTS=*.run.app")" \
    --set-secrets "$(joined MLFLOW_DB_PASSWORD=MLFLOW_DB_PASSWORD:latest \
      MLFLOW_AUTH_ADMIN_PASSWORD=MLFLOW_AUTH_ADMIN_PASSWORD:latest \
      MLFLOW_FLASK_SERVER_SECRET_KEY=MLFLOW_FLASK_SERVER_SECRET_KEY:latest)"
}

model() { "$here/gateway.sh" run; }

train() { # the same container as a custom job of Vertex AI, instead of training at home: up to evaluate; it joins the database's network
  local job address network
  job="$(mktemp)"
  network="$(network)"
  address="$(database_address)"
  cat > "$job" <<JOB
serviceAccount: $(account "$TRAINER")
network: $network
workerPoolSpecs:
  - replicaCount: 1
    machineSpec: {machineType: $TRAINING_MACHINE}
    containerSpec:
      imageUri: $IMAGE
      command: [bash, deploy/gcp/train.sh]
      args: [/ratchet/$TASK]
      env:
        - {name: PROJECT, value: $PROJECT}
        - {name: DATABASE_ADDRESS, value: $address}
        - {name: MLFLOW_TRACKING_URI, value: "$(server_url)"}
JOB
  gcloud ai custom-jobs create --project "$PROJECT" --region "$REGION" --display-name "ratchet $TASK" --config "$job"
  rm "$job"
}

prepare() {
  local each
  for each in services bucket database image accounts secrets next; do "$each"; done
}

start() {
  tracking
  model
}

case "${1:-}" in
  services | bucket | database | image | accounts | secrets | next | tracking | model | train | prepare | start) "$1" ;;
  *) sed -n '2,6p' "$0" && exit 2 ;;
esac
