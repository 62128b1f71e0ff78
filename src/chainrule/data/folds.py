"""Cross-validation: which rows are trained on and which are held out, time after time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, DataError

Array = np.ndarray[Any, Any]


def folds(how: Any, X: Any, y: Any, classes: bool, seed: int = 0) -> list[tuple[Array, Array]]:
    """The rows to train on and those held out, for each fold.

    Args:
        how: a number of folds, dealt out at random and with the classes in equal shares; a splitter of scikit-learn
            (``TimeSeriesSplit``, ``ShuffleSplit`` …); or pairs of row numbers, such as
            ``list(GroupKFold(3).split(X, groups=patients))``.
        X, y: examples and labels.
        classes: whether labels are classes.
        seed: of the dealing, for a number of folds.

    Errors: fewer than two folds, more folds than rows, rows that there are not, a fold without rows.

    >>> [held.tolist() for _, held in folds([([0, 1], [2]), ([1, 2], [0])], np.zeros(3), None, classes=False)]
    [[2], [0]]
    """
    rows = len(X)
    if isinstance(how, (int, np.integer)) and not isinstance(how, bool):
        from sklearn.model_selection import KFold, StratifiedKFold

        if not 2 <= how <= rows:
            raise ConfigurationError("folds are 2 or more, at most one for each row", given=f"{how} of {rows} rows")
        fewest = int(np.unique(np.asarray(y), return_counts=True)[1].min()) if classes else 0
        kind = StratifiedKFold if classes and fewest >= how else KFold
        how = kind(int(how), shuffle=True, random_state=seed)
    if hasattr(how, "split") and not isinstance(how, (str, bytes)):
        try:
            pairs = list(how.split(np.zeros((rows, 1)), None if y is None else np.asarray(y)))
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{type(how).__name__} cannot part these rows",
                given=str(error),
                hint="a splitter that needs more gives pairs of row numbers: folds=list(splitter.split(X, y, groups))",
            ) from None
    elif isinstance(how, Iterable) and not isinstance(how, (str, bytes)):
        pairs = [tuple(pair) for pair in how]
    else:
        raise ConfigurationError(
            "folds are a number, a splitter of scikit-learn, or pairs of row numbers",
            given=repr(how),
            expected="folds=5",
        )
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ConfigurationError("folds are pairs: rows to train on, rows held out", given=f"{len(pairs)} of them")
    return [(_rows(train, rows), _rows(held, rows)) for train, held in pairs]


def _rows(given: Any, rows: int) -> Array:
    numbers = np.asarray(given)
    if numbers.dtype == bool and numbers.shape == (rows,):
        numbers = np.flatnonzero(numbers)
    if numbers.ndim != 1 or not len(numbers) or numbers.dtype.kind not in "iu":
        raise DataError("a fold is a list of row numbers", given=f"{numbers.dtype} {numbers.shape}")
    if numbers.min() < 0 or numbers.max() >= rows:
        raise DataError(
            "a fold has a row that there is not", given=f"up to {numbers.max()}", expected=f"0 to {rows - 1}"
        )
    return numbers.astype(np.int64)
