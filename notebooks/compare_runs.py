# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Compare the runs of a task
#
# Everything here goes through MLflow's own client: what `make run` or `mlflow run .` put on record, as tables and
# plots. Set `MLFLOW_TRACKING_URI` to look at a team's server; unset, it reads `mlflow.db` in the repository's root.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import pandas as pd

TASK = os.environ.get("RATCHET_TASK", "quickstart")
ROOT = Path.cwd() if Path("MLproject").exists() else Path.cwd().parent
mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{ROOT / 'mlflow.db'}")
client = mlflow.MlflowClient()


def runs_of(step: str) -> pd.DataFrame:
    """The finished runs of one step of the task, newest first."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    condition = f"tags.`ratchet.task` = '{TASK}' and tags.`ratchet.step` = '{step}' and attributes.status = 'FINISHED'"
    return mlflow.search_runs(experiments, condition)


trials, evaluations = runs_of("trial"), runs_of("evaluate")
if trials.empty:
    raise SystemExit(f"no runs of {TASK!r} here: `make run` makes some, or set RATCHET_TASK")

# %% [markdown]
# ## The versions of the model

# %%
versions = pd.DataFrame(
    {"version": int(v.version), "stage": v.current_stage, "train run": v.tags["ratchet.train_run"][:8]}
    for v in client.search_model_versions(f"name = '{TASK}'")
)
versions.sort_values("version", ascending=False)

# %% [markdown]
# ## On the test set: the model beside what it has to beat

# %%
newest = evaluations.iloc[0]
who = {name.split(".")[1].split("_")[0] for name in evaluations.columns if name.startswith("metrics.")}
compared = pd.DataFrame(
    {
        name: {
            column.removeprefix(f"metrics.{name}_"): newest[column]
            for column in evaluations.columns
            if column.startswith(f"metrics.{name}_") and not column.endswith(("_low", "_high"))
        }
        for name in sorted(who, key=lambda name: (name != "test", name))
    }
).round(4)
compared

# %% [markdown]
# ## The trials: score by family

# %%
metric = next(c for c in trials.columns if c.startswith("metrics.fold_")).removeprefix("metrics.fold_")
score, family = trials[f"metrics.{metric}"], trials["params.family"]
table = trials.groupby("params.family")[f"metrics.{metric}"].agg(["count", "max", "mean"]).round(4)
table

# %%
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
order = trials["tags.ratchet.trial"].astype(int)
for name in sorted(family.dropna().unique()):
    mine = family == name
    axis.scatter(order[mine], score[mine], label=name)
axis.set(xlabel="trial", ylabel=metric, title=f"{TASK}: each trial of the search")
axis.legend()
plt.show()

# %% [markdown]
# ## What a trial costs

# %%
seconds = trials.groupby("params.family")["metrics.seconds"].agg(["count", "median", "max"]).round(2)
seconds

# %% [markdown]
# ## The best trial's parameters

# %%
best = trials.loc[score.idxmax()]
pd.Series({name.removeprefix("params."): best[name] for name in best.index if name.startswith("params.")}).dropna()
