"""Rows -> rows to train on, to validate on, to test on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ConfigurationError, DataError

Rows = NDArray[np.int64]

FEWEST_TRAINING_ROWS = 2
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts, each ascending and shape (k,), and what there is to say about them."""

    train: Rows
    validation: Rows
    test: Rows
    notes: tuple[str, ...] = ()


def split(
    rows: int,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    stratify: Sequence[Any] | NDArray[Any] | None = None,
) -> Split:
    """Deal `rows` rows out at random: shares `validation` and `test` of them, the rest to train on.

    The same arguments give the same rows. With `stratify`, the class of every row, shape (rows,), each part
    has the classes in equal shares; if a class has too few rows for that, the rows are dealt out without it
    and a note says so.

    Raises:
        ConfigurationError: shares that are negative, or leave nothing to train on; a seed out of range.
        DataError: too few rows for the parts asked for.

    >>> parts = split(10, validation=0.2, test=0.2, seed=0)
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (6, 2, 2)

    scikit-learn's ``train_test_split`` does the dealing; it makes two parts and raises where classes are
    small.
    """
    _check_shares(validation, test)
    if not 0 <= seed <= LARGEST_SEED:
        raise ConfigurationError("this is no seed", given=seed, expected=f"a whole number from 0 to {LARGEST_SEED}")
    held_out = {"validation": round(rows * validation), "test": round(rows * test)}
    shares = {"validation": validation, "test": test}
    sizes = {name: max(size, 1) if shares[name] > 0 else 0 for name, size in held_out.items()}
    training = rows - sum(sizes.values())
    if training < FEWEST_TRAINING_ROWS:
        raise DataError(
            f"{rows} row{'s are' if rows != 1 else ' is'} too few to split",
            given=f"{rows} rows, validation={validation}, test={test}",
            expected=f"at least {FEWEST_TRAINING_ROWS} rows to train on and one in each other part",
            hint="bring more rows, or set validation or test to 0",
        )
    labels = None if stratify is None else np.unique(np.asarray(stratify), return_inverse=True)[1]
    notes: tuple[str, ...] = ()
    if labels is not None and any(sizes.values()):
        reason = _why_not_stratify(labels, [size for size in (training, *sizes.values()) if size])
        if reason:
            notes, labels = (f"the rows were split without regard to the classes: {reason}",), None
    rest = np.arange(rows, dtype=np.int64)
    rest, test_rows = _take(rest, sizes["test"], seed, labels)
    rest, validation_rows = _take(rest, sizes["validation"], seed, labels)
    return Split(np.sort(rest), np.sort(validation_rows), np.sort(test_rows), notes)


def _check_shares(validation: float, test: float) -> None:
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise ConfigurationError(
                f"{name} is not a share of the rows",
                given=f"{name}={share}",
                expected="0 <= share < 1, such as 0.2",
            )
    if validation + test >= 1:
        raise ConfigurationError(
            "nothing is left to train on",
            given=f"validation={validation}, test={test}",
            expected="shares whose sum is below 1",
        )


def _why_not_stratify(labels: NDArray[np.int64], sizes: list[int]) -> str | None:
    counts = np.bincount(labels)
    smallest = int(counts.min())
    if smallest < len(sizes):
        return f"a class has {smallest} row{'s' if smallest > 1 else ''}, too few for {len(sizes)} parts"
    if min(sizes) < len(counts):
        return f"a part of {min(sizes)} rows cannot hold {len(counts)} classes"
    return None


def _take(rows: Rows, size: int, seed: int, labels: NDArray[np.int64] | None) -> tuple[Rows, Rows]:
    if size == 0:
        return rows, rows[:0]
    from sklearn.model_selection import train_test_split

    classes = None if labels is None else labels[rows]
    rest, taken = train_test_split(rows, test_size=size, random_state=seed, stratify=classes)
    return rest, taken
