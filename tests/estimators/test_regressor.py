"""The regressor: one number and several, scales, losses."""

import functools

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_linnerud
from sklearn.linear_model import LinearRegression, PoissonRegressor, QuantileRegressor
from sklearn.metrics import r2_score

import chainrule as cr
from chainrule.errors import ShapeError
from chainrule.estimators import NeuralRegressor

X, Y = load_diabetes(return_X_y=True)
LINEAR = {
    "layers": (),
    "weight_decay": 0.0,
    "batch_size": None,
    "optimizer": cr.Adam(0.05),
    "epochs": 1500,
    "random_state": 0,
}


def test_without_hidden_layers_it_is_linear_regression_whatever_the_scales():
    theirs = LinearRegression().fit(X, Y)
    ours = NeuralRegressor(**LINEAR).fit(1000 * X + 7, 1e6 * Y - 5)
    assert (ours.predict(1000 * X + 7) + 5) / 1e6 == pytest.approx(theirs.predict(X), rel=1e-3)
    assert ours.score(1000 * X + 7, 1e6 * Y - 5) == pytest.approx(theirs.score(X, Y), abs=1e-5)


def test_weighted_least_squares():
    weights = np.random.default_rng(0).uniform(0, 3, len(Y))
    theirs = LinearRegression().fit(X, Y, weights)
    assert NeuralRegressor(**LINEAR).fit(X, Y, weights).predict(X) == pytest.approx(theirs.predict(X), rel=1e-3)


def test_several_numbers():
    x, y = load_linnerud(return_X_y=True)
    model = NeuralRegressor(**LINEAR).fit(x, y)
    assert model.predict(x) == pytest.approx(LinearRegression().fit(x, y).predict(x), rel=1e-3)


def test_a_quantile():
    """The 0.9-quantile as a linear program finds it: the same share below, the same pinball loss."""

    def pinball(found):
        return np.where(found <= Y, 0.9 * (Y - found), 0.1 * (found - Y)).mean()

    theirs = QuantileRegressor(quantile=0.9, alpha=0).fit(X, Y).predict(X)
    loss = functools.partial(cr.quantile, q=0.9)
    settings = {**LINEAR, "optimizer": cr.Adam(cr.CosineDecay(0.05, 1500))}
    ours = NeuralRegressor(**settings, loss=loss).fit(X, Y).predict(X)
    assert pinball(ours) == pytest.approx(pinball(theirs), rel=5e-3)
    assert (ours >= Y).mean() == pytest.approx(0.9, abs=0.02)


def test_counts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    y = rng.poisson(np.exp(0.5 + x @ [0.4, -0.3, 0.2]))
    theirs = PoissonRegressor(alpha=0, tol=1e-8).fit(x, y)
    ours = NeuralRegressor(**LINEAR, loss=functools.partial(cr.poisson, from_logits=True)).fit(x, y)
    assert ours.predict(x) == pytest.approx(theirs.predict(x), rel=1e-3)
    assert not hasattr(ours, "target_scaler_")
    deep = NeuralRegressor(loss="poisson", random_state=0).fit(x, y)
    assert deep.predict(x).min() > 0


@pytest.mark.parametrize("loss", ["poisson", functools.partial(cr.poisson, from_logits=True)], ids=["itself", "log"])
def test_counts_far_from_one_start_at_their_mean(loss):
    """About 150: as good as a Poisson regression with defaults, and the mean of all where nothing is learned."""
    both = np.stack([Y, 1000 + 10 * Y], axis=1)
    weights = np.random.default_rng(0).uniform(size=len(Y))
    still = {"optimizer": cr.GradientDescent(1e-12), "epochs": 1, "random_state": 0}
    means = NeuralRegressor(loss=loss, **still).fit(0 * X, both, weights).predict(0 * X)
    assert means == pytest.approx(np.tile(np.average(both, axis=0, weights=weights), (len(Y), 1)), rel=1e-5)
    parts = NeuralRegressor(loss=loss, **still).partial_fit(0 * X, both).predict(0 * X)
    assert parts[0] == pytest.approx(both.mean(axis=0), rel=1e-5)
    theirs = PoissonRegressor(alpha=0).fit((X - X.mean(0)) / X.std(0), Y)
    ours = NeuralRegressor(loss=loss, random_state=0).fit(X, Y)
    assert ours.score(X, Y) > r2_score(Y, theirs.predict((X - X.mean(0)) / X.std(0)))


def test_targets_that_are_not_standardised_start_at_their_mean():
    model = NeuralRegressor(standardize=False, optimizer=cr.GradientDescent(1e-12), epochs=1).fit(0 * X, Y)
    assert model.predict(0 * X) == pytest.approx(np.full(len(Y), Y.mean()))
    assert np.isfinite(NeuralRegressor(loss="poisson", epochs=2).fit(X, 0 * Y).predict(X)).all()


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "log_cosh", lambda y_hat, y: (y_hat - y) ** 2 / 5000])
def test_any_loss(loss):
    model = NeuralRegressor(loss=loss, random_state=0, learning_rate=0.02, epochs=300).fit(X, Y)
    assert model.score(X, Y) > 0.5
    assert hasattr(model, "target_scaler_") == isinstance(loss, str)  # a loss of one's own sees y as it is


def test_what_ends_in_a_range_is_not_rescaled():
    y = 1 / (1 + np.exp(-(Y - 150) / 50))
    network = cr.Sequential(cr.Dense(20, "tanh"), cr.Dense(1, "sigmoid"))
    model = NeuralRegressor(network=network, loss="squared_error", learning_rate=0.02, random_state=0).fit(X, y)
    assert not hasattr(model, "target_scaler_")
    assert 0 < model.predict(10 * X).min() <= model.predict(10 * X).max() < 1
    assert model.score(X, y) > 0.5


def test_a_network_for_another_number_of_targets():
    with pytest.raises(ShapeError, match="do not fit the network's output"):
        NeuralRegressor(network=cr.Sequential(cr.Dense(2))).fit(X, Y)


def test_columns_of_zeros_and_ones_are_centred_and_keep_their_scale():
    rng = np.random.default_rng(0)
    rare = (np.arange(300) % 50 == 0).astype(float)
    x = np.stack([rng.normal(5, 3, 300), rare, rng.integers(0, 3, 300), np.ones(300)], axis=1)
    model = NeuralRegressor(layers=(4,), epochs=2).fit(x, x[:, 0])
    assert model.scaler_.mean_ == pytest.approx(x.mean(axis=0))
    assert model.scaler_.scale_ == pytest.approx([x[:, 0].std(), 1, x[:, 2].std(), 1])
    model.partial_fit(x[:2] + np.array([0, 1, 0, 0]), [1, 2])  # 2 and 1: it is an indicator no longer
    assert model.scaler_.scale_[1] == pytest.approx(np.r_[rare, rare[:2] + 1].std())
