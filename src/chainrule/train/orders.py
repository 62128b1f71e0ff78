"""Random orders of rows: of every epoch, and of what is held out. The same seed gives the same ones."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from chainrule.errors import DataError

Array = np.ndarray[Any, Any]


def parted(rows: int, share: float, seed: int) -> tuple[Array, Array]:
    """The rows to train on and those that are held out, a share drawn at random."""
    count = max(1, round(rows * share))
    if count >= rows:
        raise DataError("too few examples to hold some out", given=f"{rows} examples, share {share}")
    order = _generator(seed, 1).permutation(rows)
    return np.sort(order[count:]), np.sort(order[:count])


def order_of(rows: int, seed: int, epoch: int) -> Array:
    """The order of the rows in an epoch, counted from 0, under a seed."""
    return _generator(seed, 2, epoch).permutation(rows).astype(np.int32)


def _generator(seed: int, purpose: int, number: int = 0) -> np.random.Generator:
    """A random stream of its own for every purpose and epoch, whatever was drawn before; to be used at once.

    It is one generator for each thread, set to a key: a new one takes as long as the order of 1,000 rows.
    """
    if not hasattr(_KEPT, "generator"):
        bits = np.random.Philox(key=0)
        _KEPT.generator, _KEPT.beginning = np.random.Generator(bits), bits.state
    state = dict(_KEPT.beginning)
    state["state"] = state["state"] | {"key": np.array([seed % 2**64, (purpose << 48) + number], np.uint64)}
    _KEPT.generator.bit_generator.state = state
    return _KEPT.generator  # type: ignore[no-any-return]


_KEPT = threading.local()
