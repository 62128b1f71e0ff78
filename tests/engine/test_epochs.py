"""The compiled training against a Python loop over mini-batches, each step of which is run by the interpreter."""

from functools import cache

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import interpret
from chainrule.engine.xla import Epochs
from chainrule.engine.xla.plan import NOT_FINITE, RUNNING, STOPPED_EARLY, Plan, Turn
from chainrule.ops import state

ROWS, EPOCHS = 10, 5
RNG = np.random.default_rng(0)
EXAMPLES = RNG.normal(size=(ROWS, 2)), RNG.integers(2, size=(ROWS, 1))
HELD_OUT = RNG.normal(size=(11, 2)), RNG.integers(2, size=(11, 1))
ORDERS = np.stack([RNG.permutation(ROWS) for _ in range(EPOCHS)]).astype(np.int32)

X, Y = cr.input("x", ("m", 2)), cr.input("y", ("m", 1), dtype="int")
W, B, V, T = cr.parameter("W", (2, 1)), cr.parameter("b", (1,)), state("v", (2, 1)), state("t", (), dtype="int")
ALPHA = cr.constant(0.5, name="α")
LOGITS = X @ W + B
LOSSES = cr.binary_cross_entropy(LOGITS, cr.cast(Y, "float"), from_logits=True)
J, HITS = cr.mean(LOSSES), cr.mean(cr.equal(LOGITS > 0, Y > 0))
DW, DB = cr.gradient(J, [W, B])
NEXT = {W: W - ALPHA * (0.9 * V + DW), B: B - ALPHA * DB / cr.cast(T + 1, "float"), V: 0.9 * V + DW, T: T + 1}
START = {W: np.array([[0.5], [-1.0]]), B: np.zeros(1), V: np.zeros((2, 1)), T: 0}
WATCHED = (W, DW, J, T)


def plan(batch=4, **changes):
    turn = {"carry": NEXT, "outputs": (J, HITS), "watched": ()}
    turn |= {k: changes.pop(k) for k in turn if k in changes}
    usual = {"turns": (Turn(**turn),), "examples": (X, Y), "validation": (), "totals": False}
    return Plan(**usual | {"constants": {ALPHA: 0.5}, "batch_size": batch} | changes)


def training(batch=4, held_out=(), dtype="float64", start=START, **changes):
    return Epochs(plan(batch, **changes), start, EXAMPLES, held_out, dtype)


def advance(it, chunks=(EPOCHS,), orders=ORDERS):
    """The history of a training in calls of so many epochs; every call is given as many orders."""
    rows, done = [], 0
    for chunk in chunks:
        rows.append(it.run(np.roll(orders, -done, axis=0), chunk))
        done += chunk
    return np.concatenate(rows)


@cache
def loop(batch, totals=False, alpha=0.5):
    """The same in Python: history, the leaves after each epoch, and what is watched, for every step."""
    leaves, history, after, steps = START, [], [], []
    outputs = (cr.sum(LOSSES), cr.sum(LOGITS)) if totals else (J, HITS)
    for order in ORDERS:
        batches = [order[i : i + batch] for i in range(0, ROWS, batch)]
        row = np.zeros(2)
        for rows in batches:
            fed = leaves | {X: EXAMPLES[0][rows], Y: EXAMPLES[1][rows], ALPHA: alpha}
            values = interpret([*NEXT.values(), *outputs, *WATCHED], fed, "float64")
            row += np.array([values[n] for n in outputs]) * (1 if totals else len(rows) / ROWS)
            steps.append(np.concatenate([np.ravel(values[n]) for n in WATCHED]))
            leaves = {leaf: values[new] for leaf, new in NEXT.items()}
        history.append(row)
        after.append(leaves)
    return np.array(history), after, np.array(steps)


def validated(leaves):
    """Cost and share of hits on the rows held out."""
    values = interpret([J, HITS], leaves | dict(zip((X, Y), HELD_OUT, strict=True)), "float64")
    return [values[J], values[HITS]]


def assert_leaves(found, expected):
    assert found.keys() == expected.keys()
    for node, value in expected.items():
        np.testing.assert_allclose(found[node], value, rtol=1e-11, atol=1e-13, err_msg=node.name)


# --- an epoch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 4, 5, 9, 10, 64])
def test_epochs_are_those_of_a_loop_and_the_last_smaller_batch_counts_by_its_rows(batch):
    history, after, steps = loop(batch)
    it = training(batch)
    np.testing.assert_allclose(advance(it), history, rtol=1e-11)
    assert_leaves(it.values(), after[-1])
    assert it.values()[T] == len(steps) == it.steps * EPOCHS
    assert it.status == RUNNING


def test_what_is_summed_over_the_examples_is_summed_over_the_batches():
    sums = {"totals": True, "outputs": (cr.sum(LOSSES), cr.sum(LOGITS))}
    np.testing.assert_allclose(advance(training(4, **sums)), loop(4, totals=True)[0], rtol=1e-11)


@pytest.mark.parametrize("chunks", [(1, 1, 1, 1, 1), (2, 3), (4, 1)], ids=str)
def test_epochs_in_several_calls_are_the_same_and_one_program(compiled, chunks):
    at_once, it = training(watched=WATCHED, every=2), training(watched=WATCHED, every=2)
    expected = advance(at_once)
    compiled.clear()
    found = advance(it, chunks)
    assert len(compiled) == 1
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(it.samples, at_once.samples)
    np.testing.assert_array_equal(it.sampled_at, at_once.sampled_at)
    for node, value in at_once.values().items():
        np.testing.assert_array_equal(it.values()[node], value)


def test_only_as_many_epochs_are_run_as_are_asked_for():
    it = training()
    assert len(it.run(ORDERS, 2)) == 2
    assert len(it.run(ORDERS, 0)) == 0
    assert_leaves(it.values(), loop(4)[1][1])


def test_named_constants_are_numbers_of_the_call():
    it = training(constants={ALPHA: 0.125})
    np.testing.assert_allclose(advance(it), loop(4, alpha=0.125)[0], rtol=1e-11)


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 1e-5), ("float64", 1e-11)])
def test_the_precision_is_that_of_the_run(dtype, digits):
    it = training(dtype=dtype)
    np.testing.assert_allclose(advance(it), loop(4)[0], rtol=digits)
    assert {v.dtype.name for v in it.values().values()} == {dtype, {"float32": "int32", "float64": "int64"}[dtype]}


def test_what_it_starts_from_is_left_as_it_is():
    start = {node: np.array(value) for node, value in START.items()}
    advance(training(start=start))
    for node, value in START.items():
        np.testing.assert_array_equal(start[node], value)


# --- validation, and when to stop -------------------------------------------------------------------------


@pytest.mark.parametrize("block", [4096, 4, 11, 1])  # rows that are validated at once
def test_validation_is_that_of_the_parameters_after_the_epoch_on_all_rows(block):
    history, after, _ = loop(4)
    found = advance(training(held_out=HELD_OUT, validation=(J, HITS), validation_rows=block))
    np.testing.assert_allclose(found[:, :2], history, rtol=1e-11)
    np.testing.assert_allclose(found[:, 2:], [validated(leaves) for leaves in after], rtol=1e-11)


def expected_end(values, patience, min_delta):
    """How many epochs are run, whether for that reason, and the best of them from 0; smaller is better."""
    best = -1
    for epoch, value in enumerate(values):
        if best < 0 or value < values[best] - min_delta:
            best = epoch
        if epoch - best >= patience:
            return epoch + 1, True, best
    return len(values), False, best


@pytest.mark.parametrize(
    ("column", "patience", "min_delta"),
    [(0, 1, 0.0), (0, 2, 0.05), (1, 1, 0.0), (2, 1, 0.0), (2, 2, 0.05), (2, 99, 0.0), (3, 1, 0.0), (3, 2, 0.2)],
)
def test_it_stops_when_a_number_no_longer_improves_and_keeps_the_best(column, patience, min_delta):
    history, after, _ = loop(4)
    numbers = np.hstack([history, [validated(leaves) for leaves in after]])
    larger = column in (1, 3)
    count, early, best = expected_end(numbers[:, column] * (-1 if larger else 1), patience, min_delta)
    stopping = {"monitor": column, "larger_is_better": larger, "patience": patience, "min_delta": min_delta}
    it = training(held_out=HELD_OUT, validation=(J, HITS), **stopping)
    np.testing.assert_allclose(advance(it, (1,) * EPOCHS), numbers[:count], rtol=1e-11)
    assert it.best_epoch == best
    assert it.status == (STOPPED_EARLY if early else RUNNING)
    assert_leaves(it.values(best=True), after[best])
    assert_leaves(it.values(), after[count - 1])


# --- numbers that are not finite --------------------------------------------------------------------------

GROWS = state("g", ())
STARTS = {GROWS: np.float64(1.0)}


def growing(output, **changes):
    """g grows by 1e100 in every step, of which an epoch has one: 1e300, the last finite one, is that of the third."""
    x = cr.input("x", ("m",))
    growth = {"carry": {GROWS: GROWS * 1e100}, "examples": (x,), "outputs": (output + 0 * cr.sum(x),)}
    it = Epochs(plan(4, constants={}, **growth | changes), STARTS, [np.zeros(4)], dtype="float64")
    return it, it.run(np.tile(np.arange(4, dtype=np.int32), (9, 1)), 9)


@pytest.mark.parametrize(
    ("output", "count"),
    [
        (cr.constant(0.5), 4),  # g itself overflows
        (GROWS * 1e100, 4),
        (cr.log(2e200 - GROWS), 4),  # not a number, where g is still finite
        (cr.log(2 - GROWS), 2),
        (1 / (GROWS - 1), 1),
    ],
)
def test_the_epoch_that_is_not_finite_is_the_last_and_its_leaves_are_those_before_it(output, count):
    it, history = growing(output)
    assert it.status == NOT_FINITE
    assert len(history) == count
    assert it.values()[GROWS] == pytest.approx(1e100 ** (count - 1))
    assert len(it.run(np.zeros((9, 4), np.int32), 9)) == 0


def test_the_best_of_a_training_that_diverges_is_kept():
    it, history = growing(-GROWS, monitor=0, patience=9)
    assert (it.status, len(history), it.best_epoch) == (NOT_FINITE, 4, 2)
    assert it.values(best=True)[GROWS] == pytest.approx(1e300)
    first, _ = growing(GROWS, monitor=0, patience=9)
    assert (first.status, first.best_epoch) == (NOT_FINITE, 0)


def test_an_epoch_that_is_not_finite_is_sampled_too():
    it, _ = growing(cr.log(2 - GROWS), watched=(GROWS,))
    assert it.sampled_at.tolist() == [0, 1]
    np.testing.assert_allclose(it.samples, [[1], [1e100]])


@pytest.mark.parametrize("place", [0, 3, 4, 9])
def test_the_step_that_was_not_finite_is_found_with_what_it_was_fed(place):
    spoilt = EXAMPLES[0].copy()
    spoilt[ORDERS[0][place]] = np.inf
    it = Epochs(plan(), START, (spoilt, EXAMPLES[1]), dtype="float64")
    advance(it)
    assert it.status == NOT_FINITE
    step, fed = it.bad_step(ORDERS[0])
    rows = ORDERS[0][step * 4 : step * 4 + 4]
    assert step == place // 4
    np.testing.assert_array_equal(fed[X], spoilt[rows])
    np.testing.assert_array_equal(fed[Y], EXAMPLES[1][rows])
    assert fed[T] == step
    np.testing.assert_allclose(fed[W].ravel(), loop(4)[2][step][:2])


# --- watching ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "every"),
    [
        (4, 1),  # three steps in an epoch, the last one smaller
        (4, 2),
        (4, 3),
        (4, 4),
        (4, 7),
        (4, 100),
        (5, 1),  # two, the last one as large
        (5, 3),
        (1, 4),  # ten, one row each
        (10, 1),  # one, all rows
        (10, 2),
        (64, 3),
    ],
)
def test_samples_are_the_numbers_of_the_loop_at_exactly_those_steps(batch, every):
    steps = loop(batch)[2]
    for chunks in [(EPOCHS,), (2, 1, 2)]:
        it = training(batch, watched=WATCHED, every=every)
        advance(it, chunks)
        assert it.sampled_at.tolist() == list(range(0, len(steps), every))
        np.testing.assert_allclose(it.samples, steps[::every], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("size", [1, 2])
def test_samples_computed_in_parts_are_the_same(size, monkeypatch):
    monkeypatch.setattr("chainrule.engine.xla.samples.IN_A_PART", size)
    assert len(WATCHED) > size
    for every in (2, 3):
        it = training(4, watched=WATCHED, every=every)
        advance(it, (2, 1, 2))
        np.testing.assert_allclose(it.samples, loop(4)[2][::every], rtol=1e-11, atol=1e-13)


def test_a_part_is_few_enough_that_no_second_thread_is_woken():
    many = tuple(J * k for k in range(1, 13))
    counts = [len(p.outputs) for _, p in training(4, watched=many, every=2)._samples.parts]
    assert counts == [5, 5, 2]
    assert len(training(4, watched=many, every=1)._samples.parts) == 1
    assert len(training(4, watched=many * 5, every=2)._samples.parts) == 1  # enough for two threads


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [4, 5])
def test_watching_changes_no_bit_of_the_training(dtype, batch):
    options = {"held_out": HELD_OUT, "validation": (J, HITS), "monitor": 2, "patience": 9, "dtype": dtype}
    plain = training(batch, **options)
    history = advance(plain)
    for every in (1, 2, 7):
        watched = training(batch, watched=WATCHED, every=every, **options)
        np.testing.assert_array_equal(advance(watched), history)
        for best in (False, True):
            for node, value in plain.values(best).items():
                np.testing.assert_array_equal(watched.values(best)[node], value)
    assert (plain.samples.size, plain.sampled_at.size) == (0, 0)


def test_samples_end_where_the_training_stops():
    it = training(watched=(J,), every=2, monitor=0, patience=1, min_delta=10.0)
    assert len(advance(it, (1,) * EPOCHS)) == 2
    assert it.sampled_at.tolist() == [0, 2, 4]
