import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.core.models.space import Choice, Number, clipped, flat, grid, middle, narrow, propose
from ratchet.errors import ConfigError

SPACE = {
    "C": Number(1e-4, 100, log=True),
    "depth": Number(2, 16, integer=True),
    "rate": Number(0.0, 1.0),
    "loss": Choice(("log", "hinge")),
}


@st.composite
def numbers(draw):
    """A range as a family may have it, with its values."""
    log, integer = draw(st.booleans()), draw(st.booleans())
    if integer:
        values = st.integers(1, 10**6)
    else:
        values = st.floats(1e-300, 1e300) if log else st.floats(-1e300, 1e300)
    low, high = sorted([draw(values), draw(values)])
    return Number(low, high, log, integer), values


@st.composite
def spaces(draw):
    """A space, and overrides that fit it."""
    space, overrides = {}, {}
    for name in draw(st.sets(st.sampled_from("abcdef"))):
        if draw(st.booleans()):
            options = draw(st.lists(st.sampled_from(["u", "v", "w", 1, 2]), min_size=1, unique=True))
            space[name] = Choice(tuple(options))
            values = st.sampled_from(options)
        else:
            space[name], values = draw(numbers())
        if draw(st.booleans()):
            overrides[name] = tuple(draw(st.lists(values, min_size=1, max_size=3, unique=True)))
    return space, overrides


def holds(dimension, value):
    if isinstance(dimension, Choice):
        return value in dimension.options
    return dimension.low <= value <= dimension.high and (not dimension.integer or isinstance(value, int))


@given(spaces())
@settings(deadline=None)
def test_the_middle_of_a_range_lies_within_it(drawn):
    space, overrides = drawn
    for narrowed in (space, narrow("family", space, overrides)):
        for dimension in narrowed.values():
            assert holds(dimension, middle(dimension))


@given(spaces(), st.dictionaries(st.sampled_from("abcdef"), st.floats(-1e9, 1e9) | st.sampled_from(["u", "x"])))
@settings(deadline=None)
def test_a_start_is_moved_into_the_space_and_moved_only_once(drawn, start):
    narrowed = narrow("family", *drawn)
    start = {
        name: value
        for name, value in start.items()
        if isinstance(narrowed.get(name), Choice) or value not in ("u", "x")
    }
    found = clipped(narrowed, start)
    assert set(found) == set(narrowed)
    assert all(holds(dimension, found[name]) for name, dimension in narrowed.items())
    assert clipped(narrowed, found) == found


@given(spaces())
@settings(deadline=None)
def test_a_start_within_the_space_is_left_as_it_is(drawn):
    space, _ = drawn
    start = {name: middle(dimension) for name, dimension in space.items()}
    assert clipped(space, start) == start


@given(spaces())
@settings(deadline=None)
def test_a_narrowed_space_spans_the_values_given_and_leaves_the_rest_alone(drawn):
    space, overrides = drawn
    narrowed = narrow("family", space, overrides)
    assert set(narrowed) == set(space)
    for name, dimension in space.items():
        if name not in overrides:
            assert narrowed[name] == dimension
        elif isinstance(dimension, Choice):
            assert narrowed[name].options == overrides[name]
        else:
            assert (narrowed[name].low, narrowed[name].high) == (min(overrides[name]), max(overrides[name]))
            assert (narrowed[name].log, narrowed[name].integer) == (dimension.log, dimension.integer)


@given(spaces())
@settings(deadline=None)
def test_a_grid_holds_each_combination_once_and_the_middle_of_what_is_not_listed(drawn):
    space, values = drawn
    found = list(grid(space, values))
    size = 1
    for listed in values.values():
        size *= len(listed)
    assert len(found) == len({str(params) for params in found}) == size
    for params in found:
        assert list(params) == list(space)
        for name, dimension in space.items():
            assert params[name] in values.get(name, [middle(dimension)])


def test_one_value_fixes_a_parameter():
    narrowed = narrow("xgboost", SPACE, {"depth": (6,), "C": (0.1,)})
    assert (narrowed["depth"].low, narrowed["depth"].high) == (6, 6)
    assert middle(narrowed["C"]) == 0.1
    assert clipped(narrowed, {"depth": 12, "C": 3})["depth"] == 6


def test_the_middle_of_a_logarithmic_range_is_its_geometric_mean():
    assert middle(Number(0.01, 100, log=True)) == pytest.approx(1)
    assert middle(Number(0, 100)) == 50


REFUSED = {
    "search.space.linear.los: unknown parameter; did you mean 'loss'?": {"los": ("log",)},
    "search.space.linear.trees: unknown parameter; linear has C, depth, rate, loss": {"trees": (1, 2)},
    "search.space.linear.loss: 'huber' is none of log, hinge": {"loss": ("log", "huber")},
    "search.space.linear.loss: the list is empty; name one of log, hinge": {"loss": ()},
    "search.space.linear.rate: a range is [low, high], both numbers, not []": {"rate": ()},
    "search.space.linear.rate: a range is [low, high], both numbers, not [0.1, 'much']": {"rate": (0.1, "much")},
    "search.space.linear.rate: a range is [low, high], both numbers, not [0.1, inf]": {"rate": (0.1, float("inf"))},
    "search.space.linear.C: is searched on a log scale, so it has to be above 0, not 0": {"C": (0, 1)},
    "search.space.linear.depth: takes whole numbers, not 4.5": {"depth": (4.5, 6)},
}


@pytest.mark.parametrize("message", REFUSED)
def test_an_override_that_does_not_fit_is_refused_at_its_place(message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        narrow("linear", SPACE, REFUSED[message])


def test_a_family_without_parameters_says_so():
    with pytest.raises(ConfigError, match=r"^search\.space\.dummy\.C: unknown parameter; dummy has none$"):
        narrow("dummy", {}, {"C": (1,)})


class Highest:
    """Asks for the highest of everything."""

    def __init__(self):
        self.names = []

    def number(self, name, low, high, log, integer):
        self.names.append(name)
        return high

    def choice(self, name, options):
        self.names.append(name)
        return options[-1]


def test_families_that_share_a_parameters_name_are_asked_under_names_of_their_own():
    highest = Highest()
    family, params = propose({"linear": {"C": Number(1, 2)}, "xgboost": SPACE}, highest)
    assert family == "xgboost"
    assert params == {"C": 100, "depth": 16, "rate": 1.0, "loss": "hinge"}
    assert highest.names == ["family", "xgboost.C", "xgboost.depth", "xgboost.rate", "xgboost.loss"]
    assert list(flat(family, params)) == highest.names
