"""Arrays that are read when needed, and batches read ahead."""

import threading
import time

import numpy as np
import pytest

from chainrule.data import Lazy, batches
from chainrule.errors import ConfigurationError, DataError, ShapeError


class Counted(Lazy):
    """Row i is (i, i²); what was read is noted; some rows cannot be."""

    def __init__(self, m=10, broken=()):
        self.m, self.broken, self.seen, self.threads = m, broken, [], set()

    @property
    def shape(self):
        return self.m, 2

    def read(self, row):
        if row in self.broken:
            raise DataError(f"row {row} is broken", given=row)
        self.seen.append(row)
        self.threads.add(threading.current_thread().name)
        return np.array([row, row**2], np.float32)


WHOLE = np.array([[i, i**2] for i in range(10)], np.float32)


@pytest.mark.parametrize(
    "rows", [slice(None), slice(2, 9, 3), [3, 1, 3], np.array([-1]), np.arange(10) % 2 == 0, []], ids=str
)
def test_it_is_indexed_as_an_array_is(rows):
    x = Counted()
    rows = np.array(rows, int) if isinstance(rows, list) else rows
    np.testing.assert_array_equal(x[rows], WHOLE[rows])
    assert x[rows].dtype == np.float32
    assert sorted(set(x.seen)) == sorted(set(WHOLE[rows][:, 0].astype(int).tolist()))


def test_a_single_example_and_all():
    x = Counted()
    np.testing.assert_array_equal(x[-2], WHOLE[-2])
    assert x.seen == [8]
    np.testing.assert_array_equal(np.asarray(x), WHOLE)
    assert np.asarray(x, np.float64).dtype == np.float64
    assert (len(x), x.ndim, x.shape) == (10, 2, (10, 2))
    with pytest.raises(IndexError):
        x[10]


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("size", [1, 3, 10, 99])
def test_batches_are_those_of_the_order(size, ahead):
    order = np.random.default_rng(0).permutation(10)
    x, y = Counted(), np.arange(10) * 10
    found = list(batches([x, y], order, size, ahead))
    assert [len(a) for a, _ in found] == [size] * (10 // size) + [10 % size] * (10 % size > 0)
    np.testing.assert_array_equal(np.concatenate([a for a, _ in found]), WHOLE[order])
    np.testing.assert_array_equal(np.concatenate([b for _, b in found]), order * 10)
    assert threading.current_thread().name not in x.threads


def test_a_memory_map_is_served_alike(tmp_path):
    np.save(tmp_path / "x.npy", WHOLE)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(np.concatenate([x for (x,) in batches([mapped], [7, 2, 5], 2)]), WHOLE[[7, 2, 5]])


def until(true, seconds=20):
    """Wait for something that other threads bring about."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return true()


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("chainrule-reads")]


def test_the_next_batches_are_read_while_one_is_worked_on_and_no_more():
    x = Counted(m=1000)
    reading = x.batches(batch_size=10, ahead=2)
    next(reading)
    assert until(lambda: len(x.seen) == 30)  # the one that is worked on, and two
    time.sleep(0.1)
    assert sorted(x.seen) == list(range(30))
    reading.close()
    assert len(x.seen) == 30
    assert until(lambda: not readers())


def test_an_error_comes_where_its_batch_would_have():
    reading = Counted(broken=[5]).batches(batch_size=2)
    assert [len(next(reading)), len(next(reading))] == [2, 2]
    with pytest.raises(DataError, match="row 5 is broken"):
        next(reading)
    assert until(lambda: not readers())


def test_what_is_refused():
    with pytest.raises(ShapeError, match="different numbers of examples"):
        batches([Counted(), np.arange(9)], [0])
    with pytest.raises(ConfigurationError, match="batch_size is at least 1"):
        batches([Counted()], [0], 0)
    with pytest.raises(ConfigurationError, match="ahead is at least 1"):
        batches([Counted()], [0], 1, 0)
