"""Versions that differ from the first one by what they answer, logged and registered as train and promote do it."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ratchet.adapters import logged, models, registry
from ratchet.stages import STAGING
from ratchet.steps import chronicle
from ratchet.steps.session import Session
from tests import moving

Change = Callable[[Path], None]  # of a scorer's folder
ANSWERS = '        scores = self.scores(rows)\n        if self.kind == "regression":\n            return [{"value"'
GOOD_FOR = 3  # calls: the sample rows that it has to prove itself by are among them


def staged(at: Session, change: Change) -> int:
    """Bring the first version's model, changed, to Staging as a version of its own; its number."""
    first = registry.numbered(at.client, at.task.name, 1)
    with tempfile.TemporaryDirectory() as place, at.fetched(chronicle.model_of(at, first)) as model:
        folder = Path(place)
        for name in (models.SCORER, models.ENTRY):
            found = model / "artifacts" / name if name == models.SCORER else model / name
            (shutil.copytree if found.is_dir() else shutil.copy)(found, folder / name)
        change(folder / models.SCORER)
        run_id = at.client.create_run(at.client.get_run(first.run_id).info.experiment_id).info.run_id
        uri = logged.log_model(at.client, run_id, folder, _about(model))
    kept = ("ratchet.data", "ratchet.commit", "ratchet.split", "ratchet.evidence.production", "ratchet.by")
    tags = {name: first.tags.get(name, "") for name in kept}
    tags[models.DIGEST] = at.client.get_run(run_id).data.tags[models.DIGEST]
    made = registry.register(at.client, at.task.name, uri, run_id, {"description": "changed", "tags": tags})
    return moving.promote(at, made.number, STAGING).number


def _about(model: Path) -> dict[str, Any]:
    from mlflow.models import Model

    said = Model.load(str(model))

    def columns(schema: Any) -> dict[str, tuple[str, bool]]:
        return {each["name"]: (each["type"], each.get("required", True)) for each in schema.to_dict()}

    params = {each["name"]: (each["type"], each["default"]) for each in said.signature.params.to_dict()}
    requirements = (model / "requirements.txt").read_text(encoding="utf-8").split()
    return {"inputs": columns(said.signature.inputs), "outputs": columns(said.signature.outputs), "params": params,
            "requirements": requirements, "metadata": dict(said.metadata)}  # fmt: skip


def breaks(how: str, good_for: int = GOOD_FOR) -> Change:
    """After a few good calls its scoring code does this, in which `rows` and `scores` are known."""

    def change(scorer: Path) -> None:
        file = scorer / "scoring" / "predict.py"
        source = file.read_text(encoding="utf-8")
        assert ANSWERS in source, "predict.py has changed: say where an answer is made"
        head, *rest = ANSWERS.split("\n", 1)
        late = f"{head}\n        _calls.append(1)\n        if len(_calls) > {good_for}:\n            {how}\n{rest[0]}"
        source = source.replace(ANSWERS, late).replace("def sigmoid", "_calls: list[int] = []\n\n\ndef sigmoid", 1)
        file.write_text(f"{source}\n\nimport time\n", encoding="utf-8")

    return change


ERRORS = breaks("if (rows['age'] > 35).any(): raise ValueError('an age it has never seen')")
NEVER_WORKS = breaks("raise ValueError('it never worked')", good_for=0)
HANGS = breaks("time.sleep(600)")
SLOW = breaks("time.sleep(0.25)")
NAN = breaks("scores = np.where(rows['age'].to_numpy() > 35, np.nan, scores)")


def calls_more_positive(by: float) -> Change:
    """Its threshold is lower, as after a slip of the pen."""

    def change(scorer: Path) -> None:
        file = scorer / "state" / "scorer.json"
        said = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps(said | {"threshold": said["threshold"] - by}), encoding="utf-8")

    return change
