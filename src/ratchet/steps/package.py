"""A scorer becomes an MLflow model: code, state, signature, requirements and sample rows."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from ratchet import __version__
from ratchet.adapters.runs import Run
from ratchet.scoring.cells import TRUTH, text
from ratchet.scoring.explain import MOST
from ratchet.scoring.predict import Scorer, load
from ratchet.steps.bench import Bench
from ratchet.steps.inputs import PACKAGE
from ratchet.steps.preprocess import Prepared
from ratchet.steps.session import Session

SAMPLE_ROWS = 5
PARAMS = {"explain": ("boolean", False), "reasons": ("long", MOST)}  # of a request, with their defaults


def write(folder: Path, scorer: Scorer, prepared: Prepared) -> None:
    """Write what is served into a new folder: the state as data, the code that reads it, and rows to ask it with."""
    sample = prepared.rows("valid")[list(scorer.encoder.inputs)].head(SAMPLE_ROWS)
    for name in [name for name, kind in scorer.encoder.kinds.items() if kind == "boolean"]:
        words = [text(cell) for cell in sample[name]]
        sample[name] = pd.Series([TRUTH.get(word.lower()) if word else None for word in words], sample.index, object)
    scorer.save(folder / "state")
    shutil.copytree(PACKAGE / "scoring", folder / "scoring", ignore=shutil.ignore_patterns("__pycache__"))
    records = json.loads(sample.to_json(orient="records", force_ascii=False))
    (folder / "sample.json").write_text(json.dumps({"dataframe_records": records}, ensure_ascii=False))


def log_model(run: Run, session: Session, bench: Bench, folder: Path) -> None:
    """Log the scorer that `write` wrote into the folder as an MLflow model of the run."""
    prepared, scorer = bench.prepared, load(folder / "state")
    # MLflow refuses whole numbers where a double is named, and cuts 2.5 to 2 where a long is; so it is told of names
    # alone, and the model reads cells of any kind itself (scoring/cells.py). What each holds is in the metadata.
    kinds = dict.fromkeys(scorer.encoder.inputs, "any")
    required = set(prepared.about["required"])
    about = {
        "inputs": {name: (kind, name in required) for name, kind in kinds.items()},
        "outputs": _outputs(scorer),
        "params": PARAMS,
        "requirements": requirements(bench),
        "metadata": {
            "task": session.task.name,
            "ratchet": __version__,
            "known": known_beside(scorer, bench),
            "columns": scorer.encoder.kinds,
            "numbers": written_numbers(scorer, bench),
            # For `ratchet score` to run the query over a file as it was run over the source.
            **({"sources": prepared.about["types"]} if session.task.data.query else {}),
        },
    }
    run.log_metrics({"model_bytes": float(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()))})
    run.log_model(folder, PACKAGE / "serving" / "model.py", about)


def known_beside(scorer: Scorer, bench: Bench) -> list[str]:
    """Return the columns of the data that the model does not read, which whole rows of it bring along.

    Not the target: who knows it has no question, and it is not to be kept among the inputs of one.
    """
    told = {bench.task.data.target, bench.task.data.truth}
    return sorted({*bench.prepared.about["columns"]} - {*scorer.encoder.inputs} - told)


def written_numbers(scorer: Scorer, bench: Bench) -> dict[str, str]:
    """Return the form of `read.numbers` by input; a query may make other numbers of them, so there none is told."""
    data = bench.task.data
    found = {name: form for source in data.sources.values() for name, form in source.read.numbers.items()}
    return {name: form for name, form in found.items() if name in scorer.encoder.inputs and not data.query}


def _outputs(scorer: Scorer) -> dict[str, tuple[str, bool]]:
    if scorer.kind == "regression":
        return {"value": ("double", True)}
    label = scorer.classes[0]
    kind = "string" if isinstance(label, str) else "long" if isinstance(label, int) else "double"
    found = {"label": (kind, True)}
    names = ["probability"] if scorer.kind == "binary" else [f"probabilities.{name}" for name in scorer.classes]
    return found | dict.fromkeys(names, ("double", True))


def requirements(bench: Bench) -> list[str]:
    """Return what the model needs to run, at the versions that are installed here."""
    packages = ["mlflow", "numpy", "pandas"]
    packages += ["scikit-learn", "scipy"] if bench.is_text else ["xgboost"]
    return [f"{name}=={version(name)}" for name in packages]
