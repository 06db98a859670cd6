"""Which class a label means."""

import numpy as np
import pytest

from ratchet.core.labels import ClassIndex, spelling


@pytest.mark.parametrize("classes", [(0, 1), (0.0, 1.0), ("0", "1"), ("0.0", "1.0"), ("false", "true"), (False, True)])
@pytest.mark.parametrize(
    "label", [1, 1.0, "1", "1.0", True, "true", "True", np.int64(1), np.float32(1), np.bool_(True)]
)
def test_one_is_one_however_it_is_written(classes, label):
    assert ClassIndex(classes).find(label) == 1


@pytest.mark.parametrize(("one", "other"), [("007", 7), ("1e0", 1), ("Yes", True), (" 1", 1), ("1.5", 1), ("", 0)])
def test_codes_and_words_stay_what_they_are(one, other):
    assert spelling(one) != spelling(other)


def test_a_class_that_is_there_as_it_is_written_comes_before_another_spelling():
    classes = ("1", "1.0", "true")
    assert [ClassIndex(classes).find(label) for label in classes] == [0, 1, 2]
    assert ClassIndex(classes).find(1) == 0
    assert ClassIndex(classes).find(np.True_) is None


@pytest.mark.parametrize("label", [None, [1], {"a": 1}, float("nan"), "2", 10**400])
def test_what_is_no_class_is_none(label):
    assert ClassIndex((0, 1)).find(label) is None
