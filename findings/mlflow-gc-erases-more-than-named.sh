#!/bin/sh
# `mlflow gc --run-ids X` erases more than the run that is named: every deleted experiment with its runs, and every deleted
# logged model, of the whole store. Seen with mlflow 3.17.2; read in mlflow/cli/__init__.py, `_gc_tracking_resources`: where
# no `--experiment-ids` are given it takes all deleted ones, and so it does where no `--logged-model-ids` are given.
# Output seen, asked for one run of another experiment:
#   Run with ID 7777… has been permanently deleted.        <- the one that was named
#   Run with ID b778… has been permanently deleted.        <- of an experiment that was deleted, and could be restored
#   Logged model with ID m-de30… has been permanently deleted.
#   Experiment with ID 2 has been permanently deleted.
# Exits 0 while this is so, 1 once only the named run goes.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
if command -v uv >/dev/null; then
    uv venv -q venv && uv pip install -q --python venv/bin/python mlflow==3.17.2
else
    python3 -m venv venv && venv/bin/pip install -q mlflow==3.17.2
fi
export MLFLOW_TRACKING_URI="sqlite:///$place/mlflow.db"
venv/bin/python - <<'PYTHON'
import subprocess
import sys

import mlflow
from mlflow.entities import ViewType

client = mlflow.MlflowClient()
home = client.create_experiment("home")
unwanted = client.create_run(home).info.run_id
model = client.create_logged_model(home, "model").model_id
other = client.create_experiment("somebody's, deleted by mistake")
theirs = client.create_run(other).info.run_id
client.delete_run(unwanted)
client.delete_logged_model(model)
client.delete_experiment(other)
store = mlflow.get_tracking_uri()
done = subprocess.run(
    [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", store, "--run-ids", unwanted],
    capture_output=True, text=True, check=True,
)
print(done.stdout.strip())
left = [experiment.name for experiment in client.search_experiments(view_type=ViewType.DELETED_ONLY)]
print("asked for: run", unwanted)
print("deleted experiments that are left:", left)
said = f"Experiment with ID {other}" in done.stdout and theirs in done.stdout and model in done.stdout
sys.exit(0 if said and not left else 1)
PYTHON
