"""Dropout and noise: random in training, transparent in prediction, and each mask can be seen."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError

X = np.random.default_rng(0).normal(size=(64, 5))


def test_dropout_keeps_or_drops_and_keeps_the_mean():
    x = cr.input("x", ("m", 50))
    y = cr.in_training(cr.Dropout(0.3)(x))
    ones = np.ones((2000, 50))
    found = cr.evaluate(y, {x: ones}, seed=1)
    np.testing.assert_allclose(np.unique(found), [0, 1 / 0.7])
    assert found.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(cr.evaluate(cr.Dropout(0.3)(x), {x: ones}), ones)


def test_the_gradient_goes_where_the_mask_lets_it():
    x = cr.input("x", (4,))
    y = cr.in_training(cr.Dropout(0.5)(x))
    (mask,) = (n for n in cr.Graph(y) if n.op.name == "draw")
    dx = cr.gradient(cr.sum(y), x)
    np.testing.assert_allclose(cr.evaluate(dx, {x: np.ones(4), mask: [1.0, 0, 0, 1]}), [2, 0, 0, 2])


def test_numbers_along_an_axis_share_their_fate():
    x = cr.input("x", (20, 8))
    found = cr.evaluate(cr.in_training(cr.Dropout(0.5, noise_shape=(20, 1))(x)), {x: np.ones((20, 8))}, seed=4)
    assert (found == found[:, :1]).all()
    assert 0 < found[:, 0].mean() < 2


def test_noise_has_its_deviation_and_is_gone_in_prediction():
    x = cr.input("x", ("m", 5))
    noisy = cr.GaussianNoise(0.2)(x)
    zeros = np.zeros((4000, 5))
    assert cr.evaluate(cr.in_training(noisy), {x: zeros}, seed=1).std() == pytest.approx(0.2, rel=0.05)
    np.testing.assert_array_equal(cr.evaluate(noisy, {x: zeros}), zeros)


def test_training_step_by_step_in_numpy_sees_the_masks_of_the_compiled_epoch():
    """One epoch of four steps, each with its own mask, against NumPy with the masks that evaluate shows."""
    y = X @ [1.0, -1, 0.5, 0, 2]
    network = cr.Sequential(cr.Dropout(0.4), cr.Dense(1, kernel_initializer="ones"))
    run = cr.fit(network, X, y, optimizer=cr.GradientDescent(0.05), epochs=1, batch_size=16, shuffle=False, seed=7)
    (mask,) = run.step.draws
    W, b = np.ones((5, 1)), np.zeros(1)
    for k in range(4):
        rows = X[16 * k : 16 * k + 16]
        kept = rows * cr.evaluate(mask, sizes={"m": 16}, seed=7, step=k) / 0.6
        error = kept @ W + b - y[16 * k : 16 * k + 16, None]
        W, b = W - 0.05 * 2 / 16 * kept.T @ error, b - 0.05 * 2 / 16 * error.sum(axis=0)
    np.testing.assert_allclose(run.parameters["W2"], W, rtol=1e-5)
    np.testing.assert_allclose(run.parameters["b2"], b, rtol=1e-5)
    np.testing.assert_allclose(run.predict(X), X @ W + b, rtol=1e-4, atol=1e-5)


def test_validation_is_without_dropout():
    y = X @ [1.0, -1, 0.5, 0, 2]
    run = cr.fit(cr.Sequential(cr.Dropout(0.5), cr.Dense(1)), X, y, epochs=3, validation_data=(X, y))
    assert run.history["validation_loss"][-1] == pytest.approx(run.evaluate(X, y)["loss"], rel=1e-5)
    assert run.evaluate(X, y)["loss"] == pytest.approx(np.mean((run.predict(X)[:, 0] - y) ** 2), rel=1e-5)


def test_the_same_seed_gives_the_same_bits_for_a_network_that_is_built_anew():
    def trained():
        return cr.fit(cr.Sequential(cr.Dense(4, "tanh"), cr.Dropout(0.5), cr.Dense(1)), X, X[:, 0], epochs=3, seed=5)

    a, b = trained(), trained()
    for name in a.parameters:
        np.testing.assert_array_equal(a.parameters[name], b.parameters[name])


def test_a_run_with_dropout_is_saved_traced_and_written(tmp_path):
    network = cr.Sequential(cr.Dense(4, "tanh"), cr.Dropout(0.25), cr.Dense(1))
    run = cr.fit(network, X, X[:, 0], epochs=2, watch=True)
    assert "A2   = 4/3 · B2 ∘ A1" in str(run.formulas())
    assert "dZ1  = 4/3 · dZ3 W3ᵀ ∘ B2 ∘ (1 − A1²)" in str(run.formulas())
    again = cr.load(run.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(X), run.predict(X))
    assert str(again.formulas()) == str(run.formulas())
    trace = run.trace(X[0], X[0, 0])
    assert set(np.unique(trace["B2"].value)) <= {0.0, 1.0}
    assert trace.largest_error < 1e-6


@pytest.mark.parametrize("rate", [1, -0.1, 7])
def test_a_rate_that_is_no_share(rate):
    with pytest.raises(ConfigurationError, match="dropout rate is a share"):
        cr.Dropout(rate)
