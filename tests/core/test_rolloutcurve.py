"""The figure of a rollout."""

from typing import Any

from ratchet.core import rolloutcurve


def look(minute: int, percent: float, *figures: float | None) -> dict[str, Any]:
    names = dict(zip(("difference", "low", "high"), figures, strict=True))
    return {"at": f"2026-05-03T14:{minute:02}:00.000000Z", "percent": percent, **names}


def test_it_shows_the_bounds_the_margin_and_the_share() -> None:
    looks = [look(0, 5, None, None, None), look(10, 5, 0.1, -0.5, 0.6), look(20, 10, 0.02, -0.1, 0.15)]
    figure = rolloutcurve.sequence(looks, "cost per row", 0.05)
    above, below = figure.axes
    assert above.get_ylabel() == "Worse by, in cost per row"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "worse by 0.02 [-0.1, 0.15] at the end" in texts and "margin 0.05" in texts
    assert list(below.lines[0].get_ydata()) == [5, 10]
    assert list(below.lines[0].get_xdata())[-1] == 20 / 60


def test_without_outcomes_it_says_so() -> None:
    figure = rolloutcurve.sequence([], "cost per row", 0.05)
    assert "No look knew outcomes of both arms" in [text.get_text() for text in figure.axes[0].texts]
