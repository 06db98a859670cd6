"""Figures of a run: each function takes plain values and returns a matplotlib Figure, ready for savefig.

What cannot be drawn (one class, no finite value, no trial) is said in words inside the figure, never raised.
"""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito 2008 without its yellow, which vanishes on white: told apart with any common colour blindness.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
INK, MUTED, GRID = "#333333", "#767676", "#E6E6E6"
REFERENCE = {"color": MUTED, "linestyle": ":", "linewidth": 1.3}
HANGUL = "Noto Sans CJK KR,Noto Sans KR,NanumGothic,Malgun Gothic,Apple SD Gothic Neo,Noto Sans CJK JP"
MAX_POINTS, MAX_SCATTER, MAX_CLASSES, MAX_BARS, MAX_PANELS, MAX_LEVELS = 2_000, 5_000, 20, 20, 24, 8


def roc(labels: ArrayLike, scores_by_name: dict[str, NDArray[Any]]) -> Figure:
    """ROC curve of each score against labels (0 or 1), all of shape (n,)."""
    from sklearn.metrics import auc, roc_curve

    figure, ax = _figure("ROC: positives found against false alarms", 6, 5.8)
    _axis(ax, "False positive rate (share of negatives)", "True positive rate (share of positives)")
    scored, note = _with_both_classes(labels, scores_by_name)
    for number, (name, truth, score) in enumerate(scored):
        false_rate, true_rate, _ = roc_curve(truth, score)
        _curve(ax, number, false_rate, true_rate, f"{name}: AUC {auc(false_rate, true_rate):.3f}")
    ax.plot([0, 1], [0, 1], **REFERENCE, label="chance: AUC 0.500")
    return _finish(figure, note, "" if scored else "This curve needs scored rows of both classes")


def precision_recall(labels: ArrayLike, scores_by_name: dict[str, NDArray[Any]]) -> Figure:
    """Precision over recall of each score against labels (0 or 1), with the base rate as the floor."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, ax = _figure("Precision and recall at every threshold", 6, 5.8)
    _axis(ax, "Recall (share of positives found)", "Precision (share of alarms that are right)")
    ax.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
    scored, note = _with_both_classes(labels, scores_by_name)
    for number, (name, truth, score) in enumerate(scored):
        precision, recall, _ = precision_recall_curve(truth, score)  # ends in a point (0, 1) that no row made
        label = f"{name}: average precision {average_precision_score(truth, score):.3f}"
        _curve(ax, number, recall[:-1], precision[:-1], label, drawstyle="steps-post")
    known = _finite(labels)[0]
    if known.size:
        ax.axhline(known.mean(), **REFERENCE, label=f"base rate {known.mean():.3f}")
    return _finish(figure, note, "" if scored else "This curve needs scored rows of both classes")


def calibration(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> Figure:
    """Observed share of positives over predicted probability, in quantile bins, above a histogram of rows."""
    title = "Calibration: observed share against predicted probability"
    figure, (ax, below) = _figure(title, 6, 7, nrows=2, sharex=True, height_ratios=[3, 1])
    _axis(ax, "", "Observed share of positives")
    _axis(below, "Predicted probability", "Rows")
    truth, predicted = _finite(labels, probabilities)
    possible = (predicted >= 0) & (predicted <= 1)
    truth, predicted = truth[possible], predicted[possible]
    note = _left_out(np.size(labels) - truth.size, "rows without a label or a probability from 0 to 1")
    if not truth.size:
        return _finish(figure, note, "No row has a label and a probability")
    levels = np.unique(predicted)
    # Few distinct values are bins of their own: interpolated quantiles would merge them.
    inner = levels[1:] if levels.size <= bins else np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(np.unique(inner), predicted, side="right")
    filled, rows = np.unique(place, return_counts=True)
    mean, share = (np.bincount(place, weights=values)[filled] / rows for values in (predicted, truth))
    limit = min(1.0, 1.1 * max(0.01, float(mean.max()), float(share.max())))
    ax.set(xlim=(-0.03 * limit, 1.03 * limit), ylim=(-0.03 * limit, 1.03 * limit))
    _curve(ax, 0, mean, share, f"{truth.size:,} rows by quantile bin", marker="o")
    ax.plot([0, limit], [0, limit], **REFERENCE, label="perfectly calibrated")
    below.hist(np.minimum(predicted, limit), bins=np.linspace(0, limit, 31), color=COLOURS[0], alpha=0.75)
    if levels[-1] > limit:
        note = f"The last bar holds all rows above {limit:.2g}. {note}"
    if levels.size == 1:
        note = f"Every probability is {levels[0]:.3f}. {note}"
    if np.ptp(truth) == 0:
        note = f"Only class {truth[0]:g} in the labels. {note}"
    return _finish(figure, note)


def confusion(truth: ArrayLike, predicted: ArrayLike, classes: list[str]) -> Figure:
    """Rows of each true class by predicted class: count, and share of the true class.

    truth, predicted: class names, shape (n,); compared with classes as text.
    """
    size, names = len(classes), [str(name) for name in classes]
    actual, guess = _codes(truth, names), _codes(predicted, names)
    known = (actual >= 0) & (guess >= 0)
    note = _left_out(int((~known).sum()), "rows with a class not listed")
    counts = np.bincount(actual[known] * size + guess[known], minlength=size * size).reshape(size, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    kept = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:MAX_CLASSES])
    if kept.size < size:
        note = f"The {kept.size} most frequent of {size} classes; shares are of all rows of the class. {note}"
    side = min(12.0, 2.8 + 0.6 * max(3, kept.size))
    figure, ax = _figure("Confusion: rows by true and predicted class", side, side)
    _axis(ax, "Predicted class", "True class", grid="")
    if not known.any():
        return _finish(figure, note, "No row to compare")
    ax.imshow(shares[np.ix_(kept, kept)], cmap=_colours("#FFFFFF", COLOURS[0]), vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts[np.ix_(kept, kept)]):
        share = shares[kept[row], kept[column]]
        look = {"color": "white" if share > 0.55 else INK, "fontsize": 10 if kept.size <= 6 else 7}
        ax.text(column, row, f"{count:,}\n{share:.0%}" if count else "0", ha="center", va="center", **look)
    shown = [_short(names[code], 16) for code in kept]
    ax.set_xticks(range(kept.size), shown, rotation=90 if max(map(len, shown)) > 6 and kept.size > 3 else 0)
    ax.set_yticks(range(kept.size), shown)
    return _finish(figure, note)


def residuals(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Residual (truth - predicted) over prediction, beside a histogram of the residuals."""
    title = "Residuals: how far each prediction is from the truth"
    figure, (ax, beside) = _figure(title, 8, 4.8, ncols=2, sharey=True, width_ratios=[3, 1])
    _axis(ax, "Predicted (unit of the target)", "Truth − predicted (unit of the target)")
    _axis(beside, "Rows", "")
    beside.locator_params(axis="x", nbins=3)
    actual, guess = _finite(truth, predicted)
    residual = actual - guess
    note = _left_out(np.size(truth) - actual.size, "rows without a truth and a prediction")
    if not residual.size:
        return _finish(figure, note, "No row has a truth and a prediction")
    if residual.size > MAX_SCATTER:
        look = {"norm": "log", "vmin": 1, "cmap": _colours("#D6E6F2", COLOURS[0], COLOURS[6])}
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
    return _finish(figure, f"{residual.size:,} rows: {spread}. {note}")


def history(
    values: list[float], direction: Literal["maximize", "minimize"], metric: str, families: list[str]
) -> Figure:
    """Score of each trial in order, coloured by family, with the best so far; NaN: no score."""
    figure, ax = _figure(f"Search history: {metric} of each trial")
    _axis(ax, "Trial (number)", f"{metric} ({'higher' if direction == 'maximize' else 'lower'} is better)")
    family, number = np.asarray(families, dtype=str), np.arange(len(values))
    score = np.array(values, dtype=float)
    scored = np.isfinite(score)
    score[~scored] = np.nan
    if not scored.any():
        return _finish(figure, "", f"No score in {score.size} trials")
    for colour, name in enumerate(np.unique(family)):
        own = number[scored & (family == name)]
        own = own[_thin(own.size)]
        look = {"color": COLOURS[colour % 7], "marker": "osD^vPX"[colour % 7], "alpha": 0.8, "linewidths": 0}
        label = f"{name} ({np.sum(family == name):,} of {family.size:,} trials)"
        ax.scatter(own, score[own], s=26, label=label, **look)
    best, best_at = (np.fmax, np.nanargmax) if direction == "maximize" else (np.fmin, np.nanargmin)
    winner = int(best_at(score))
    label = f"best so far: {score[winner]:.4g} in trial {winner}"
    _curve(ax, 6, number, best.accumulate(score), label, drawstyle="steps-post", linewidth=1.2)
    ax.scatter(winner, score[winner], s=120, facecolors="none", edgecolors=INK, linewidths=1.4, zorder=4)
    return _finish(figure, _left_out(int((~scored).sum()), "trials without a score"))


def importance(names: list[str], weights: ArrayLike, title: str) -> Figure:
    """The 20 largest weights as bars, largest on top; a negative weight takes a second colour."""
    weight = np.asarray(weights, dtype=float)
    finite = np.flatnonzero(np.isfinite(weight))
    top = finite[np.argsort(-np.abs(weight[finite]), kind="stable")][:MAX_BARS]
    figure, ax = _figure(title, 7, 1.6 + 0.26 * max(6, top.size))
    _axis(ax, "Weight (0: no influence)", "", grid="x")
    _bars(ax, [names[index] for index in top], weight[top], np.where(weight[top] < 0, COLOURS[1], COLOURS[0]))
    ax.axvline(0, color=INK, linewidth=0.8)
    note = _left_out(weight.size - finite.size, "names without a finite weight")
    if top.size < finite.size:
        note = f"The {top.size} largest of {finite.size:,} weights. {note}"
    return _finish(figure, note, "" if weight[top].any() else "No weight differs from 0")


def parallel_coordinates(trials: list[dict[str, float | str]], score: list[float], metric: str) -> Figure:
    """One line per trial over its hyperparameters, coloured by score; what it lacks is a gap."""
    from matplotlib.collections import LineCollection

    names = list(dict.fromkeys(name for trial in trials for name in trial))
    title = f"Hyperparameters of each trial, coloured by {metric}"
    figure, ax = _figure(title, max(7.5, 1.5 + 1.35 * len(names)), 5)
    _axis(ax, "Hyperparameter", "Value (each axis has its own scale)", grid="")
    shown = _thin(len(trials))
    reached = np.array(score, dtype=float)[shown]
    reached[~np.isfinite(reached)] = np.nan
    heights, labels = np.full((shown.size, len(names)), np.nan), []
    plate = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.6}
    for column, name in enumerate(names):
        heights[:, column], ticks, scale = _scale([trials[index].get(name) for index in shown])
        labels.append(_short(name, 24) + scale)
        ax.axvline(column, color=MUTED, linewidth=0.8)
        for height, text in ticks:
            ax.text(column + 0.04, height, text, fontsize=8, va="center", color=INK, bbox=plate, zorder=4)
    ax.set_xticks(range(len(names)), labels, rotation=20 if len(names) > 4 else 0)
    ax.set(xlim=(-0.2, max(0, len(names) - 1) + 0.6), ylim=(-0.04, 1.04), yticks=[])
    finite = reached[np.isfinite(reached)]
    if not names or not finite.size:
        return _finish(figure, "", "No trial has both hyperparameters and a score")
    # Both ends of the scale lie on top: the best trials must show whichever way the metric runs.
    order = np.argsort(np.abs(reached - np.median(finite)))[: finite.size]  # NaN sorts last
    lines = [np.column_stack([np.arange(len(names)), heights[index]]) for index in order]
    palette = _colours(COLOURS[1], "#CCCCCC", COLOURS[0])
    look = {"cmap": palette, "clim": (finite.min(), finite.max()), "alpha": 0.8}
    drawn = ax.add_collection(LineCollection(lines, array=reached[order], linewidths=1.3, **look))
    dots = np.concatenate(lines)
    ax.scatter(dots[:, 0], dots[:, 1], c=np.repeat(reached[order], len(names)), s=12, linewidths=0, **look)
    if np.ptp(finite) > 0:
        figure.colorbar(drawn, ax=ax, label=metric)
        return _finish(figure, _left_out(reached.size - finite.size, "trials without a score"))
    return _finish(figure, f"Every score is {finite[0]:.4g}.")


def loss_curve(train: list[float], valid: list[float], metric: str) -> Figure:
    """Metric after each boosting round, on the rows trained on and on those held out."""
    figure, ax = _figure(f"Learning curve: {metric} after each boosting round")
    _axis(ax, "Boosting round (number)", metric)
    for number, (name, values) in enumerate((("train", train), ("valid", valid))):
        round_score = np.where(np.isfinite(values), values, np.nan) if len(values) else np.empty(0)
        finite = round_score[np.isfinite(round_score)]
        label = f"{name}: {finite[-1]:.4g} at the end" if finite.size else f"{name}: no value"
        _curve(ax, number, np.arange(1, len(values) + 1), round_score, label)
    return _finish(figure, "", "" if np.isfinite([*train, *valid]).any() else "No round has a value")


def profile(histograms: list[dict[str, Any]]) -> Figure:
    """A small histogram per column, 24 at most.

    Each dict holds name, counts, and edges (numbers) or levels (categories); missing (0 to 1) is optional.
    """
    shown = histograms[:MAX_PANELS]
    columns = min(4, max(2, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    title = "Profile: rows by value of each column"
    figure, axes = _figure(title, 2.9 * columns, 0.9 + 2 * rows, nrows=rows, ncols=columns)
    for ax, histogram in zip_longest(axes.flat, shown):
        _panel(ax, histogram) if histogram else ax.remove()
    if not shown:
        _axis(figure.add_subplot(), "Value", "Rows")
    note = f"The first {len(shown)} of {len(histograms)} columns." if len(histograms) > len(shown) else ""
    return _finish(figure, note, "" if shown else "No column to show")


def threshold(thresholds: ArrayLike, costs: ArrayLike, chosen: float) -> Figure:
    """Expected cost per row over the decision threshold, with the chosen one marked."""
    figure, ax = _figure("Decision threshold: expected cost of each choice")
    _axis(ax, "Decision threshold (probability)", "Expected cost per row (unit of the task's costs)")
    cut, cost = _finite(thresholds, costs)
    note = _left_out(np.size(thresholds) - cut.size, "thresholds without a finite cost")
    if not cut.size:
        return _finish(figure, note, "No threshold has a cost")
    order = np.argsort(cut, kind="stable")
    _curve(ax, 0, cut[order], cost[order], "expected cost")
    if not np.isfinite(chosen):
        return _finish(figure, f"No threshold is chosen. {note}")
    at = float(np.interp(chosen, cut[order], cost[order]))
    ax.axvline(chosen, **REFERENCE)
    label = f"chosen {chosen:.3f}: cost {at:.4g} per row"
    ax.plot(chosen, at, "o", color=COLOURS[3], markersize=8, label=label)
    return _finish(figure, note)


def _figure(title: str, width: float = 7.5, height: float = 4.8, **grid: Any) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=12, color=INK)
    return figure, figure.subplots(**grid)


def _axis(ax: Any, x: str, y: str, grid: str = "both", size: float = 10) -> None:
    ax.set_xlabel(x, color=INK, fontsize=size)
    ax.set_ylabel(y, color=INK, fontsize=size)
    ax.tick_params(colors=INK, labelsize=size - 1, length=0)
    for axis, label in ((ax.xaxis, x), (ax.yaxis, y)):
        axis.get_offset_text().set_fontsize(size - 2)
        if size < 10:
            axis.get_major_locator().set_params(nbins=4)
        if label in ("Rows", "Trial (number)", "Boosting round (number)"):
            axis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            axis.set_major_formatter("{x:,.0f}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis=grid, color=GRID, linewidth=0.8)


def _curve(ax: Any, number: int, x: NDArray[Any], y: NDArray[Any], label: str, **look: Any) -> None:
    """A line thinned to what a picture can show; the eighth and later ones are dashed; one point is a dot."""
    shown = _thin(len(x))
    usual = {"color": COLOURS[number % 7], "linewidth": 1.8, "linestyle": "-" if number < 7 else "--"}
    ax.plot(x[shown], y[shown], label=label, **usual | {"marker": "o" if len(x) == 1 else ""} | look)


def _panel(ax: Any, histogram: dict[str, Any]) -> None:
    counts = np.nan_to_num(np.asarray(histogram["counts"], dtype=float))
    edges = np.asarray(histogram.get("edges", []), dtype=float)
    finite = edges[np.isfinite(edges)]
    missing = histogram.get("missing") or 0.0
    categories = "levels" in histogram
    _axis(ax, "Rows" if categories else "Value", "" if categories else "Rows", size=8)
    title = _short(histogram["name"], 26) + (f" ({missing:.1%} missing)" if missing > 0 else "")
    ax.set_title(title, fontsize=9, color=INK)
    if not counts.any() or not (categories or (finite.size and not np.isnan(edges).any())):
        _words(ax, "no values")
    elif categories:
        top = np.argsort(-counts, kind="stable")[:MAX_LEVELS]
        _bars(ax, [histogram["levels"][index] for index in top], counts[top], COLOURS[2])
        if top.size < counts.size:
            ax.set_xlabel(f"Rows ({top.size} of {counts.size} levels)")
    else:
        step = float(np.ptp(finite)) / finite.size or 1.0
        closed = np.clip(edges, finite.min() - step, finite.max() + step)  # the outer edges may be infinite
        ax.stairs(counts, closed, fill=True, color=COLOURS[0], alpha=0.75)


def _bars(ax: Any, names: list[Any], lengths: NDArray[Any], colours: Any) -> None:
    ax.barh(range(len(names)), lengths, color=colours, height=0.75, alpha=0.85)
    longest = 14 if ax.xaxis.label.get_size() < 10 else 32
    ax.set_yticks(range(len(names)), [_short(name, longest) for name in names])
    ax.invert_yaxis()


def _scale(values: list[Any]) -> tuple[NDArray[Any], list[tuple[float, str]], str]:
    """Values as heights from 0 to 1 (NaN where missing), the axis's ticks, and a mark if it is a log axis."""
    from matplotlib.ticker import MaxNLocator

    values = [None if str(value) == "nan" else value for value in values]  # NaN is as good as missing
    given = [value for value in values if value is not None]
    if not all(isinstance(value, Real) and not isinstance(value, bool) for value in given):
        levels = sorted({str(value) for value in given})
        height = {level: (place + 0.5) / len(levels) for place, level in enumerate(levels)}
        ticks = [(height[levels[place]], _short(levels[place], 14)) for place in _thin(len(levels), 12)]
        return np.array([np.nan if value is None else height[str(value)] for value in values]), ticks, ""
    number = np.array([np.nan if value is None else value for value in values], dtype=float)
    number[~np.isfinite(number)] = np.nan
    finite = number[np.isfinite(number)]
    if not finite.size:
        return number, [], ""
    logarithmic = finite.min() > 0 and finite.max() > 1_000 * finite.min()
    number, finite = (np.log10(number), np.log10(finite)) if logarithmic else (number, finite)
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return np.where(np.isnan(number), np.nan, 0.5), [(0.5, f"{low:.4g}")], ""
    places = MaxNLocator(5, integer=logarithmic or bool((finite % 1 == 0).all())).tick_values(low, high)
    marks = [(place, 10**place if logarithmic else place) for place in places if low <= place <= high]
    ticks = [((place - low) / (high - low), f"{value:.4g}") for place, value in marks]
    return (number - low) / (high - low), ticks, "\n(log scale)" if logarithmic else ""


def _with_both_classes(
    labels: ArrayLike, scores_by_name: dict[str, NDArray[Any]]
) -> tuple[list[tuple[str, NDArray[Any], NDArray[Any]]], str]:
    """(name, labels, scores) without NaN of the scores that can be ranked, and a note on the rest."""
    scored, notes = [], []
    for name, scores in ((_short(name, 40), scores) for name, scores in scores_by_name.items()):
        truth, score = _finite(labels, scores)
        if np.unique(truth).size == 2:
            scored.append((name, truth, score))
            notes.append(_left_out(np.size(labels) - truth.size, f"rows without a label or a score, {name}"))
        else:
            notes.append(f"{name}: only class {truth[0]:g}." if truth.size else f"{name}: no scored row.")
    return scored, " ".join(filter(None, notes))


def _finite(*columns: ArrayLike) -> NDArray[Any]:
    """The columns without the rows in which any of them is NaN or infinite, shape (columns, rows)."""
    table = np.stack([np.asarray(column, dtype=float).ravel() for column in columns])
    finite: NDArray[Any] = table[:, np.isfinite(table).all(axis=0)]
    return finite


def _codes(values: ArrayLike, names: list[str]) -> NDArray[Any]:
    """Position of each value in names, -1 where it is not among them."""
    import pandas as pd

    codes, levels = pd.factorize(np.asarray(values))
    place = {name: position for position, name in enumerate(names)}
    places = [*(place.get(str(level), -1) for level in levels), -1]  # the last is for code -1: missing
    found: NDArray[Any] = np.asarray(places)[codes]
    return found


def _thin(size: int, most: int = MAX_POINTS) -> NDArray[Any]:
    """Positions of at most `most` of `size` points, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(int))


def _short(text: object, longest: int = 24) -> str:
    """One line; a long one loses its middle, as names often differ at the end only."""
    line = " ".join(str(text).split())
    return line if len(line) <= longest else f"{line[: longest - 6]}…{line[-5:]}"


def _left_out(count: int, what: str) -> str:
    return f"Left out: {what} ({count:,})." if count else ""


def _colours(*colours: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ratchet", colours)


def _words(ax: Any, text: str) -> None:
    ax.set(xticks=[], yticks=[])
    look = {"ha": "center", "va": "center", "color": MUTED, "backgroundcolor": "white"}
    ax.text(0.5, 0.5, text, transform=ax.transAxes, **look)


def _finish(figure: Figure, note: str = "", words: str = "") -> Figure:
    """Add legend, note and words; take every text literally: '$x' is a fine name for a column."""
    from matplotlib.font_manager import get_font_names
    from matplotlib.text import Text

    note = textwrap.fill(note, int(13 * figure.get_figwidth()))
    handles = [handle for ax in figure.axes for handle in ax.get_legend_handles_labels()[0]]
    if words:
        _words(figure.axes[0], words)
    if words or not handles:
        figure.supxlabel(note, fontsize=8.5, color=MUTED)
    else:
        columns = 2 if max(len(str(handle.get_label())) for handle in handles) <= 34 else 1
        look = {"frameon": False, "fontsize": 9, "title_fontsize": 8.5, "labelcolor": INK}
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, title=note, **look)
        legend.get_title().set_color(MUTED)
    installed = get_font_names()
    family = ["DejaVu Sans", *(name for name in HANGUL.split(",") if name in installed)]
    for text in figure.findobj(Text):
        text.set(fontfamily=family, parse_math=False)
    for ax in figure.axes:
        ax.tick_params(labelfontfamily=family)
    return figure
