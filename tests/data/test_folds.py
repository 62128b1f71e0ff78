"""Folds: a partition of the rows, and scikit-learn's own where it deals them."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from chainrule.data.folds import folds
from chainrule.errors import ConfigurationError, DataError

X, LABELS = np.zeros((23, 2)), np.array(["a"] * 14 + ["b"] * 9)


def test_every_row_is_held_out_once_and_classes_have_equal_shares():
    dealt = folds(3, X, LABELS, classes=True)
    assert sorted(np.concatenate([held for _, held in dealt])) == list(range(23))
    for rows, held in dealt:
        assert sorted([*rows, *held]) == list(range(23))
        assert np.sum(LABELS[held] == "b") == 3


def test_splitters_and_pairs_are_taken_as_they_are():
    dealt = folds(TimeSeriesSplit(4), X, LABELS, classes=False)
    assert all(rows.max() < held.min() for rows, held in dealt)
    mask = np.arange(23) < 20
    ((rows, held),) = folds([(mask, ~mask)], X, None, classes=False)
    assert (len(rows), held.tolist()) == (20, [20, 21, 22])


def test_groups_are_kept_together_by_pairs_of_row_numbers():
    groups = np.arange(23) % 5
    for rows, held in folds(list(GroupKFold(3).split(X, LABELS, groups)), X, LABELS, classes=True):
        assert not set(groups[rows]) & set(groups[held])
    with pytest.raises(ConfigurationError, match=r"(?s)GroupKFold cannot.*groups.*folds=list\(splitter\.split"):
        folds(GroupKFold(3), X, LABELS, classes=True)


def test_classes_too_few_to_share_are_dealt_without_it():
    assert len(folds(10, X, LABELS, classes=True)) == 10


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        (1, ConfigurationError, "2 or more"),
        (24, ConfigurationError, "24 of 23 rows"),
        (True, ConfigurationError, "folds=5"),
        ("five", ConfigurationError, "folds=5"),
        ([], ConfigurationError, "pairs"),
        ([([0], [23])], DataError, "0 to 22"),
        ([([], [1])], DataError, "row numbers"),
    ],
)
def test_what_is_wrong_is_said(how, error, says):
    with pytest.raises(error, match=says):
        folds(how, X, LABELS, classes=True)
