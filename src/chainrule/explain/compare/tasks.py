"""The real tasks that comparisons are trained on: rows dealt out anew for every seed, numbers standardised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import DataError, ShapeError

Array = np.ndarray[Any, Any]
TEST_SHARE = 0.25
HOUSE_COLUMNS = ("Gr_Liv_Area", "Year_Built", "Total_Bsmt_SF", "Garage_Area", "Lot_Area", "Full_Bath")
"""Living area, year, areas of basement, garage and lot, baths."""


@dataclass(frozen=True, eq=False)
class Split:
    """Examples to train on and to test on. Inputs (m, k) have mean 0 and deviation 1 over the training rows.

    Attributes:
        X, Y: to train on; numbers to predict are standardised as well, Y then is (m, 1).
        X_test, Y_test: to test on.
    """

    X: Array
    Y: Array
    X_test: Array
    Y_test: Array


@dataclass(frozen=True, eq=False)
class Task:
    """Examples with their labels, and a name to print.

    Attributes:
        name: of the data.
        X: examples (m, k).
        Y: numbers to predict (m,), or class numbers.
        regression: which of the two.
    """

    name: str
    X: Array
    Y: Array
    regression: bool

    def split(self, seed: int) -> Split:
        """A quarter of the rows, drawn at random, to test on; of classes in equal shares."""
        from chainrule.data import split

        parts = split(len(self.X), 0, TEST_SHARE, seed, None if self.regression else self.Y)
        train, test = parts.train, parts.test
        X, X_test = _standardised(self.X, train, test)
        if not self.regression:
            return Split(X, self.Y[train], X_test, self.Y[test])
        Y, Y_test = _standardised(self.Y.reshape(-1, 1), train, test)
        return Split(X, Y, X_test, Y_test)

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.Y.max()) + 1


def task(data: Any, sample: str, *, regression: bool) -> Task:
    """A task from a pair ``(X, Y)``, or the data set ``sample`` where none is given."""
    if data is None:
        return Task(sample, *_public(sample), regression)
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise DataError("examples and labels are a pair (X, Y)", given=type(data).__name__)
    X, Y = np.asarray(data[0], np.float64), np.asarray(data[1])
    if X.ndim != 2 or Y.ndim != 1 or len(X) != len(Y):
        raise ShapeError(
            "the examples and labels do not fit", given=f"X {X.shape}, Y {Y.shape}", expected="X (m, k) and Y (m,)"
        )
    if not np.isfinite(X).all():
        raise DataError("the examples have numbers that are not finite", given="NaN or infinity in X")
    if not regression:
        labels = np.unique(Y)
        if len(labels) < 2:
            raise DataError("there is one class alone", given=f"labels {labels}", expected="at least two")
        return Task("your data", X, np.searchsorted(labels, Y), regression)
    Y = Y.astype(np.float64)
    if not np.isfinite(Y).all() or np.ptp(Y) == 0:
        raise DataError("the numbers to predict are finite and not all equal", given=f"Y from {Y.min()} to {Y.max()}")
    return Task("your data", X, Y, regression)


def _public(name: str) -> tuple[Array, Array]:
    """A public data set as numbers, (m, k) and (m,): pictures in rows, of the house sales the main measurements."""
    from chainrule.data import load

    found = load(name)
    items = found.items.select(HOUSE_COLUMNS).fill_null(0).to_numpy() if name == "ames" else np.asarray(found.items)
    return items.reshape(len(items), -1).astype(np.float64), np.asarray(found.labels)


def with_outliers(split: Split, share: float, inputs: float, labels: float, seed: int, upwards: bool = False) -> Split:
    """The same examples, some of those to train on spoilt; those to test on stay clean.

    Args:
        split: of a regression.
        share: of the training examples that are spoilt.
        inputs: their inputs are multiplied by this.
        labels: their labels are moved by so many standard deviations, up or down at random.
        seed: of the choice.
        upwards: all of them up.
    """
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(split.X), round(share * len(split.X)), replace=False)
    X, Y = split.X.copy(), split.Y.copy()
    X[rows] *= inputs
    Y[rows] += labels * (1.0 if upwards else rng.choice([-1.0, 1.0], (len(rows), 1)))
    return Split(X, Y, split.X_test, split.Y_test)


def _standardised(values: Array, train: Array, test: Array) -> tuple[Array, Array]:
    mean, spread = values[train].mean(axis=0), values[train].std(axis=0)
    scaled = (values - mean) / np.where(spread > 0, spread, 1.0)
    return scaled[train], scaled[test]
