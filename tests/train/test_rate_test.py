"""The range test: the closed form of when gradient descent diverges, and a rate that trains about as well as any."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.preprocessing import scale

import chainrule as cr
from chainrule.errors import ConfigurationError
from chainrule.train.rate_test import smoothed

RNG = np.random.default_rng(0)
A = RNG.normal(size=(200, 5)) * [1, 2, 3, 0.5, 1]
Y = A @ RNG.normal(size=5)


def test_gradient_descent_on_a_parabola_diverges_behind_two_over_the_largest_curvature():
    """J = 1/m Σ (xw + b − y)²: 2/λ of its Hessian 2/m XᵀX, from where on it still takes some steps to be seen."""
    design = np.c_[A, np.ones(200)]
    limit = 2 / np.linalg.eigvalsh(2 * design.T @ design / 200).max()
    found = cr.find_learning_rate(
        cr.Sequential(cr.Dense(1)), A, Y, optimizer="gradient_descent", batch_size=None, steps=400, seeds=1
    )
    assert limit < found.diverges < 5 * limit
    assert found.learning_rate < limit


def test_the_rates_grow_by_one_factor_and_the_losses_are_those_of_the_steps():
    """By hand, in NumPy: each step moves with its own rate, and reports the cost before it."""
    found = cr.find_learning_rate(
        cr.Sequential(cr.Dense(1, kernel_initializer="zeros")),
        A,
        Y,
        optimizer="gradient_descent",
        batch_size=None,
        low=1e-4,
        high=0.1,
        steps=40,
        seeds=1,
        dtype="float64",
    )
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 0.1, 40))
    w, b = np.zeros(5), 0.0
    for rate, loss in zip(found.rates, found.losses[0], strict=True):
        error = A @ w + b - Y
        assert loss == pytest.approx(np.mean(error**2), rel=1e-9)
        w, b = w - rate * 2 * A.T @ error / 200, b - rate * 2 * error.mean()


def test_the_running_mean_is_corrected_for_its_beginning():
    assert smoothed(np.full(7, 3.0)) == pytest.approx(np.full(7, 3.0))
    assert smoothed(np.array([1.0, 2.0]))[1] == pytest.approx((0.9 * 1 + 2) / 1.9)


DATA = {
    "digits": (load_digits, lambda X: X / 16, cr.Sequential(cr.Dense(32, "relu"), cr.Dense(10, "softmax"))),
    "cancer": (load_breast_cancer, scale, cr.Sequential(cr.Dense(16, "tanh"), cr.Dense(1, "sigmoid"))),
    "diabetes": (load_diabetes, scale, cr.Sequential(cr.Dense(16, "tanh"), cr.Dense(1))),
}


@pytest.mark.parametrize("optimizer", ["adam", "gradient_descent", "momentum"])
@pytest.mark.parametrize("name", DATA)
def test_the_rate_that_is_found_trains_nearly_as_well_as_the_best_of_a_grid(name, optimizer):
    """Of the way that the best of nine rates, three to a factor of ten apart, leads down, it goes nine tenths."""
    load, prepared, network = DATA[name]
    X, labels = load(return_X_y=True)
    X, labels = prepared(X), (scale(labels) if name == "diabetes" else labels)
    found = cr.find_learning_rate(network, X, labels, optimizer=optimizer)
    rates = [float(r) for r in np.geomspace(1e-4, 1, 9)]
    settings = {"optimizer": optimizer, "epochs": 10, "monitor": "loss", "validation_split": 0.0}
    grid = cr.sweep(network, X, labels, {"learning_rate": rates}, **settings)
    ours = cr.sweep(network, X, labels, {"learning_rate": [found.learning_rate]}, **settings)
    start = found.losses[:, 0].mean()
    best, reached = grid.candidates[0].mean, ours.candidates[0].mean
    assert start - reached > 0.9 * (start - best)


def test_where_the_loss_is_flat_behind_its_fall_the_end_of_the_range_does_not_matter():
    """Wine is learned at small rates, and with tanh and softmax nothing diverges before ten."""
    X, labels = load_wine(return_X_y=True)
    network = cr.Sequential(cr.Dense(16, "tanh"), cr.Dense(3, "softmax"))
    found = [float(cr.find_learning_rate(network, scale(X), labels, high=high)) for high in (1, 10, 100)]
    assert max(found) < 2 * min(found)
    scores = cr.sweep(network, scale(X), labels, {"learning_rate": [found[1], 1.0]}, seeds=3, folds=5, epochs=50)
    assert scores.best == f"learning rate {found[1]:.4g}"


def test_it_prints_and_draws_what_it_found():
    found = cr.find_learning_rate(cr.Sequential(cr.Dense(1)), A, Y, optimizer=cr.Momentum(momentum=0.5), seeds=2)
    assert float(found) == found.learning_rate
    assert f"learning rate {found.learning_rate:.2g} for Momentum" in str(found)
    assert len(found.losses) == 2
    assert found.losses.shape[1] == len(found.rates)
    axes = found.figure().axes[0]
    upright = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert upright == [found.learning_rate, found.lowest, found.diverges]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"low": 0.1, "high": 0.01}, "a larger one"),
        ({"steps": 3}, "20 or more"),
        ({"low": 1e-12, "high": 1e-10}, "falls at no rate"),
        ({"optimizer": "adan"}, "did you mean 'adam'"),
        ({"low": "small"}, "given: +'small' to 10.0"),
        ({"sedes": 5}, "given: +sedes.*did you mean 'seeds'"),
    ],
)
def test_what_is_wrong_is_said(settings, says):
    with pytest.raises(ConfigurationError, match=f"(?s){says}"):
        cr.find_learning_rate(cr.Sequential(cr.Dense(1)), A, Y, **settings)


def test_a_loss_that_overflows_before_the_first_step_is_said():
    with pytest.raises(ConfigurationError, match=r"(?s)not finite before the first step.*Standardise"):
        cr.find_learning_rate(cr.Sequential(cr.Dense(1)), A * 1e30, Y)
