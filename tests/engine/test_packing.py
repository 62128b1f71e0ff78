"""Small arrays that go on by one formula lie together: which they are, and that nothing else changes."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.optimize.optimizers import OPTIMIZERS

pytest.importorskip("jax")
from chainrule.engine.xla import packing

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 6)), RNG.normal(size=(50, 2))


def trainer(*layers, X=X, Y=Y, **options):
    options = {"optimizer": "adam", "batch_size": 16, "dtype": "float64"} | options
    return cr.Trainer(
        cr.Sequential(*(layers or (cr.Dense(5, "tanh"), cr.Dense(4, "relu"), cr.Dense(2)))), X, Y, **options
    )


def rows(made):
    """How many leaves lie in each flat array."""
    return sorted(len(row) for row in made.epochs.packing.rows)


def unpacked(monkeypatch):
    monkeypatch.setattr(packing, "SMALL", 0)


def test_parameters_and_both_moments_are_three_flat_arrays():
    made = trainer()
    assert rows(made) == [6, 6, 6]
    assert [n.name for n in made.epochs.packing.rest] == ["t"]
    names = {frozenset(str(leaf.name)[0] for leaf in row) for row in made.epochs.packing.rows}
    assert names == {frozenset("Wb"), frozenset("m"), frozenset("v")}


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, cr.Adam(0.01, weight_decay=0.1, clip_norm=0.5)], ids=str)
def test_training_has_the_numbers_that_it_has_unpacked(optimizer, monkeypatch):
    made = trainer(optimizer=optimizer)
    assert made.epochs.packing.rows
    made.run_epochs(5)
    unpacked(monkeypatch)
    other = trainer(optimizer=optimizer)
    assert not other.epochs.packing.rows
    other.run_epochs(5)
    np.testing.assert_allclose(made.history["loss"], other.history["loss"], rtol=1e-12)
    for name, value in other.run().parameters.items():
        np.testing.assert_allclose(made.run().parameters[name], value, rtol=1e-10, atol=1e-14)


def test_what_is_watched_is_the_same_where_it_lies_in_a_flat_array(monkeypatch):
    what = ["parameters", "gradients", "updates", "activations", "states"]
    made = trainer(watch=what, every=3)
    made.run_epochs(4)
    unpacked(monkeypatch)
    other = trainer(watch=what, every=3)
    other.run_epochs(4)
    assert (made.epochs.sampled_at == other.epochs.sampled_at).all()
    assert made.epochs.samples.shape[1] > 50
    np.testing.assert_allclose(made.epochs.samples, other.epochs.samples, rtol=1e-9, atol=1e-13)


def test_running_statistics_lie_together_too(monkeypatch):
    layers = cr.Dense(5), cr.BatchNormalization(), cr.Dense(4, "tanh"), cr.BatchNormalization(), cr.Dense(2)
    made = trainer(*layers)
    assert rows(made)[0] >= 2
    assert any("μ" in str(leaf.name) for row in made.epochs.packing.rows for leaf in row)
    made.run_epochs(3)
    unpacked(monkeypatch)
    other = trainer(*layers)
    other.run_epochs(3)
    for name, value in other.run().states.items():
        np.testing.assert_allclose(made.run().states[name], value, rtol=1e-10)


def test_large_arrays_and_formulas_of_their_own_are_left_alone():
    wide = trainer(cr.Dense(200), cr.Dense(200), cr.Dense(2), optimizer="gradient_descent")
    assert {leaf.shape for leaf in wide.epochs.packing.rest if leaf.ndim} == {(200, 200)}
    assert trainer(cr.Dense(2, use_bias=False), optimizer="gradient_descent").epochs.packing.rows == ()


def test_in_a_deep_network_layer_after_layer_lies_in_flat_arrays_that_are_alike(monkeypatch):
    layers = packing.MOST  # each has two families, that of its weights and that of its biases
    deep = [cr.Dense(6, "tanh") for _ in range(layers)]
    made = trainer(*deep, Y=X)
    assert rows(made) == [packing.MOST] * 6
    parameters = [row for row in made.epochs.packing.rows if str(row[0].name)[0] == "W"]
    assert [[leaf.shape for leaf in row] for row in parameters] == [[(6, 6), (6,)] * (packing.MOST // 2)] * 2
    made.run_epochs(3)
    unpacked(monkeypatch)
    other = trainer(*deep, Y=X)
    other.run_epochs(3)
    for name, value in other.run().parameters.items():
        np.testing.assert_allclose(made.run().parameters[name], value, rtol=1e-10, atol=1e-14)


def test_objectives_that_take_turns_have_flat_arrays_of_their_own():
    x, z = cr.input("X", ("m", 6)), cr.Dense(4, "tanh")
    encoder, decoder = cr.Sequential(z, cr.Dense(3)), cr.Sequential(cr.Dense(4, "tanh"), cr.Dense(6))
    code = encoder(x)
    back = decoder(code)
    cost = cr.sum((back - x) ** 2, axis=1)
    model = cr.Model([x], [back])
    halves = [[p for p in model.parameters if p in cr.Model([x], [code]).parameters]]
    halves.append([p for p in model.parameters if p not in halves[0]])
    objectives = [cr.Objective(cost, half, "adam", name=name) for half, name in zip(halves, "JK", strict=True)]
    made = cr.Trainer(model, X, loss=objectives, batch_size=16, dtype="float64")
    assert rows(made) == [4] * 6


def test_of_a_flat_array_only_what_is_read_is_cut_out():
    made = trainer()
    text = made.lowered().as_text()
    # The 6 parameters in each of two kinds of step, and at the end all 18 leaves; the moments of Adam in no step.
    assert text.count("stablehlo.slice") <= 40
    everything = made.epochs.packing.values(made.epochs.packing.pack(made.epochs.carry))
    assert set(everything) == set(made.epochs.leaves)
