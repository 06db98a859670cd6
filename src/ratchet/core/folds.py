"""How the rows of train are cut into folds: the same way as the sides, so that no fold leaks into another."""

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit

from ratchet.errors import DataError


def assign(
    target: np.ndarray,
    kind: str,
    folds: int,
    seed: int,
    groups: np.ndarray | None = None,
    by_time: bool = False,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (rows to fit, rows to score) per fold, as positions in train.

    target: (n,) class index or value; groups: (n,), kept on one side of each fold; by_time: rows are in time's
    order, and each fold is scored on what came after.
    Raises DataError if there are fewer rows, rows of a class, or groups than folds, or a fold has one class only.
    """
    rows = len(target)
    _enough(target, kind, folds, groups)
    blank = np.zeros(rows)
    cuts: Iterator[tuple[np.ndarray, np.ndarray]]
    if by_time:
        cuts = TimeSeriesSplit(folds).split(blank)
    elif groups is not None:
        splitter = GroupKFold if kind == "regression" else StratifiedGroupKFold
        cuts = splitter(folds, shuffle=True, random_state=seed).split(blank, target, groups)
    elif kind == "regression":
        cuts = KFold(folds, shuffle=True, random_state=seed).split(blank)
    else:
        cuts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(blank, target)
    found = list(cuts)
    if kind != "regression":
        _two_classes(target, found)
    return found


def _two_classes(target: np.ndarray, cuts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for number, (fit, score) in enumerate(cuts, start=1):
        for rows, use in ((fit, "learns from"), (score, "is scored on")):
            if len(np.unique(target[rows])) < 2:
                raise DataError(
                    f"search.folds: fold {number} of {len(cuts)} {use} {len(rows)} rows of one class; take fewer folds"
                )


def _enough(target: np.ndarray, kind: str, folds: int, groups: np.ndarray | None) -> None:
    if len(target) < 2 * folds:
        raise DataError(f"search.folds: {folds} folds need {2 * folds} rows in train, there are {len(target)}")
    if groups is not None and len(np.unique(groups)) < folds:
        raise DataError(f"search.folds: {folds} folds, but train has {len(np.unique(groups))} groups")
    if kind != "regression":
        smallest = int(np.bincount(target.astype(int)).min())
        if smallest < folds:
            mend = f"take search: {{folds: {smallest}}}" if smallest > 1 else "collect more rows of it"
            mend += ", or merge rare classes by data.rare_classes" if kind == "multiclass" else ""
            raise DataError(f"search.folds: {folds} folds, but the rarest class has {smallest} rows in train; {mend}")
