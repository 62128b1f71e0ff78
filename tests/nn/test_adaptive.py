"""Mixed and learned activations: their formulas, and that they learn which function it was."""

import numpy as np
import pytest
from scipy.special import expit

import chainrule as cr

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(6, 7))


def test_units_are_parted_among_the_activations():
    z = cr.input("z", ("m", 7))
    y = cr.MixedActivation(["relu", "tanh", cr.sin])(z)
    expected = np.concatenate([np.maximum(Z[:, :3], 0), np.tanh(Z[:, 3:5]), np.sin(Z[:, 5:])], axis=1)
    np.testing.assert_allclose(cr.evaluate(y, {z: Z}), expected, rtol=1e-12)
    sized = cr.MixedActivation(["tanh", "linear"], sizes=[2, 5])(z)
    np.testing.assert_allclose(cr.evaluate(sized, {z: Z})[:, :2], np.tanh(Z[:, :2]), rtol=1e-12)


def test_a_group_may_have_an_activation_that_learns():
    layer = cr.Dense(4, cr.MixedActivation([cr.Swish(), "parametric_relu"]))
    layer(cr.input("x", ("m", 3)))
    assert [(p.name, p.shape) for p in layer.parameters] == [("W", (3, 4)), ("b", (4,)), ("β", (2,)), ("α", (2,))]


def test_swish_goes_from_a_line_to_a_relu():
    z = cr.input("z", ("m", 7))
    layer = cr.Swish()
    y = layer(z)
    beta = np.array([0.0, 0.5, 1.0, 2.0, 5.0, 50.0, 500.0])
    found = cr.evaluate(y, {z: Z, layer["β"]: beta})
    np.testing.assert_allclose(found, Z * expit(beta * Z), rtol=1e-12, atol=1e-30)
    np.testing.assert_allclose(found[:, 0], Z[:, 0] / 2)
    np.testing.assert_allclose(found[:, 6], np.maximum(Z[:, 6], 0), atol=1e-3)
    np.testing.assert_allclose(cr.evaluate(y, {z: Z, layer["β"]: np.ones(7)}), cr.evaluate(cr.silu(z), {z: Z}))


@pytest.mark.parametrize(("mixture", "shared"), [("softmax", False), ("softmax", True), ("free", False)])
def test_a_mixture_starts_as_the_mean_of_its_basis(mixture, shared):
    z = cr.input("z", ("m", 7))
    layer = cr.AdaptiveActivation(["linear", "tanh", "sin"], mixture, shared)
    y = layer(z)
    start = {p: cr.nn.initial_value(p.shape, p.attrs["initializer"], 0, 0) for p in layer.parameters}
    np.testing.assert_allclose(cr.evaluate(y, {z: Z, **start}), (Z + np.tanh(Z) + np.sin(Z)) / 3, rtol=1e-12)
    assert layer["a"].shape == ((3,) if shared else (7, 3))


@pytest.mark.parametrize(("function", "place"), [(np.tanh, 0), (np.sin, 1), (lambda x: np.maximum(x, 0), 2)])
def test_it_learns_which_function_it_was(function, place):
    X = RNG.uniform(-4, 4, size=(300, 1))
    layer = cr.AdaptiveActivation(["tanh", "sin", "relu"])
    cr.fit(cr.Sequential(layer), X, function(X), epochs=1)  # parameters are made
    run = cr.fit(cr.Sequential(layer), X, function(X), epochs=150, learning_rate=0.1)
    p = cr.evaluate(layer.openness, run.values)
    assert p[0, place] > 0.97
    assert run.history["loss"][-1] < 1e-3


def test_a_free_mixture_may_subtract():
    X = RNG.uniform(-2, 2, size=(300, 1))
    layer = cr.AdaptiveActivation(["linear", "tanh"], "free")
    run = cr.fit(cr.Sequential(layer), X, 2 * X - 3 * np.tanh(X), epochs=400, learning_rate=0.05)
    np.testing.assert_allclose(run.parameters["a1"], [[2, -3]], atol=0.05)


def test_a_layer_of_different_units_fits_what_one_kind_cannot():
    X = np.linspace(-6, 6, 300)[:, None]
    Y = np.sin(X) + np.maximum(X, 0)

    def loss(activation):
        network = cr.Sequential(cr.Dense(6, activation), cr.Dense(1))
        return min(cr.fit(network, X, Y, epochs=200, learning_rate=0.03, seed=s).history["loss"][-1] for s in range(3))

    assert loss(cr.MixedActivation(["relu", "sin"])) < 0.5 * min(loss("relu"), loss("tanh"))
