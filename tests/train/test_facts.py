"""What is noted of the examples, against what is planted in them."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from chainrule.train.facts import facts_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
CLASSES = np.arange(60) % 3


def test_columns_that_are_the_same_but_for_scale_and_shift_are_found():
    two = (X[:, 0] > 0) * 1.0
    table = np.column_stack([X, 3 - 2.5 * X[:, 1], X[:, 3] + 1e-9, X[:, 4] + 1e-3 * X[:, 0], two, 1 - two])
    assert facts_of([table], CLASSES, "categorical_cross_entropy")["duplicates"] == [[1, 5], [3, 6]]


def test_constant_columns_and_background():
    table = np.column_stack([X - 9, np.zeros(60), np.full(60, 7.0), np.full(60, 2.0)])
    facts = facts_of([table], CLASSES, "categorical_cross_entropy")
    assert facts["constant"] == [[5, 0.0], [6, 7.0], [7, 2.0]]
    assert facts["background"] == [5, 6]  # 0, and the largest number of all
    np.testing.assert_allclose(facts["reach"], np.ptp(table, axis=0))


@pytest.mark.parametrize("column", [lambda y: 2 * y - 1, lambda y: np.exp(3 * y), lambda y: -(y**3)])
def test_a_column_that_rises_or_falls_with_the_label_explains_it(column):
    y = RNG.normal(size=60)
    facts = facts_of([np.column_stack([X, column(y)])], y[:, None], "squared_error")
    (first, share), (_, second) = facts["alone"]
    assert first == 5
    assert share > 0.99
    assert second < 0.3


def test_what_a_constant_costs_on_training_and_on_validation_examples():
    y, z = RNG.normal(size=(60, 1)), RNG.normal(1, 2, (30, 1))
    facts = facts_of([X], y, "squared_error", z)
    assert facts["baseline"] == pytest.approx(np.mean((y - y.mean()) ** 2))
    assert facts["validation_baseline"] == pytest.approx(np.mean((z - y.mean()) ** 2))
    facts = facts_of([X], y, "absolute_error", z)
    assert facts["validation_baseline"] == pytest.approx(np.mean(np.abs(z - np.median(y))))
    labels, held_out = RNG.integers(0, 3, 60), RNG.integers(0, 3, 30)
    shares = np.bincount(labels) / 60
    facts = facts_of([X], labels, "categorical_cross_entropy", held_out)
    assert facts["baseline"] == pytest.approx(log_loss(labels, np.tile(shares, (60, 1))))
    assert facts["validation_baseline"] == pytest.approx(log_loss(held_out, np.tile(shares, (30, 1)), labels=[0, 1, 2]))
