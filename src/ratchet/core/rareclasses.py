"""Classes with too few rows to learn or to be judged: what is said of them, and the YAML that helps."""

from collections.abc import Mapping, Sequence
from typing import Any

from ratchet.config import Split, Task

NAMED = 5


def mend(totals: Mapping[Any, int], short: Sequence[Any], folds: int) -> str:
    """Return what to write about classes that have too few rows in train.

    Args:
        totals: rows of each class in all.
        short: the classes that have too few.
        folds: rows of a class that train needs.
    """
    under = max(totals[name] for name in short) + 1
    rare = [name for name in totals if totals[name] < under]
    left_out = f"data: {{rare_classes: {{under: {under}, drop: true}}}}"
    if len(rare) == len(totals):
        return "collect more rows of them"
    if sum(totals[name] for name in rare) < max(under, 1.5 * folds):
        return f"leave them out by {left_out}"
    merged = f"data: {{rare_classes: {{under: {under}, into: {_free_name(totals)}}}}}"
    return f"merge them into one by {merged}, or leave them out by {left_out}"


def _free_name(totals: Mapping[Any, int]) -> str:
    """A name for the merged class that no class has, as YAML writes it; a number among numbers."""
    if not any(isinstance(name, str) for name in totals):
        return str(min(-1, int(min(totals)) - 1))
    return next(name for name in ("other", "others", "the_others", "rest") if name not in totals)


def too_few(task: Task, totals: Mapping[Any, int], in_train: Mapping[Any, int]) -> str:
    """Return the fault of several classes of which train holds fewer rows than the search has folds; else nothing."""
    folds = task.search.folds
    short = sorted((name for name in totals if in_train[name] < folds), key=lambda name: (totals[name], str(name)))
    if not short:
        return ""
    shown = ", ".join(f"{name!r} ({totals[name]} in all)" for name in short[:NAMED])
    more = ", …" if len(short) > NAMED else ""
    return (
        f"data.target: {task.data.target!r} has {len(short)} of {len(totals)} classes that are rare, with fewer rows in"
        f" train than the {folds} that search.folds needs: {shown}{more}; {mend(totals, short, folds)}"
    )


def too_many(totals: Sequence[tuple[Any, int]], most: int) -> str:
    """Return what to write about more classes than are learned; nothing where merging would leave none.

    Args:
        totals: classes with their rows, the most frequent first.
        most: classes that are learned.
    """
    under = totals[most - 1][1] + 1
    kept = [name for name, rows in totals if rows >= under]
    return f"merge the rare ones by data: {{rare_classes: {{under: {under}, into: other}}}}" if len(kept) > 1 else ""


def one_class_only(split: Split, side: str, only: Any, rows: int, totals: Mapping[Any, int]) -> str:
    """Return the fault of a side that holds rows of one class only."""
    fault = f"split: {side} holds one class only ({only!r}, {rows} rows)"
    others = {name: count for name, count in totals.items() if name != only}
    name, count = max(others.items(), key=lambda pair: pair[1])
    if not hasattr(split, "stratify"):
        return f"{fault}; enlarge its share"
    if split.stratify is False:
        return f"{fault}; with split: {{stratify: true}} each side gets its share of {name!r} ({count} rows in all)"
    if split.by == "group":
        return f"{fault}, and too few groups hold {name!r} to give each side one; collect more, or split by hash"
    return f"{fault}; there are {count} rows of {name!r} in all, and each side needs one: collect more"
