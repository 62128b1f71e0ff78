"""Examples as users give them to an estimator, as the standardised numbers that a network takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from chainrule.data.lazy import Lazy

Array = np.ndarray[Any, Any]
MOST_NUMBERS = 1 << 25
"""A sparse table of at most so many numbers is written out; rows of a larger one are, when they are needed."""
BLOCK = 1 << 22
"""So many numbers of a sparse table are written out at once to learn means and deviations."""


class WrittenOut(Lazy):
    """The rows of a sparse table, written out and standardised when they are asked for."""

    def __init__(self, table: Any, scaler: Scaler | None, dtype: Any) -> None:
        self.table, self.scaler, self.dtype = table, scaler, np.dtype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, features)."""
        return tuple(self.table.shape)

    def read(self, row: int) -> Array:
        """One row."""
        return np.asarray(self[[row]][0])

    def __getitem__(self, rows: Any) -> Array:
        if isinstance(rows, (int, np.integer)):
            return self.read(int(rows))
        dense = self.table[rows].toarray()
        return np.asarray(dense if self.scaler is None else self.scaler.transform(dense), self.dtype)


class Scaler(StandardScaler):  # type: ignore[misc]
    """Mean 0 for every column; deviation 1 but for columns of 0 and 1, which are of one scale already.

    Divided by its deviation, the 1 of a rare category would be the largest number of its row.  Source: Gelman,
    Scaling regression inputs by dividing by two standard deviations, 2008.
    """

    scale_: Array
    indicators_: Array | None = None

    def add(self, columns: Array, weights: Array | None) -> None:
        """Take in some rows more."""
        super().partial_fit(columns, sample_weight=weights)
        found = ((columns == 0) | (columns == 1)).all(axis=0)
        self.indicators_ = found if self.indicators_ is None else found & self.indicators_
        self.scale_ = np.where(self.indicators_, 1.0, self.scale_)


def learn_scale(X: Any, weights: Array | None, scaler: Scaler | None = None) -> Scaler:
    """Mean and deviation of every column, in float64; added to what a scaler knows already.

    Of examples with more axes than one, such as images, those of the last axis, the channels, over all places.
    """
    scaler = Scaler() if scaler is None else scaler
    for rows in _blocks(X):
        part = _columns(X[rows].toarray() if sparse.issparse(X) else X[rows])
        scaler.add(part, None if weights is None else np.repeat(weights[rows], len(part) // len(weights[rows])))
    return scaler


def standardised(X: Any, scaler: Scaler | None, dtype: Any) -> Any:
    """Examples as a network takes them: an array, or rows of one that are made when they are needed."""
    if sparse.issparse(X):
        lazy = WrittenOut(X, scaler, dtype)
        return lazy[:] if X.shape[0] * X.shape[1] <= MOST_NUMBERS else lazy
    if scaler is not None:
        X = scaler.transform(_columns(X)).reshape(X.shape)
    return X.astype(dtype, copy=False)


def _columns(X: Array) -> Array:
    flat = X if X.ndim == 2 else X.reshape(len(X), -1) if X.ndim < 2 else X.reshape(-1, X.shape[-1])
    return flat.astype(np.float64, copy=False)


def _blocks(X: Any) -> Iterator[slice]:
    rows = X.shape[0]
    size = max(1, BLOCK // max(1, X.shape[1])) if sparse.issparse(X) else rows
    return (slice(i, i + size) for i in range(0, rows, size))
