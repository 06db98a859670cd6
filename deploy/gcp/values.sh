# shellcheck shell=bash disable=SC2034
# Every value of the deployment, once. Copy it to values.local.sh (which git ignores), and change it there.
PROJECT="my-project"
REGION="europe-west3"
BUCKET="$PROJECT-ratchet"                 # artifacts
DATABASE="ratchet"                        # the Cloud SQL instance
DATABASE_TIER="db-custom-1-3840"
DATABASE_VERSION="POSTGRES_15"
NETWORK="default"                         # with private services access: by it Vertex AI reaches Cloud SQL
REPOSITORY="ratchet"                      # of Artifact Registry
IMAGE="$REGION-docker.pkg.dev/$PROJECT/$REPOSITORY/ratchet:0.1"
SERVER="ratchet-tracking"                 # the Cloud Run service, and its account
SERVING="ratchet-model"                   # the gateway, wherever it runs
TRAINER="ratchet-trainer"
TASK="configs/quickstart.yaml"            # what the model server serves, and Vertex trains
STAGE="Production"
CLUSTER="ratchet"                         # of GKE, in REGION, in NETWORK
NAMESPACE="ratchet"                       # on it
API_KEYS_FILE=""                          # on this machine: who may ask the gateway on GKE and KServe
METRICS_KEY_FILE=""                       # a key of theirs, as it is sent, by which /metrics is read on GKE
ARTIFACTS=""                              # gs://a-folder for the task, where Vertex AI is not to use the one in the image
TRAINING_MACHINE="n2-standard-8"
