"""The figure of a rollout: how sure the difference of the arms was over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ratchet.core import canvas
from ratchet.core.canvas import COLOURS, REFERENCE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sequence(looks: Sequence[Mapping[str, Any]], metric: str, margin: float) -> Figure:
    """The confidence sequence of how much worse the challenger is, over hours, above the share it had.

    looks: at (ISO 8601), percent, difference, low, high (None where nothing was known yet), in their order.
    """
    title = "Rollout: how much worse the challenger is"
    figure, (ax, below) = canvas.figure(title, 7.5, 6, nrows=2, sharex=True, height_ratios=[3, 1])
    canvas.axis(ax, "", f"Worse by, in {metric}")
    canvas.axis(below, "Hours since the first look", "Share (%)")
    known = [look for look in looks if look["difference"] is not None]
    if not known:
        return canvas.finish(figure, "", "No look knew outcomes of both arms")
    began = datetime.fromisoformat(looks[0]["at"])
    hours = np.array([(datetime.fromisoformat(look["at"]) - began).total_seconds() / 3_600 for look in known])
    middle, low, high = (np.array([look[name] for look in known], float) for name in ("difference", "low", "high"))
    shown = canvas.thin(len(hours))
    ax.fill_between(hours[shown], low[shown], high[shown], color=COLOURS[0], alpha=0.2, linewidth=0,
                    label="confidence sequence: valid at every look at once")  # fmt: skip
    canvas.curve(ax, 0, hours, middle, f"worse by {middle[-1]:.4g} [{low[-1]:.4g}, {high[-1]:.4g}] at the end")
    ax.axhline(0, **REFERENCE | {"linestyle": "-"})
    ax.axhline(margin, **REFERENCE | {"color": COLOURS[3]}, label=f"margin {margin:g}")
    percents = np.array([look["percent"] for look in known], float)
    canvas.curve(below, 1, hours, percents, "share of the challenger", drawstyle="steps-post")
    below.set_ylim(0, 105)
    return canvas.finish(figure)
