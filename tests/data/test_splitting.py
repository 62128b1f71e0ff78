"""Dealing rows out."""

import numpy as np
import pytest

from chainrule.data import split
from chainrule.errors import ConfigurationError, DataError


@pytest.mark.parametrize("rows", [4, 7, 100, 2930])
@pytest.mark.parametrize(("validation", "test"), [(0.2, 0.2), (0.1, 0), (0, 0.3), (0, 0)])
def test_every_row_is_in_exactly_one_part(rows, validation, test):
    parts = split(rows, validation, test, seed=3)
    everything = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(everything) == list(range(rows))
    assert everything.dtype == np.int64
    assert len(parts.validation) == (max(1, round(rows * validation)) if validation else 0)
    assert len(parts.test) == (max(1, round(rows * test)) if test else 0)


def test_the_seed_decides():
    a, b, c = split(50, seed=1), split(50, seed=1), split(50, seed=2)
    assert a.test.tolist() == b.test.tolist()
    assert a.train.tolist() == b.train.tolist()
    assert a.test.tolist() != c.test.tolist()


def test_stratified_parts_have_the_classes_in_equal_shares():
    labels = np.array(["rare"] * 20 + ["common"] * 80)
    parts = split(100, 0.2, 0.2, seed=0, stratify=labels)
    for rows in (parts.train, parts.validation, parts.test):
        assert (labels[rows] == "rare").mean() == 0.2
    assert parts.notes == ()


@pytest.mark.parametrize(
    ("labels", "says"),
    [([0] * 48 + [1] * 2, "a class has 2 rows"), ([i // 4 for i in range(60)], "cannot hold 15 classes")],
)
def test_small_classes_fall_back_to_a_plain_split_and_say_so(labels, says):
    parts = split(len(labels), 0.2, 0.2, seed=0, stratify=labels)
    assert says in parts.notes[0]
    assert len(parts.train) + len(parts.validation) + len(parts.test) == len(labels)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_too_few_rows(rows):
    with pytest.raises(DataError, match="too few to split"):
        split(rows, 0.2, 0.2)


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0), (0, 1.0), (0.5, 0.5), (20, 0)])
def test_shares_out_of_range(validation, test):
    with pytest.raises(ConfigurationError):
        split(100, validation, test)
