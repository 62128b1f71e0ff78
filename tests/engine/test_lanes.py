"""Trainings in one program against each of them alone: any width, rows and constants of their own."""

import jax
import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.xla import Epochs, Lanes
from chainrule.engine.xla.lanes import width_for
from chainrule.engine.xla.plan import Plan, Turn
from chainrule.ops import state

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(14, 2)), RNG.normal(size=(14, 1))
X, Y = cr.input("x", ("m", 2)), cr.input("y", ("m", 1))
W, T, ALPHA = cr.parameter("W", (2, 1)), state("t", (), dtype="int"), cr.constant(0.1, name="α")
J = cr.mean((X @ W - Y) ** 2)
NEXT = {W: W - ALPHA * cr.gradient(J, [W])[0], T: T + 1}
RATES, STARTS = (0.1, 0.02, 5.0), [RNG.normal(size=(2, 1)) for _ in range(3)]
ROWS = [np.r_[0:10], np.r_[4:14], np.r_[0:5, 9:14]]
HELD = [np.r_[10:14], np.r_[0:4], np.r_[5:9]]
ORDERS = [np.stack([RNG.permutation(rows) for _ in range(6)]).astype(np.int32) for rows in ROWS]


def plan(**changes):
    usual = {"turns": (Turn(NEXT, (J,)),), "examples": (X, Y), "validation": (J,), "totals": False, "counter": T}
    return Plan(**usual | {"constants": {ALPHA: 0.1}, "batch_size": 4, "monitor": 1, "patience": 2} | changes)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_each_is_the_training_that_it_would_be_alone(width):
    lanes = Lanes(plan(), {W: STARTS[0], T: 0}, DATA, 10, 4, 6, "float64", width)
    some = [lanes.begin({W: w, T: 0}, {ALPHA: a}, 0) for w, a in zip(STARTS, RATES, strict=True)]
    histories = [[], [], []]
    for done in (0, 3):
        for first in range(0, 3, width):
            part = range(first, min(first + width, 3))
            orders = [np.roll(ORDERS[k], -done, axis=0) for k in part]
            found = lanes.run(
                [some[k] for k in part], orders, [HELD[k] for k in part], [3 if k else 2 + done for k in part]
            )
            for k, rows in zip(part, found, strict=True):
                histories[k].extend(rows)
    for k, lane in enumerate(some):
        rows = [a[ROWS[k]] for a in DATA]
        held = [a[HELD[k]] for a in DATA]
        alone = Epochs(plan(constants={ALPHA: RATES[k]}), {W: STARTS[k], T: 0}, rows, held, "float64")
        place = {row: i for i, row in enumerate(ROWS[k])}
        orders = np.vectorize(place.__getitem__)(ORDERS[k]).astype(np.int32)
        orders = orders if k else orders[[0, 1, 3, 4, 5, 0, 1]]  # the first was given fewer, then more epochs
        expected = alone.run(orders, len(orders))
        np.testing.assert_allclose(histories[k], expected, rtol=1e-12)
        assert lane.best_epoch == alone.best_epoch
        assert lane.status == alone.status


def test_on_the_processor_only_small_networks_are_put_together():
    assert width_for(plan()) == 8
    large = cr.parameter("V", (400, 400))
    assert width_for(plan(turns=(Turn({large: large * 2}, (J,)),))) == 1


def test_it_is_traced_once_and_before_it_is_called(monkeypatch):
    traced, one = [], Lanes._one
    monkeypatch.setattr(Lanes, "_one", lambda self, *given: traced.append(1) or one(self, *given))
    lanes = Lanes(plan(), {W: STARTS[0], T: 0}, DATA, 10, 4, 6)
    assert len(traced) == 1
    lane = lanes.begin({W: STARTS[0], T: 0}, {ALPHA: 0.1}, 0)
    lanes.run([lane], [ORDERS[0]], [HELD[0].astype(np.int32)], [3])
    assert len(traced) == 1


def test_many_rows_are_validated_in_parts_that_one_core_takes_best():
    lanes = Lanes(plan(validation_rows=4096), {W: STARTS[0], T: 0}, DATA, 10, 4, 6)
    assert lanes._epochs.plan.validation_rows == (256 if jax.default_backend() == "cpu" else 4096)
