"""A large array that a step changes is not copied first, and its numbers are what they were."""

import re

import numpy as np
import pytest

import chainrule as cr

jax = pytest.importorskip("jax")
from chainrule.engine.xla import epochs  # noqa: E402
from chainrule.engine.xla.in_place import waiting  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(96, 20)), RNG.integers(0, 3, 96)
WIDE = 160  # 160 × 160 weights are too many to be packed


def trainer():
    network = cr.Sequential(cr.Dense(WIDE, "relu"), cr.Dense(WIDE, "relu"), cr.Dense(3, "softmax"))
    return cr.Trainer(network, X, Y, batch_size=32, devices=1, seed=3)


def copies(made):
    """How many copies of the large matrix the loop over the steps makes."""
    text = made.lowered().compile().as_text()
    bodies = [part for part in text.split("\n\n") if not part.lstrip().startswith("ENTRY")]
    return sum(len(re.findall(rf" = f32\[{WIDE},{WIDE}\]\S* copy\(", body)) for body in bodies)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere XLA sees it by itself")
def test_the_matrix_that_a_signal_goes_back_through_is_not_copied(monkeypatch):
    made = trainer()
    assert copies(made) == 0
    made.run_epochs(4)
    monkeypatch.setattr(epochs, "late_readers", lambda *_: {})
    other = trainer()
    assert copies(other) > 0
    other.run_epochs(4)
    for name, value in other.run().parameters.items():
        np.testing.assert_array_equal(made.run().parameters[name], value)


def test_the_same_network_is_the_same_program():
    """What is found in the cache by another process; a set of nodes has another order each time."""

    def program():
        network = cr.Sequential(*(cr.Dense(WIDE, "relu") for _ in range(7)), cr.Dense(3, "softmax"))
        return cr.Trainer(network, X, Y, batch_size=32, devices=1, seed=3).lowered().as_text()

    assert len({program() for _ in range(6)}) == 1


@pytest.mark.parametrize("read", [1.0, np.inf, -np.inf, np.nan])
def test_whatever_is_read_the_new_value_is_taken(read):
    W, new, signal = cr.parameter("W", (2, 2)), cr.input("new", (2, 2)), cr.input("signal", (1, 2))
    values = {W: np.zeros((2, 2)), new: np.ones((2, 2)), signal: np.array([[read, 0.0]])}
    (found,) = waiting({W: (signal,)}, {W: new}, values).values()
    np.testing.assert_array_equal(found, np.ones((2, 2)))
