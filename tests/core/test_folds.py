import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ratchet.core import folds
from ratchet.errors import DataError

SEEDS = st.integers(0, 2**31 - 1)
KIND = st.sampled_from(["binary", "multiclass", "regression"])


@st.composite
def tasks(draw):
    """Targets, their kind and the number of folds; each class is as frequent as the folds need."""
    kind, count, seed = draw(KIND), draw(st.integers(2, 6)), draw(SEEDS)
    rng = np.random.default_rng(seed)
    rows = draw(st.integers(6 * count, 80))
    if kind == "regression":
        return rng.normal(size=rows), kind, count, seed
    classes = 2 if kind == "binary" else 3
    target = np.concatenate([np.repeat(np.arange(classes), count), rng.integers(0, classes, rows - classes * count)])
    return rng.permutation(target), kind, count, seed


@given(tasks())
@settings(deadline=None)
def test_every_row_is_scored_once_and_never_by_a_model_that_learned_from_it(drawn):
    target, kind, count, seed = drawn
    cuts = folds.assign(target, kind, count, seed)
    assert len(cuts) == count
    assert sorted(np.concatenate([score for _, score in cuts])) == list(range(len(target)))
    for fit, score in cuts:
        assert sorted([*fit, *score]) == list(range(len(target)))


@given(tasks())
@settings(deadline=None)
def test_every_fold_holds_its_share_of_each_class(drawn):
    target, kind, count, seed = drawn
    assume(kind != "regression")
    for _, score in folds.assign(target, kind, count, seed):
        for label, total in enumerate(np.bincount(target)):
            assert abs((target[score] == label).sum() - total / count) < 1 + 1e-9


@given(tasks())
@settings(deadline=None)
def test_the_same_seed_cuts_the_same_folds(drawn):
    target, kind, count, seed = drawn
    for one, other in zip(*(folds.assign(target, kind, count, seed) for _ in range(2)), strict=True):
        assert all(map(np.array_equal, one, other))


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_the_same_seed_cuts_the_same_folds_of_groups(kind):
    target, groups = np.arange(120) % 2, np.arange(120) // 4
    once, again, other = (folds.assign(target, kind, 3, seed, groups) for seed in (1, 1, 2))
    assert all(np.array_equal(one[1], two[1]) for one, two in zip(once, again, strict=True))
    assert not all(np.array_equal(one[1], two[1]) for one, two in zip(once, other, strict=True))


def test_another_seed_cuts_other_folds():
    target = np.arange(60) % 2
    assert not np.array_equal(folds.assign(target, "binary", 3, 1)[0][1], folds.assign(target, "binary", 3, 2)[0][1])


@given(tasks(), st.integers(0, 30))
@settings(deadline=None)
def test_a_group_never_crosses_a_fold(drawn, more):
    target, kind, count, seed = drawn
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.arange(len(target)) % (2 * count + more))
    try:
        cuts = folds.assign(target, kind, count, seed, groups)
    except DataError as error:  # the groups may leave a fold with one class, which is refused
        assume("rows of one class" not in str(error))
        raise
    assert sorted(np.concatenate([score for _, score in cuts])) == list(range(len(target)))
    for fit, score in cuts:
        assert not set(groups[fit]) & set(groups[score])


@given(tasks())
@settings(deadline=None)
def test_by_time_a_fold_is_scored_on_what_comes_after_only(drawn):
    target, kind, count, seed = drawn
    if kind != "regression":
        target = np.arange(len(target)) % (2 if kind == "binary" else 3)
    cuts = folds.assign(target, kind, count, seed, by_time=True)
    assert len(cuts) == count
    for fit, score in cuts:
        assert fit.max() < score.min()
    scored = np.concatenate([score for _, score in cuts])
    assert list(scored) == list(range(scored[0], len(target)))  # no row twice, none left out but the first


def test_by_time_goes_before_groups():
    cuts = folds.assign(np.arange(40) % 2, "binary", 3, 0, groups=np.arange(40) % 8, by_time=True)
    assert all(fit.max() < score.min() for fit, score in cuts)


EVEN = np.arange(20) % 2
LATE = np.repeat([0, 1], 10)
REFUSED = {
    "search.folds: 5 folds need 10 rows in train, there are 9": {"target": np.arange(9.0), "kind": "regression"},
    "search.folds: 5 folds, but the rarest class has 3 rows in train; take search: {folds: 3}": {
        "target": np.repeat([0, 1], [17, 3]),
    },
    "search.folds: 5 folds, but the rarest class has 4 rows in train; take search: {folds: 4}, or merge rare classes by"
    " data.rare_classes": {
        "target": np.repeat([0, 1, 2], [9, 4, 9]), "kind": "multiclass",
    },
    "search.folds: 5 folds, but train has 4 groups": {"target": EVEN, "groups": np.arange(20) % 4},
    "search.folds: fold 1 of 5 learns from 5 rows of one class; take fewer folds": {"target": LATE, "by_time": True},
    "search.folds: fold 1 of 2 is scored on 12 rows of one class; take fewer folds": {
        "target": np.repeat([0, 1, 0], [6, 6, 12]), "groups": np.repeat([0, 1], 12), "folds": 2,
    },
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_too_few_rows_classes_or_groups_are_refused_with_their_figures(message):
    case = {"kind": "binary", "folds": 5, "seed": 7} | REFUSED[message]
    with pytest.raises(DataError) as caught:
        folds.assign(**case)
    assert str(caught.value) == message


def test_just_enough_rows_are_enough():
    assert len(folds.assign(np.arange(10.0), "regression", 5, 7)) == 5
    assert len(folds.assign(np.repeat([0, 1], 5), "binary", 5, 7)) == 5
    assert len(folds.assign(EVEN, "binary", 5, 7, groups=np.arange(20) // 4)) == 5
