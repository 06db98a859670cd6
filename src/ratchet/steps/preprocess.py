"""Step 1: read, check, split and describe the rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ratchet.adapters import columns, files, profile, records, sides, strata
from ratchet.adapters.runs import Run
from ratchet.adapters.sources import Table
from ratchet.config import WARNINGS, GroupSplit, HashSplit, Kind, Task
from ratchet.core import amounts, asked, baselines, checks, features, leaks, plots, rareclasses
from ratchet.core.features import Plan
from ratchet.core.leaks import Leak
from ratchet.errors import DataError
from ratchet.scoring.expressions import Expression, ExpressionError
from ratchet.steps import describe
from ratchet.steps.inputs import code_of, config_of, key_of
from ratchet.steps.session import Session, Step

CODE = (
    "adapters/columns.py",
    "adapters/datecolumns.py",
    "adapters/dateforms.py",
    "adapters/dates.py",
    "adapters/delimited.py",
    "adapters/files.py",
    "adapters/jsonfiles.py",
    "adapters/lineends.py",
    "adapters/lookup.py",
    "adapters/partitions.py",
    "adapters/parts.py",
    "adapters/profile.py",
    "adapters/sheets.py",
    "adapters/sides.py",
    "adapters/sources.py",
    "adapters/splitvalues.py",
    "adapters/sql.py",
    "adapters/strata.py",
    "adapters/synthetic.py",
    "adapters/unpack.py",
    "config/numbers.py",
    "core/amounts.py",
    "core/baselines.py",
    "core/canvas.py",
    "core/checks.py",
    "core/features.py",
    "core/labels.py",
    "core/leaks.py",
    "core/metrics.py",
    "core/plots.py",
    "core/rareclasses.py",
    "core/suggestions.py",
    "scoring/cells.py",
    "scoring/expressions.py",
    "scoring/values.py",
    "steps/preprocess.py",
)
SAMPLE_ROWS = 20_000
MOSTLY_TWINS = 0.8  # from this share of rows that repeat on, why they do is looked at


@dataclass(frozen=True)
class Prepared:
    """The rows of a task, split and described, as they lie in the run of preprocess."""

    run_id: str
    folder: Path
    about: dict[str, Any]

    @property
    def kind(self) -> Kind:
        """Kind of task: binary, multiclass or regression."""
        kind: Kind = self.about["kind"]
        return kind

    @property
    def classes(self) -> list[Any]:
        """The labels; binary: negative, positive; regression: none."""
        return list(self.about["classes"])

    @cached_property
    def plan(self) -> Plan:
        """The features."""
        return Plan(self.about["features"], self.about["formulas"], self.about["dropped"])

    def rows(self, side: str, columns: list[str] | None = None, most: int | None = None) -> pd.DataFrame:
        """Return the rows of a side: train, valid or test; all columns, or those named; at most so many of them.

        Of more rows a sample is taken, the same one each time, in their order.
        """
        return files.read_side(self.folder, side, columns, most)

    def batches(self, side: str, columns: list[str]) -> Iterator[pd.DataFrame]:
        """Yield the rows of a side, some at a time."""
        return files.read_batches(self.folder, side, columns)

    def target(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the target of rows, shape (n,): the class index, or the value."""
        return encoded_target(rows[self.about["target"]], self.classes)


def encoded_target(values: pd.Series, classes: Sequence[Any]) -> np.ndarray:
    """Return class indices, or for regression (no classes) the values, shape (n,)."""
    if not classes:
        return np.asarray(values.to_numpy(dtype=float))
    return np.asarray(pd.Index(classes).get_indexer(pd.Index(values)))


def inputs(session: Session) -> dict[str, str]:
    """What preprocess depends on: its code, its part of the task and the digests of the data."""
    task = session.task
    told = task.model_dump(include={"data": True, "split": True, "features": True, "problem": {"rule", "kind"}})
    for name in WARNINGS:  # of requests, long after
        del told["features"][name]
    for source in told["data"]["sources"].values():  # what is read counts, not where it lies
        del source["uris"], source["sha256"]
    return code_of(CODE) | config_of(told) | {f"source {table.name}": table.digest for table in session.tables}


def preprocess(session: Session, parent: Run | None = None) -> Prepared:
    """Read, check, split and describe the rows of the task; return them as they lie in the run."""

    def recall(run_id: str) -> Prepared:
        folder = records.fetch(session.client, run_id, "splits")
        return Prepared(run_id, folder, records.read_json(session.client, run_id, "about.json"))

    def work(run: Run) -> None:
        with session.work_folder() as folder:
            about, described = prepare(session.task, session.tables, folder)
            _record(run, session, about, described, folder / "splits")

    return session.do(Step("preprocess", inputs(session), recall, work), parent)


def prepare(task: Task, tables: list[Table], folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write the sides of the rows to `splits` in the folder; return what is known of them, and of each column."""
    splits, rows = folder / "splits", folder / "rows.parquet"
    splits.mkdir()
    with files.workspace(folder, tables, from_sample=True) as db:
        about, described = _gather(task, db, tables, rows, splits)
    about |= _digests(task, tables, about)
    _check_sides(about, splits, task)
    return about, described


def _gather(
    task: Task, db: duckdb.DuckDBPyConnection, tables: list[Table], rows: Path, splits: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write the sides; return what is known about the rows, and the profile of their columns."""
    columns.check_named(db, tables)
    read: list[str] = []
    kinds = files.gather(db, task.data, task.split, rows, tables, read.append)
    types = {table.name: files.types_of(db, table) for table in tables}
    missing, values = files.keep_targets(db, task.data.target, rows)
    if task.data.rare_classes:
        values, merged = strata.merge_rare(db, task.data.rare_classes, task.data.target, rows)
        read += [merged] if merged else []
    kind, classes = checks.kind_of_target(task, values)
    asked.check(task, kind)  # before a search is waited for
    is_stratified, spread = strata.spread(db, task.split, task.data.target, rows) if classes else (False, "")
    read += [spread] if spread else []
    described = profile.columns(db, rows, kinds)
    total = profile.count(db, rows)
    for entry in described:
        entry["rows"] = total
    described[0]["is_index"] = checks.index_of_rows(described, total + missing)
    plan = features.plan(task, described)
    raw = sorted({*plan.kinds, *features.formula_columns(plan.formulas)})
    sides = files.write_sides(db, rows, splits)
    counts = {
        "rows": total,
        "missing_targets": missing,
        "unplaced_rows": total - sum(sides.values()),
        **profile.doubles(db, rows, raw),
        **(profile.ids(db, rows, task.data.id) if task.data.id else {}),
    }
    if counts["repeated_rows"] > MOSTLY_TWINS * total:
        counts |= profile.combinations(db, rows, raw, task.data.target)
    about: dict[str, Any] = {
        "kind": kind,
        "classes": classes,
        "classes_rows": [int(count) for _, count in _in_order(values, classes)],
        "is_stratified": is_stratified,
        "target": task.data.target,
        "features": dict(plan.kinds),
        "formulas": dict(plan.formulas),
        "dropped": dict(plan.dropped),
        "columns": kinds,
        "types": types,
        "required": [entry["name"] for entry in described if not entry["missing"]],
        "sides": sides,
        "counts": counts,
        "findings": [
            *read,
            *checks.shares(task.split, sides),
            *checks.findings(task, described, counts),
            *columns.notes(db),
        ],
    }
    texts = [] if task.features.kind == "text" else [name for name, kind in kinds.items() if kind == "text"]
    own = {task.data.target, task.data.id, *task.data.drop, *task.features.categorical}
    texts = [name for name in texts if name not in own]
    wanted = [*raw, *texts, *Expression.parse(task.problem.rule or "0").names, task.data.target]
    seen = files.read_side(splits, "train", list(dict.fromkeys(wanted)), SAMPLE_ROWS)
    about["findings"] += checks.codes(seen[[name for name, kind in plan.kinds.items() if kind == "number"]])
    about["findings"] += amounts.numbers_as_text(seen, texts)
    if any(table.files and table.format == "delimited" for table in tables):
        about["findings"] += checks.padded_texts(seen, texts)
    words = [name for name, kind in plan.kinds.items() if kind == "category" and kinds[name] == "text"]
    about["findings"] += checks.spellings(seen, words, task.data.missing_words)
    _look_closer(task, about, seen)
    return about, described


def _in_order(values: Sequence[tuple[Any, int]], classes: Sequence[Any]) -> list[tuple[Any, int]]:
    """The classes with their rows, in the order in which the model has them."""
    counts = dict(values)
    return [(name, counts[name]) for name in classes]


def _look_closer(task: Task, about: dict[str, Any], rows: pd.DataFrame) -> None:
    """Look for leaking columns in a sample of train, and try the rule before a search spends its time."""
    target = encoded_target(rows[task.data.target], about["classes"])
    found = _leaks(rows, about["features"], about["formulas"], target, about["kind"])
    about["findings"] += [leak.sentence for leak in found]
    if task.problem.rule:
        baselines.rule(task.problem.rule, rows, target, about["kind"], about["classes"])


def leaks_of(prepared: Prepared, kinds: Mapping[str, str], formulas: Mapping[str, str]) -> list[Leak]:
    """Find the columns that give the target away to a model that reads them.

    They are looked for anew: what preprocess has recorded of them is a file that somebody may have changed.

    Args:
        prepared: The rows.
        kinds: The columns that it reads as they are, with their kind: number, category or text.
        formulas: What it derives, by name.
    """
    columns = list(dict.fromkeys([*kinds, *features.formula_columns(formulas), prepared.about["target"]]))
    rows = prepared.rows("train", columns, SAMPLE_ROWS)
    return _leaks(rows, kinds, formulas, prepared.target(rows), prepared.kind)


def _leaks(
    rows: pd.DataFrame, kinds: Mapping[str, str], formulas: Mapping[str, str], target: np.ndarray, kind: Kind
) -> list[Leak]:
    """Look at what a model sees: its columns, and what is derived from others."""
    derived = {}
    for name, formula in formulas.items():
        try:
            values = np.asarray(Expression.parse(formula).evaluate(rows))
        except ExpressionError:  # said of the features when they are fitted
            continue
        if values.dtype.kind in "iufb":
            derived[name] = np.broadcast_to(values.astype(float), len(rows))
    seen = pd.concat([rows[list(kinds)], pd.DataFrame(derived, index=rows.index)], axis=1)
    return leaks.find_leaks(seen, {**kinds, **dict.fromkeys(derived, "number")}, target, kind)


def _digests(task: Task, tables: list[Table], about: dict[str, Any]) -> dict[str, Any]:
    data, split = task.data, task.split
    contents = [(table.name, table.digest) for table in tables]
    decides = {name: about["columns"][name] for name in sides.key_columns(data, split, about["columns"])}
    # By hash, rows stay on their sides when the data grow, as long as what decides keeps its meaning.
    grows = isinstance(split, HashSplit | GroupSplit) and not about["is_stratified"]
    rows = [data.query, decides] if grows else [data.query, contents]
    stratify = {"stratify": True} if about["is_stratified"] else {}
    told = split.model_dump(mode="json", exclude={"stratify"}) | stratify
    return {
        "sources": [{"name": t.name, "origin": t.origin, "sha256": t.digest} for t in tables],
        "data_digest": key_of((), contents, data.query),
        # Two runs with the same digest keep the same rows apart.
        "split_digest": key_of((), told, data.id, rows),
    }


def _check_sides(about: dict[str, Any], splits: Path, task: Task) -> None:
    """Refuse a side in which a class is missing, classes that are too rare to learn, or a target without a value."""
    totals = dict(zip(about["classes"], about["classes_rows"], strict=True))
    for side in sides.SIDES:
        target = encoded_target(files.read_side(splits, side, [task.data.target])[task.data.target], about["classes"])
        if about["kind"] == "multiclass" and side == "train":
            in_train = dict(zip(totals, np.bincount(target, minlength=len(totals)).tolist(), strict=True))
            if fault := rareclasses.too_few(task, totals, in_train):
                raise DataError(fault)
        if about["classes"] and len(found := np.unique(target)) < 2:
            only = about["classes"][int(found[0])]
            raise DataError(rareclasses.one_class_only(task.split, side, only, len(target), totals))
        if about["kind"] == "regression" and not np.isfinite(target).all():
            raise DataError(f"data.target: {task.data.target!r} holds infinite numbers in {side}; remove them")


def _record(run: Run, session: Session, about: dict[str, Any], described: list[dict[str, Any]], splits: Path) -> None:
    run.log_params({"split": session.task.split.by, "kind": about["kind"], "features": len(about["features"])})
    run.log_metrics({f"rows_{side}": count for side, count in about["sides"].items()})
    run.log_metrics({name: float(count) for name, count in about["counts"].items()})
    run.log_json(described, "profile.json")
    run.log_figures({"profile": plots.profile([entry for entry in described if "counts" in entry])})
    for source in about["sources"]:
        run.log_data(source["name"], source["sha256"], source["origin"], "preprocess")
    run.log_files(splits, "splits")
    run.log_json(session.task.model_dump(mode="json"), "task.json")
    describe.preprocess_run(run, about)
    run.log_json(about, "about.json")  # last: with it the run is whole
    own = {"the target", "the id", "the true probability", "named in data.drop", "names the side of the split"}
    dropped = [f"{name} is not used: {why}" for name, why in about["dropped"].items() if why not in own]
    for finding in (*about["findings"], *dropped):
        session.progress.note(finding)
