import subprocess
import sys
import time
import warnings
from io import BytesIO

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from ratchet.core import plots

NAN = float("nan")
random = np.random.default_rng(7)
LABELS = random.integers(0, 2, 300)
SCORES = np.clip(0.5 * LABELS + 0.6 * random.random(300), 0, 1)
NUMBERS = {"name": "age", "edges": [0.0, 10.0, 20.0], "counts": [3, 5]}
LEVELS = {"name": "plan", "levels": ["basic", "gold"], "counts": [7, 2]}

USUAL = {
    "roc": lambda: plots.roc(LABELS, {"challenger": SCORES}),
    "precision_recall": lambda: plots.precision_recall(LABELS, {"challenger": SCORES}),
    "calibration": lambda: plots.calibration(LABELS, SCORES),
    "confusion": lambda: plots.confusion(["a", "b", "b"], ["a", "b", "a"], ["a", "b"]),
    "residuals": lambda: plots.residuals(LABELS, SCORES),
    "history": lambda: plots.history([0.5, NAN, 0.7], "maximize", "auc", ["linear", "dummy", "xgboost"]),
    "importance": lambda: plots.importance(["age", "plan"], [0.3, -0.1], "Mean SHAP"),
    "parallel_coordinates": lambda: plots.parallel_coordinates([{"c": 1.0, "k": "x"}] * 2, [0.1, 0.2], "auc"),
    "loss_curve": lambda: plots.loss_curve([0.9, 0.5], [0.9, 0.6], "log_loss"),
    "profile": lambda: plots.profile([NUMBERS, LEVELS]),
    "threshold": lambda: plots.threshold([0.1, 0.5, 0.9], [3.0, 1.0, 2.0], 0.5),
}

DEGENERATE = {
    "one class": (lambda: plots.roc(np.zeros(9), {"champion": np.arange(9.0)}), "champion: only class 0"),
    "no scores at all": (lambda: plots.precision_recall([0, 1], {}), "needs scored rows of both classes"),
    "no rows to calibrate": (lambda: plots.calibration([], []), "No row has a label and a probability"),
    "one label, one probability": (
        lambda: plots.calibration(np.zeros(9), np.full(9, 0.3)),
        "Only class 0 in the labels. Every probability is 0.300.",
    ),
    "no classes": (lambda: plots.confusion([], [], []), "No row to compare"),
    "unknown classes": (lambda: plots.confusion(["x"], ["y"], ["a"]), "rows with a class not listed (1)"),
    "no residuals": (lambda: plots.residuals([NAN, 1.0], [1.0, NAN]), "No row has a truth and a prediction"),
    "one residual": (lambda: plots.residuals([1e20], [0.0]), "standard deviation 0."),
    "six thousand equal residuals": (lambda: plots.residuals(np.ones(6000), np.ones(6000)), "6,000 rows"),
    "no trials": (lambda: plots.history([], "minimize", "rmse", []), "No score in 0 trials"),
    "no finished trial": (
        lambda: plots.history([NAN], "minimize", "rmse", ["dummy"]),
        "No score in 1 trials",
    ),
    "no weights": (lambda: plots.importance([], [], "Weights"), "No weight differs from 0"),
    "no search": (lambda: plots.parallel_coordinates([], [], "auc"), "No trial has both"),
    "no scored search": (lambda: plots.parallel_coordinates([{"c": 1.0}], [NAN], "auc"), "No trial has both"),
    "no parameters": (lambda: plots.parallel_coordinates([{}], [0.5], "auc"), "No trial has both"),
    "one trial": (lambda: plots.parallel_coordinates([{"c": 1.0}], [0.5], "auc"), "Every score is 0.5."),
    "only missing values": (lambda: plots.parallel_coordinates([{"c": NAN}], [0.5], "auc"), "Every score is"),
    "no rounds": (lambda: plots.loss_curve([], [], "rmse"), "No round has a value"),
    "no held-out rows": (lambda: plots.loss_curve([0.5], [], "rmse"), "valid: no value"),
    "no columns": (lambda: plots.profile([]), "No column to show"),
    "an empty column": (lambda: plots.profile([{"name": "x", "edges": [], "counts": []}]), "no values"),
    "a column of NaN": (
        lambda: plots.profile([{"name": "x", "edges": [NAN, NAN], "counts": [3]}]),
        "no values",
    ),
    "no costs": (lambda: plots.threshold([0.5], [NAN], 0.5), "No threshold has a cost"),
}


def png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def words(figure: Figure) -> str:
    return "\n".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def ticks(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize("name", USUAL)
def test_a_figure_has_a_title_and_axis_labels_and_saves_as_a_png_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = USUAL[name]()
        image = png(figure)
    assert image.startswith(b"\x89PNG")
    assert len(image) > 5_000
    assert figure.get_suptitle()
    assert any(ax.get_xlabel() for ax in figure.axes)
    assert any(ax.get_ylabel() for ax in figure.axes) or name == "importance"


@pytest.mark.parametrize("case", DEGENERATE)
def test_a_figure_says_in_words_what_is_missing(case):
    draw, said = DEGENERATE[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw()
        assert png(figure).startswith(b"\x89PNG")
    assert said in words(figure)


def test_the_roc_legend_names_each_score_with_its_auc_to_three_decimals():
    figure = plots.roc([0, 0, 1, 1], {"good": np.array([1, 2, 3, 4]), "fair": np.array([1, 3, 2, 4])})
    assert legend(figure) == ["good: AUC 1.000", "fair: AUC 0.750", "chance: AUC 0.500"]


def test_rows_without_a_score_are_left_out_and_counted():
    figure = plots.roc([0, 0, 1, 1], {"model": np.array([1.0, NAN, 3.0, 4.0])})
    assert "Left out: rows without a label or a score, model (1)." in words(figure)


def test_a_score_that_cannot_be_ranked_does_not_hide_the_others():
    figure = plots.roc([0, 1], {"good": np.array([0.0, 1.0]), "broken": np.array([NAN, NAN])})
    assert "good: AUC 1.000" in legend(figure)
    assert "broken: no scored row." in words(figure)


def test_precision_recall_shows_average_precision_and_the_base_rate():
    figure = plots.precision_recall([0, 0, 0, 1], {"good": np.array([1, 2, 3, 4])})
    assert legend(figure) == ["good: average precision 1.000", "base rate 0.250"]


def test_calibration_puts_equally_many_rows_into_each_bin_and_counts_every_row_below():
    probabilities = np.linspace(0, 1, 1_000)
    above, below = plots.calibration(probabilities > 0.5, probabilities, bins=5).axes
    assert above.lines[0].get_xdata() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=0.01)
    assert above.lines[0].get_ydata() == pytest.approx([0, 0, 0.5, 1, 1], abs=0.01)
    assert sum(bar.get_height() for bar in below.patches) == 1_000
    assert below.get_ylabel() == "Rows"


def test_calibration_keeps_two_distinct_probabilities_apart():
    above, _ = plots.calibration([0, 0, 1, 1], [0.2, 0.2, 0.7, 0.7]).axes
    assert above.lines[0].get_xdata() == pytest.approx([0.2, 0.7])


def test_calibration_of_a_rare_class_zooms_in_and_says_where_the_rest_went():
    figure = plots.calibration(np.zeros(1_000), np.r_[np.linspace(0, 0.02, 999), 0.9])
    assert figure.axes[0].get_xlim()[1] < 0.1
    assert "The last bar holds all rows above" in words(figure)


def test_confusion_shows_count_and_row_share_in_each_cell():
    figure = plots.confusion(["no", "no", "no", "yes"], ["no", "no", "yes", "yes"], ["no", "yes"])
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["2\n67%", "1\n33%", "0", "1\n100%"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted class", "True class")
    assert ticks(ax.yaxis) == ["no", "yes"]


def test_confusion_of_many_classes_shows_the_twenty_most_frequent():
    classes = [f"class {number}" for number in range(30)]
    truth = np.repeat(classes, np.arange(1, 31))
    figure = plots.confusion(truth, truth, classes)
    assert ticks(figure.axes[0].xaxis) == classes[10:]
    assert "The 20 most frequent of 30 classes" in words(figure)


def test_long_class_names_that_differ_at_the_end_stay_apart():
    classes = [f"a class with a very long name {number}" for number in range(3)]
    assert len(set(ticks(plots.confusion(classes, classes, classes).axes[0].xaxis))) == 3


def test_residuals_are_truth_minus_predicted_in_the_unit_of_the_target():
    figure = plots.residuals([3.0, 5.0], [1.0, 6.0])
    assert figure.axes[0].get_ylabel() == "Truth − predicted (unit of the target)"
    assert figure.axes[0].collections[0].get_offsets().tolist() == [[1, 2], [6, -1]]
    assert sum(bar.get_width() for bar in figure.axes[1].patches) == 2


def test_many_residuals_are_binned_into_hexagons_with_a_scale():
    figure = plots.residuals(random.normal(size=5_001), random.normal(size=5_001))
    assert isinstance(figure.axes[0].collections[0], PolyCollection)
    assert figure.axes[2].get_ylabel() == "Rows per cell"


@pytest.mark.parametrize(
    ("direction", "best", "said"),
    [
        ("maximize", [0.5, 0.5, 0.7, 0.7], "0.7 in trial 2"),
        ("minimize", [0.5, 0.5, 0.5, 0.4], "0.4 in trial 3"),
    ],
)
def test_history_follows_the_best_score_in_the_direction_of_the_metric(direction, best, said):
    families = ["linear", "linear", "xgboost", "linear"]
    figure = plots.history([0.5, NAN, 0.7, 0.4], direction, "auc", families)
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx(best)
    linear, xgboost, so_far = legend(figure)
    assert (linear, xgboost) == ("linear (3 of 4 trials)", "xgboost (1 of 4 trials)")
    assert so_far == f"best so far: {said}"
    assert "Left out: trials without a score (1)." in words(figure)


def test_history_leaves_the_values_of_its_caller_alone():
    values = np.array([np.inf, 0.5])
    plots.history(values, "minimize", "rmse", ["linear", "linear"])
    assert np.isinf(values[0])


def test_importance_shows_the_twenty_largest_weights_with_the_largest_on_top():
    figure = plots.importance([f"column {number}" for number in range(25)], np.arange(25) - 10.0, "Gain")
    (ax,) = figure.axes
    assert figure.get_suptitle() == "Gain"
    assert len(ax.patches) == 20
    assert ticks(ax.yaxis)[0] == "column 24"
    assert ax.yaxis_inverted()
    assert "The 20 largest of 25 weights." in words(figure)
    colours = {np.sign(bar.get_width()): to_hex(bar.get_facecolor()) for bar in ax.patches}
    assert colours[1] != colours[-1]


def test_parallel_coordinates_has_an_axis_for_each_hyperparameter_and_a_scale_for_the_score():
    trials = [{"depth": 3, "rate": 0.0001, "kind": "a"}, {"depth": 7, "rate": 0.5, "kind": "b"}]
    figure = plots.parallel_coordinates(trials, [0.6, 0.8], "auc")
    ax, scale = figure.axes
    assert ticks(ax.xaxis) == ["depth", "rate\n(log scale)", "kind"]
    assert {"3", "7", "0.001", "0.01", "0.1", "a", "b"} <= {text.get_text() for text in ax.texts}
    assert scale.get_ylabel() == "auc"


def test_a_hyperparameter_that_a_trial_lacks_is_a_gap_in_its_line():
    trials = [
        {"c": 1.0, "depth": 3, "kind": "a"},
        {"c": 2.0, "kind": "b"},
        {"c": 3.0, "depth": 5, "kind": NAN},
    ]
    figure = plots.parallel_coordinates(trials, [0.1, 0.2, 0.9], "auc")
    (lines,) = (drawn for drawn in figure.axes[0].collections if isinstance(drawn, LineCollection))
    gaps = {float(path.vertices[0, 1]): np.isnan(path.vertices[:, 1]).tolist() for path in lines.get_paths()}
    assert gaps == {0.0: [False, False, False], 0.5: [False, True, False], 1.0: [False, False, True]}


def test_the_loss_curve_counts_rounds_from_one_and_names_both_curves():
    figure = plots.loss_curve([0.9, 0.5, 0.25], [0.9, 0.6, NAN], "log_loss")
    (ax,) = figure.axes
    assert list(ax.lines[0].get_xdata()) == [1, 2, 3]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Boosting round (number)", "log_loss")
    assert legend(figure) == ["train: 0.25 at the end", "valid: 0.6 at the end"]


def test_the_profile_has_a_panel_per_column_with_the_missing_share_in_its_title():
    figure = plots.profile([NUMBERS, LEVELS | {"missing": 0.125}, NUMBERS | {"missing": 0.0}])
    assert [ax.get_title() for ax in figure.axes] == ["age", "plan (12.5% missing)", "age"]
    assert [ax.get_xlabel() for ax in figure.axes] == ["Value", "Rows", "Value"]
    assert ticks(figure.axes[1].yaxis) == ["basic", "gold"]


def test_the_profile_stops_at_twenty_four_panels_and_says_so():
    figure = plots.profile([NUMBERS] * 30)
    assert len(figure.axes) == 24
    assert "The first 24 of 30 columns." in words(figure)


def test_a_column_of_many_levels_shows_the_most_frequent_and_says_so():
    column = {"name": "city", "levels": [f"city {number}" for number in range(40)], "counts": list(range(40))}
    (ax,) = plots.profile([column]).axes
    assert ticks(ax.yaxis)[0] == "city 39"
    assert ax.get_xlabel() == "Rows (8 of 40 levels)"


def test_an_open_ended_bin_is_drawn_with_a_finite_width():
    (ax,) = plots.profile([NUMBERS | {"edges": [-np.inf, 10.0, np.inf]}]).axes
    assert np.isfinite(ax.patches[0].get_data().edges).all()


def test_the_chosen_threshold_is_marked_with_its_cost():
    figure = plots.threshold([0.9, 0.1, 0.5], [2.0, 3.0, 1.25], 0.5)
    assert "chosen 0.500: cost 1.25 per row" in legend(figure)
    assert figure.axes[0].get_xlabel() == "Decision threshold (probability)"
    assert list(figure.axes[0].lines[0].get_xdata()) == [0.1, 0.5, 0.9]


def test_a_million_rows_are_drawn_quickly_with_thinned_curves():
    labels, scores = random.integers(0, 2, 1_000_000), random.random(1_000_000)
    start_s = time.perf_counter()
    curve = plots.roc(labels, {"model": scores})
    cloud = plots.residuals(labels, scores)
    assert png(curve)
    assert png(cloud)
    assert time.perf_counter() - start_s < 8
    assert 1_000 < len(curve.axes[0].lines[0].get_xdata()) <= 2_000


def test_a_name_is_shown_as_it_is_written_even_with_dollar_signs():
    figure = plots.importance(["price_$_$x", "요금제"], [2.0, 1.0], "Weights of $a$")
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
    assert ticks(figure.axes[0].yaxis) == ["price_$_$x", "요금제"]


def test_a_korean_font_is_asked_for_only_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(font_manager, "get_font_names", lambda: ["DejaVu Sans", "NanumGothic"])
    label = plots.importance(["요금제"], [1.0], "중요도").axes[0].get_yticklabels()[0]
    assert label.get_fontfamily() == ["DejaVu Sans", "NanumGothic"]


def test_importing_the_module_loads_no_drawing_library_and_drawing_never_loads_pyplot():
    code = (
        "import sys; from ratchet.core import plots; print({'matplotlib', 'sklearn', 'pandas'} & set(sys.modules));"
        "plots.loss_curve([1.0], [1.0], 'rmse'); print('matplotlib.pyplot' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split("\n")[:2] == ["set()", "False"]
