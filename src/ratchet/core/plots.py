"""Figures of a run: each function takes plain values and returns a matplotlib Figure, ready for savefig.

What cannot be drawn (one class, no finite value, no trial) is said in words inside the figure, never raised.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ratchet.core import canvas
from ratchet.core.canvas import COLOURS, INK, REFERENCE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SCATTER, MAX_CLASSES, MAX_BARS, MAX_PANELS = 5_000, 20, 20, 24
ONE_CLASS = "This curve needs scored rows of both classes"


def roc(labels: ArrayLike, scores_by_name: dict[str, NDArray[Any]]) -> Figure:
    """ROC curve of each score against labels (0 or 1), all of shape (n,)."""
    from sklearn.metrics import auc, roc_curve

    figure, ax = canvas.figure("ROC: positives found against false alarms", 6, 5.8)
    canvas.axis(ax, "False positive rate (share of negatives)", "True positive rate (share of positives)")
    scored, note = canvas.with_both_classes(labels, scores_by_name)
    for number, (name, truth, score) in enumerate(scored):
        false_rate, true_rate, _ = roc_curve(truth, score)
        canvas.curve(ax, number, false_rate, true_rate, f"{name}: AUC {auc(false_rate, true_rate):.3f}")
    ax.plot([0, 1], [0, 1], **REFERENCE, label="chance: AUC 0.500")
    return canvas.finish(figure, note, "" if scored else ONE_CLASS)


def precision_recall(labels: ArrayLike, scores_by_name: dict[str, NDArray[Any]]) -> Figure:
    """Precision over recall of each score against labels (0 or 1), with the base rate as the floor."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, ax = canvas.figure("Precision and recall at every threshold", 6, 5.8)
    canvas.axis(ax, "Recall (share of positives found)", "Precision (share of alarms that are right)")
    ax.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
    scored, note = canvas.with_both_classes(labels, scores_by_name)
    for number, (name, truth, score) in enumerate(scored):
        precision, recall, _ = precision_recall_curve(truth, score)  # ends in a point (0, 1) that no row made
        label = f"{name}: average precision {average_precision_score(truth, score):.3f}"
        canvas.curve(ax, number, recall[:-1], precision[:-1], label, drawstyle="steps-post")
    known = canvas.finite(labels)[0]
    if known.size:
        ax.axhline(known.mean(), **REFERENCE, label=f"base rate {known.mean():.3f}")
    return canvas.finish(figure, note, "" if scored else ONE_CLASS)


def calibration(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> Figure:
    """Observed share of positives over predicted probability, in quantile bins, above a histogram of rows."""
    title = "Calibration: observed share against predicted probability"
    figure, (ax, below) = canvas.figure(title, 6, 7, nrows=2, sharex=True, height_ratios=[3, 1])
    canvas.axis(ax, "", "Observed share of positives")
    canvas.axis(below, "Predicted probability", "Rows")
    truth, predicted = canvas.finite(labels, probabilities)
    note = canvas.left_out(np.size(labels) - truth.size, "rows without a label or a probability")
    if not truth.size:
        return canvas.finish(figure, note, "No row has a label and a probability")
    mean, share = _by_quantile(truth, predicted, bins)
    limit = min(1.0, 1.1 * max(0.01, float(mean.max()), float(share.max())))
    ax.set(xlim=(-0.03 * limit, 1.03 * limit), ylim=(-0.03 * limit, 1.03 * limit))
    canvas.curve(ax, 0, mean, share, f"{truth.size:,} rows by quantile bin", marker="o")
    ax.plot([0, limit], [0, limit], **REFERENCE, label="perfectly calibrated")
    below.hist(np.minimum(predicted, limit), bins=np.linspace(0, limit, 31), color=COLOURS[0], alpha=0.75)
    if predicted.max() > limit:
        note = f"The last bar holds all rows above {limit:.2g}. {note}"
    if np.ptp(predicted) == 0:
        note = f"Every probability is {predicted[0]:.3f}. {note}"
    if np.ptp(truth) == 0:
        note = f"Only class {truth[0]:g} in the labels. {note}"
    return canvas.finish(figure, note)


def _by_quantile(truth: NDArray[Any], predicted: NDArray[Any], bins: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean prediction and share of positives in each quantile bin of the prediction that holds a row."""
    levels = np.unique(predicted)
    # Few distinct values are bins of their own: interpolated quantiles would merge them.
    inner = levels[1:] if levels.size <= bins else np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(np.unique(inner), predicted, side="right")
    filled, rows = np.unique(place, return_counts=True)
    mean, share = (np.bincount(place, weights=values)[filled] / rows for values in (predicted, truth))
    return mean, share


def confusion(truth: ArrayLike, predicted: ArrayLike, classes: list[str]) -> Figure:
    """Rows of each true class by predicted class: count, and share of the true class.

    truth, predicted: class names, shape (n,); compared with classes as text.
    """
    size, names = len(classes), [str(name) for name in classes]
    place = {name: position for position, name in enumerate(names)}
    actual, guess = (
        np.array([place.get(str(value), -1) for value in np.asarray(column).tolist()], dtype=int)
        for column in (truth, predicted)
    )
    known = (actual >= 0) & (guess >= 0)
    note = canvas.left_out(int((~known).sum()), "rows with a class not listed")
    counts = np.bincount(actual[known] * size + guess[known], minlength=size * size).reshape(size, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    kept = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:MAX_CLASSES])
    if kept.size < size:
        note = f"The {kept.size} most frequent of {size} classes; shares are of all rows of the class. {note}"
    side = min(12.0, 2.8 + 0.6 * max(3, kept.size))
    figure, ax = canvas.figure("Confusion: rows by true and predicted class", side, side)
    canvas.axis(ax, "Predicted class", "True class", grid="")
    if not known.any():
        return canvas.finish(figure, note, "No row to compare")
    canvas.cells(ax, counts[np.ix_(kept, kept)], shares[np.ix_(kept, kept)])
    shown = [canvas.short(names[code], 16) for code in kept]
    ax.set_xticks(range(kept.size), shown, rotation=90 if max(map(len, shown)) > 6 and kept.size > 3 else 0)
    ax.set_yticks(range(kept.size), shown)
    return canvas.finish(figure, note)


def residuals(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Residual (truth - predicted) over prediction, beside a histogram of the residuals."""
    title = "Residuals: how far each prediction is from the truth"
    figure, (ax, beside) = canvas.figure(title, 8, 4.8, ncols=2, sharey=True, width_ratios=[3, 1])
    canvas.axis(ax, "Predicted (unit of the target)", "Truth − predicted (unit of the target)")
    canvas.axis(beside, "Rows", "")
    beside.locator_params(axis="x", nbins=3)
    actual, guess = canvas.finite(truth, predicted)
    residual = actual - guess
    note = canvas.left_out(np.size(truth) - actual.size, "rows without a truth and a prediction")
    if not residual.size:
        return canvas.finish(figure, note, "No row has a truth and a prediction")
    if residual.size > MAX_SCATTER:
        look = {"norm": "log", "vmin": 1, "cmap": canvas.colours("#D6E6F2", COLOURS[0], COLOURS[6])}
        cells = ax.hexbin(guess, residual, gridsize=45, mincnt=1, **look)
        figure.colorbar(cells, ax=beside, label="Rows per cell", format="{x:,.0f}").minorticks_off()
    else:
        ax.scatter(guess, residual, s=12, color=COLOURS[0], alpha=0.5, linewidths=0)
    pad = 0.02 * float(np.ptp(residual)) or 0.05 * abs(float(residual[0])) or 0.5
    edges = np.linspace(residual.min() - pad, residual.max() + pad, 41)
    beside.hist(residual, bins=edges, orientation="horizontal", color=COLOURS[0], alpha=0.75)
    for panel in (ax, beside):
        panel.axhline(0, **REFERENCE)
    spread = f"mean residual {residual.mean():.4g}, standard deviation {residual.std():.4g}"
    return canvas.finish(figure, f"{residual.size:,} rows: {spread}. {note}")


def history(
    values: list[float], direction: Literal["maximize", "minimize"], metric: str, families: list[str]
) -> Figure:
    """Score of each trial in order, coloured by family, with the best so far; NaN: no score."""
    figure, ax = canvas.figure(f"Search history: {metric} of each trial")
    better = "higher" if direction == "maximize" else "lower"
    canvas.axis(ax, "Trial (number)", f"{metric} ({better} is better)")
    family, number = np.asarray(families, dtype=str), np.arange(len(values))
    score = np.array(values, dtype=float)
    scored = np.isfinite(score)
    score[~scored] = np.nan
    if not scored.any():
        return canvas.finish(figure, "", f"No score in {score.size} trials")
    for colour, name in enumerate(np.unique(family)):
        own = number[scored & (family == name)]
        own = own[canvas.thin(own.size)]
        look = {"color": COLOURS[colour % 7], "marker": "osD^vPX"[colour % 7], "alpha": 0.8, "linewidths": 0}
        label = f"{name} ({np.sum(family == name):,} of {family.size:,} trials)"
        ax.scatter(own, score[own], s=26, label=label, **look)
    best, best_at = (np.fmax, np.nanargmax) if direction == "maximize" else (np.fmin, np.nanargmin)
    winner = int(best_at(score))
    label = f"best so far: {score[winner]:.4g} in trial {winner}"
    canvas.curve(ax, 6, number, best.accumulate(score), label, drawstyle="steps-post", linewidth=1.2)
    ax.scatter(winner, score[winner], s=120, facecolors="none", edgecolors=INK, linewidths=1.4, zorder=4)
    return canvas.finish(figure, canvas.left_out(int((~scored).sum()), "trials without a score"))


def importance(names: list[str], weights: ArrayLike, title: str) -> Figure:
    """The 20 largest weights as bars, largest on top; a negative weight takes a second colour."""
    weight = np.asarray(weights, dtype=float)
    finite = np.flatnonzero(np.isfinite(weight))
    top = finite[np.argsort(-np.abs(weight[finite]), kind="stable")][:MAX_BARS]
    figure, ax = canvas.figure(title, 7, 1.6 + 0.26 * max(6, top.size))
    canvas.axis(ax, "Weight (0: no influence)", "", grid="x")
    colours = np.where(weight[top] < 0, COLOURS[1], COLOURS[0])
    canvas.bars(ax, [names[index] for index in top], weight[top], colours)
    ax.axvline(0, color=INK, linewidth=0.8)
    note = canvas.left_out(weight.size - finite.size, "names without a finite weight")
    if top.size < finite.size:
        note = f"The {top.size} largest of {finite.size:,} weights. {note}"
    return canvas.finish(figure, note, "" if weight[top].any() else "No weight differs from 0")


def parallel_coordinates(trials: list[dict[str, float | str]], score: list[float], metric: str) -> Figure:
    """One line per trial over its hyperparameters, coloured by score; what it lacks is a gap."""
    from matplotlib.collections import LineCollection

    names = list(dict.fromkeys(name for trial in trials for name in trial))
    title = f"Hyperparameters of each trial, coloured by {metric}"
    figure, ax = canvas.figure(title, max(7.5, 1.5 + 1.35 * len(names)), 5)
    scored = np.flatnonzero(np.isfinite(score)) if names else np.empty(0, dtype=int)
    note = canvas.left_out(len(score) - scored.size, "trials without a score")
    scored = scored[canvas.thin(scored.size)]
    heights = canvas.upright_axes(ax, names, [trials[index] for index in scored])
    if not scored.size:
        return canvas.finish(figure, "", "No trial has both hyperparameters and a score")
    reached = np.asarray(score, dtype=float)[scored]
    # Both ends of the scale lie on top: the best trials must show whichever way the metric runs.
    order = np.argsort(np.abs(reached - np.median(reached)), kind="stable")
    lines = [np.column_stack([np.arange(len(names)), heights[index]]) for index in order]
    palette = canvas.colours(COLOURS[1], "#CCCCCC", COLOURS[0])
    look = {"cmap": palette, "clim": (reached.min(), reached.max()), "alpha": 0.8}
    drawn = ax.add_collection(LineCollection(lines, array=reached[order], linewidths=1.3, **look))
    dots = np.concatenate(lines)
    ax.scatter(dots[:, 0], dots[:, 1], c=np.repeat(reached[order], len(names)), s=12, linewidths=0, **look)
    if np.ptp(reached) == 0:
        return canvas.finish(figure, f"Every score is {reached[0]:.4g}. {note}")
    figure.colorbar(drawn, ax=ax, label=metric)
    return canvas.finish(figure, note)


def loss_curve(train: list[float], valid: list[float], metric: str) -> Figure:
    """Metric after each boosting round, on the rows trained on and on those held out."""
    figure, ax = canvas.figure(f"Learning curve: {metric} after each boosting round")
    canvas.axis(ax, "Boosting round (number)", metric)
    for number, (name, values) in enumerate((("train", train), ("valid", valid))):
        round_score = np.where(np.isfinite(values), values, np.nan) if len(values) else np.empty(0)
        finite = round_score[np.isfinite(round_score)]
        label = f"{name}: {finite[-1]:.4g} at the end" if finite.size else f"{name}: no value"
        canvas.curve(ax, number, np.arange(1, len(values) + 1), round_score, label)
    return canvas.finish(figure, "", "" if np.isfinite([*train, *valid]).any() else "No round has a value")


def profile(histograms: list[dict[str, Any]]) -> Figure:
    """A small histogram per column, 24 at most.

    Each dict holds name, counts, and edges (numbers) or levels (categories); missing (0 to 1) is optional.
    """
    shown = histograms[:MAX_PANELS]
    columns = min(4, max(2, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    title = "Profile: rows by value of each column"
    figure, axes = canvas.figure(title, 2.9 * columns, 0.9 + 2 * rows, nrows=rows, ncols=columns)
    for ax, histogram in zip_longest(axes.flat, shown):
        canvas.panel(ax, histogram) if histogram else ax.remove()
    if not shown:
        canvas.axis(figure.add_subplot(), "Value", "Rows")
    note = f"The first {len(shown)} of {len(histograms)} columns." if len(histograms) > len(shown) else ""
    return canvas.finish(figure, note, "" if shown else "No column to show")


def threshold(thresholds: ArrayLike, costs: ArrayLike, chosen: float) -> Figure:
    """Expected cost per row over the decision threshold, with the chosen one marked."""
    figure, ax = canvas.figure("Decision threshold: expected cost of each choice")
    canvas.axis(ax, "Decision threshold (probability)", "Expected cost per row (unit of the task's costs)")
    cut, cost = canvas.finite(thresholds, costs)
    note = canvas.left_out(np.size(thresholds) - cut.size, "thresholds without a finite cost")
    if not cut.size:
        return canvas.finish(figure, note, "No threshold has a cost")
    order = np.argsort(cut, kind="stable")
    canvas.curve(ax, 0, cut[order], cost[order], "expected cost")
    at = float(np.interp(chosen, cut[order], cost[order]))
    ax.axvline(chosen, **REFERENCE)
    label = f"chosen {chosen:.3f}: cost {at:.4g} per row"
    ax.plot(chosen, at, "o", color=COLOURS[3], markersize=8, label=label)
    return canvas.finish(figure, note)
