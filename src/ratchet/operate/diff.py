"""What differs between two versions of a task: config, model, data, code, packages, metrics, predictions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from ratchet.adapters import files, git, records, registry
from ratchet.adapters.registry import Version
from ratchet.core import compare
from ratchet.operate import status
from ratchet.steps import chronicle, recipe
from ratchet.steps.inputs import config_of
from ratchet.steps.session import Session

Pairs = dict[str, list[Any]]  # name -> what it is in the first and in the second version; None: it is not there
FIGURES = ("kind", "missing", "minimum", "maximum", "mean")  # of a column's profile
UNKNOWN = "an older release trained one of the versions, without a recipe"
PIN = re.compile(r"(?m)^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)")


@dataclass(frozen=True)
class Side:
    """One of the two versions, with what its runs recorded."""

    session: Session
    version: Version

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The recipe; empty where an older release trained it."""
        return recipe.read(self.session.client, self.version) or {}

    def of_rows(self, path: str) -> Any:
        """A JSON artifact of the run that prepared its rows; None where that is not known."""
        run = self.recipe.get("preprocess_run")
        return records.read_json_if_there(self.session.client, run, path) if run else None

    def digest(self, name: str) -> str | None:
        """A digest of what it is made of: config, data, split or lock."""
        return self.version.tags.get(f"ratchet.{name}")

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Its metrics on test."""
        return status.metrics(self.session, self.version.tags.get("ratchet.evaluate_run"))


def diff(session: Session, first: int, second: int) -> dict[str, Any]:
    """Return by section what differs; `unknown` in a section says why it cannot be told.

    Raises RatchetError if the task has no such version.
    """
    numbers = (first, second)
    one, two = (Side(session, registry.numbered(session.client, session.task.name, number)) for number in numbers)
    metrics = {name: [one.metrics.get(name), two.metrics.get(name)] for name in {**one.metrics, **two.metrics}}
    return {
        "task": session.task.name,
        "versions": list(numbers),
        "config": _config(one, two),
        "model": _model(one, two),
        "data": _data(one, two),
        "code": _code(one, two),
        "packages": _packages(one, two),
        "metrics": {"same_rows": one.digest("split") == two.digest("split"), "values": metrics},
        "predictions": _predictions(session, one, two),
    }


def pairs(one: Mapping[str, Any], two: Mapping[str, Any]) -> Pairs:
    """Return what is not the same in both, in order of the names."""
    names = sorted(name for name in {*one, *two} if one.get(name) != two.get(name))
    return {name: [one.get(name), two.get(name)] for name in names}


def _both(one: Side, two: Side) -> bool:
    return bool(one.recipe and two.recipe)


def _config(one: Side, two: Side) -> dict[str, Any]:
    if one.digest("config") == two.digest("config"):
        return {"changed": {}}
    if not _both(one, two):
        return {"unknown": UNKNOWN}
    return {"changed": pairs(config_of(one.recipe["task"]), config_of(two.recipe["task"]))}


def _model(one: Side, two: Side) -> dict[str, Any]:
    """The chosen configurations (rounds: by fold), and where and in how many threads they were fitted."""
    if not _both(one, two):
        return {"unknown": UNKNOWN}

    def facts(known: dict[str, Any]) -> dict[str, Any]:
        own = {name: known[name] for name in ("seed", "threads", "device")}
        trial = {name: known["trial"][name] for name in ("family", "rounds")}
        return {**trial, **known["trial"]["params"], **own, **known["machine"]}

    return {"changed": pairs(facts(one.recipe), facts(two.recipe))}


def _data(one: Side, two: Side) -> dict[str, Any]:
    digests = [one.digest("data"), two.digest("data")]
    found: dict[str, Any] = {"digests": digests, "same": digests[0] == digests[1]}
    if found["same"]:
        return found
    if not _both(one, two):
        return found | {"unknown": UNKNOWN}
    sources = [{source["name"]: source["origin"] for source in side.recipe["sources"]} for side in (one, two)]
    sides = [(side.of_rows("about.json") or {}).get("sides", {}) for side in (one, two)]
    profiles = [{entry["name"]: entry for entry in side.of_rows("profile.json") or ()} for side in (one, two)]
    both = [name for name in profiles[0] if name in profiles[1]]
    changed = {name: pairs(*({key: p[name].get(key) for key in FIGURES} for p in profiles)) for name in both}
    return found | {
        "sources": pairs(*sources),
        "rows": pairs(*sides),
        "gone": [name for name in profiles[0] if name not in profiles[1]],
        "new": [name for name in profiles[1] if name not in profiles[0]],
        "columns": {name: figures for name, figures in changed.items() if figures},
    }


def _code(one: Side, two: Side) -> dict[str, Any]:
    """The files that make a model and differ, and git's word on all of the commits where it has both."""
    commits = [side.version.tags.get("ratchet.commit", "unknown") for side in (one, two)]
    found: dict[str, Any] = {"commits": commits}
    if _both(one, two):
        found["files"] = list(pairs(one.recipe["code"], two.recipe["code"]))
    elif commits[0] != commits[1]:
        found["unknown"] = UNKNOWN
    bare, repository = [commit.removesuffix(git.DIRTY) for commit in commits], git.repository()
    if repository and all(git.holds(repository, commit) for commit in bare):
        found["stat"] = git.changed(repository, *bare)
    return found


def _packages(one: Side, two: Side) -> dict[str, Any]:
    digests = [one.digest("lock"), two.digest("lock")]
    if digests[0] == digests[1]:
        return {"digests": digests, "changed": {}}
    repository, locks = git.repository(), []
    for side in (one, two):
        commit = side.version.tags.get("ratchet.commit", "").removesuffix(git.DIRTY)
        text = git.read(repository, commit, recipe.LOCK) if repository and commit else None
        locks.append(dict(PIN.findall(text)) if text else None)
    if locks[0] is None or locks[1] is None:
        return {"digests": digests, "unknown": f"the {recipe.LOCK} of one of the commits is not in this repository"}
    return {"digests": digests, "changed": pairs(locks[0], locks[1])}


def _predictions(session: Session, one: Side, two: Side) -> dict[str, Any]:
    """Both models on the same test rows: those of the second version, or of the first where they are gone."""
    for side in (two, one):
        if (rows := _rows(side)) is not None:
            break
    else:
        return {"unknown": "the test rows of neither version are to be had"}
    told = []
    for asked in (one, two):
        scorer = session.scorer(chronicle.model_of(session, asked.version))
        if lacking := [name for name in scorer.encoder.inputs if name not in rows]:
            number = asked.version.number
            return {"unknown": f"version {number} reads the column {lacking[0]!r}, which the rows do not have"}
        told.append(pd.DataFrame(scorer.columns(rows)))
    apart = compare.predictions(*told)
    if apart is None:
        return {"unknown": "the versions answer another question: their classes differ"}
    learned = one.digest("split") != two.digest("split")
    return {"of_version": side.version.number, "other_may_have_learned_from_them": learned, **vars(apart)}


def _rows(side: Side) -> pd.DataFrame | None:
    from mlflow.exceptions import MlflowException

    run, client, path = side.recipe.get("preprocess_run"), side.session.client, "splits/test.parquet"
    try:
        if not run or not records.is_there(client, run, path):
            return None
        return files.read_side(records.fetch(client, run, path).parent, "test", most=recipe.SAMPLE_ROWS)
    except MlflowException:  # the run itself was removed
        return None
