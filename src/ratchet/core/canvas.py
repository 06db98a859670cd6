"""What the figures share: the look of a canvas, its axes, lines and bars, and the words around them."""

from __future__ import annotations

import textwrap
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito 2008 without its yellow, which vanishes on white: told apart with any common colour blindness.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
INK, MUTED, GRID = "#333333", "#767676", "#E6E6E6"
REFERENCE = {"color": MUTED, "linestyle": ":", "linewidth": 1.3}
KOREAN_FONTS = "Noto Sans CJK KR,Noto Sans KR,NanumGothic,Malgun Gothic,Apple SD Gothic Neo,Noto Sans CJK JP"
MAX_POINTS, MAX_LEVELS = 2_000, 8


def figure(title: str, width: float = 7.5, height: float = 4.8, **grid: Any) -> tuple[Figure, Any]:
    """An empty figure with its title, in inches, and its axes."""
    from matplotlib.figure import Figure

    empty = Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
    empty.suptitle(title, fontsize=12, color=INK)
    return empty, empty.subplots(**grid)


def axis(ax: Any, x: str, y: str, grid: str = "both", size: float = 10) -> None:
    """Dress an axis: labels, light grid, whole numbers where rows, trials or rounds are counted."""
    ax.set_xlabel(x, color=INK, fontsize=size)
    ax.set_ylabel(y, color=INK, fontsize=size)
    ax.tick_params(colors=INK, labelsize=size - 1, length=0)
    for side, label in ((ax.xaxis, x), (ax.yaxis, y)):
        side.get_offset_text().set_fontsize(size - 2)
        if size < 10:
            side.get_major_locator().set_params(nbins=4)
        if label in ("Rows", "Trial (number)", "Boosting round (number)"):
            side.get_major_locator().set_params(integer=True, min_n_ticks=1)
            side.set_major_formatter("{x:,.0f}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis=grid, color=GRID, linewidth=0.8)


def curve(ax: Any, number: int, x: NDArray[Any], y: NDArray[Any], label: str, **look: Any) -> None:
    """A line thinned to what a picture can show; the eighth and later ones are dashed; one point is a dot."""
    shown = thin(len(x))
    usual = {"color": COLOURS[number % 7], "linewidth": 1.8, "linestyle": "-" if number < 7 else "--"}
    ax.plot(x[shown], y[shown], label=label, **usual | {"marker": "o" if len(x) == 1 else ""} | look)


def panel(ax: Any, histogram: dict[str, Any]) -> None:
    """A small histogram of numbers, or the most frequent levels as bars."""
    counts = np.nan_to_num(np.asarray(histogram["counts"], dtype=float))
    edges = np.asarray(histogram.get("edges", []), dtype=float)
    known = edges[np.isfinite(edges)]
    missing = histogram.get("missing") or 0.0
    categories = "levels" in histogram
    axis(ax, "Rows" if categories else "Value", "" if categories else "Rows", size=8)
    title = short(histogram["name"], 26) + (f" ({missing:.1%} missing)" if missing > 0 else "")
    ax.set_title(title, fontsize=9, color=INK)
    if not counts.any() or not (categories or known.size):
        say(ax, "no values")
    elif categories:
        top = np.argsort(-counts, kind="stable")[:MAX_LEVELS]
        bars(ax, [histogram["levels"][index] for index in top], counts[top], COLOURS[2])
        if top.size < counts.size:
            ax.set_xlabel(f"Rows ({top.size} of {counts.size} levels)")
    else:
        step = float(np.ptp(known)) / known.size or 1.0
        closed = np.clip(edges, known.min() - step, known.max() + step)  # the outer edges may be infinite
        ax.stairs(counts, closed, fill=True, color=COLOURS[0], alpha=0.75)


def bars(ax: Any, names: list[Any], lengths: NDArray[Any], colours: Any) -> None:
    """Bars that lie, the first on top."""
    ax.barh(range(len(names)), lengths, color=colours, height=0.75, alpha=0.85)
    longest = 14 if ax.xaxis.label.get_size() < 10 else 32
    ax.set_yticks(range(len(names)), [short(name, longest) for name in names])
    ax.invert_yaxis()


def upright_axes(ax: Any, names: list[str], trials: list[dict[str, float | str]]) -> NDArray[Any]:
    """Draw one upright axis per name; return each trial's height on each of them, shape (trials, names)."""
    axis(ax, "Hyperparameter", "Value (each axis has its own scale)", grid="")
    heights, labels = np.full((len(trials), len(names)), np.nan), []
    plate = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.6}
    for column, name in enumerate(names):
        heights[:, column], ticks, mark = scale([trial.get(name) for trial in trials])
        labels.append(short(name) + mark)
        ax.axvline(column, color=MUTED, linewidth=0.8)
        for height, text in ticks:
            ax.text(column + 0.04, height, text, fontsize=8, va="center", color=INK, bbox=plate, zorder=4)
    ax.set_xticks(range(len(names)), labels, rotation=20 if len(names) > 4 else 0)
    ax.set(xlim=(-0.2, max(0, len(names) - 1) + 0.6), ylim=(-0.04, 1.04), yticks=[])
    return heights


def scale(values: list[Any]) -> tuple[NDArray[Any], list[tuple[float, str]], str]:
    """Values as heights from 0 to 1 (NaN where missing), the axis's ticks, and a mark if it is a log axis."""
    from matplotlib.ticker import MaxNLocator

    values = [None if str(value) in {"nan", "inf", "-inf"} else value for value in values]  # as good as missing
    given = [value for value in values if value is not None]
    if not all(isinstance(value, Real) and not isinstance(value, bool) for value in given):
        levels = sorted({str(value) for value in given})
        height = {level: (place + 0.5) / len(levels) for place, level in enumerate(levels)}
        ticks = [(height[levels[place]], short(levels[place], 14)) for place in thin(len(levels), 12)]
        return np.array([np.nan if value is None else height[str(value)] for value in values]), ticks, ""
    if not given:
        return np.full(len(values), np.nan), [], ""
    number = np.array([np.nan if value is None else value for value in values], dtype=float)
    low, high = float(np.nanmin(number)), float(np.nanmax(number))
    logarithmic = low > 0 and high > 1_000 * low
    if logarithmic:
        number, low, high = np.log10(number), float(np.log10(low)), float(np.log10(high))
    if low == high:
        return np.where(np.isnan(number), np.nan, 0.5), [(0.5, f"{low:.4g}")], ""
    places = MaxNLocator(5, integer=logarithmic or all(value % 1 == 0 for value in given)).tick_values(low, high)
    marks = [(place, 10**place if logarithmic else place) for place in places if low <= place <= high]
    ticks = [((place - low) / (high - low), f"{value:.4g}") for place, value in marks]
    return (number - low) / (high - low), ticks, "\n(log scale)" if logarithmic else ""


def cells(ax: Any, counts: NDArray[Any], shares: NDArray[Any]) -> None:
    """A matrix of cells, darker by share, with count and share in each."""
    ax.imshow(shares, cmap=colours("#FFFFFF", COLOURS[0]), vmin=0, vmax=1)
    size = 10 if len(counts) <= 6 else 7
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        look = {"color": "white" if share > 0.55 else INK, "fontsize": size, "ha": "center", "va": "center"}
        ax.text(column, row, f"{count:,}\n{share:.0%}" if count else "0", **look)


def with_both_classes(
    labels: ArrayLike, scores_by_name: dict[str, NDArray[Any]]
) -> tuple[list[tuple[str, NDArray[Any], NDArray[Any]]], str]:
    """(name, labels, scores) without NaN of the scores that can be ranked, and a note on the rest."""
    scored, notes = [], []
    for full_name, scores in scores_by_name.items():
        name = short(full_name, 40)
        truth, score = finite(labels, scores)
        if np.unique(truth).size == 2:
            scored.append((name, truth, score))
            notes.append(left_out(np.size(labels) - truth.size, f"rows without a label or a score, {name}"))
        else:
            notes.append(f"{name}: only class {truth[0]:g}." if truth.size else f"{name}: no scored row.")
    return scored, " ".join(filter(None, notes))


def finite(*columns: ArrayLike) -> NDArray[Any]:
    """The columns without the rows in which any of them is NaN or infinite, shape (columns, rows)."""
    table = np.stack([np.asarray(column, dtype=float).ravel() for column in columns])
    kept: NDArray[Any] = table[:, np.isfinite(table).all(axis=0)]
    return kept


def thin(size: int, most: int = MAX_POINTS) -> NDArray[Any]:
    """Positions of at most `most` of `size` points, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(int))


def short(text: object, longest: int = 24) -> str:
    """One line; a long one loses its middle, as names often differ at the end only."""
    line = " ".join(str(text).split())
    return line if len(line) <= longest else f"{line[: longest - 6]}…{line[-5:]}"


def left_out(count: int, what: str) -> str:
    """Say how many of what were left out; nothing if none was."""
    return f"Left out: {what} ({count:,})." if count else ""


def colours(*stops: str) -> Any:
    """A colour map that runs evenly through the colours."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ratchet", stops)


def say(ax: Any, text: str) -> None:
    """Write text where there is nothing to draw."""
    ax.set(xticks=[], yticks=[])
    look = {"ha": "center", "va": "center", "color": MUTED, "backgroundcolor": "white"}
    ax.text(0.5, 0.5, text, transform=ax.transAxes, **look)


def finish(figure: Figure, note: str = "", fault: str = "") -> Figure:
    """Add legend, note and fault; take every text literally: '$x' is a fine name for a column."""
    from matplotlib.font_manager import get_font_names
    from matplotlib.text import Text

    note = textwrap.fill(note, int(13 * figure.get_figwidth()))
    handles = [handle for ax in figure.axes for handle in ax.get_legend_handles_labels()[0]]
    if fault:
        say(figure.axes[0], fault)
    if fault or not handles:
        figure.supxlabel(note, fontsize=8.5, color=MUTED)
    else:
        columns = 2 if max(len(str(handle.get_label())) for handle in handles) <= 34 else 1
        look = {"frameon": False, "fontsize": 9, "title_fontsize": 8.5, "labelcolor": INK}
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, title=note, **look)
        legend.get_title().set_color(MUTED)
    installed = get_font_names()
    family = ["DejaVu Sans", *(name for name in KOREAN_FONTS.split(",") if name in installed)]
    for text in figure.findobj(Text):
        text.set(fontfamily=family, parse_math=False)
    for ax in figure.axes:
        ax.tick_params(labelfontfamily=family)
    return figure
