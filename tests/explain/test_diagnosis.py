"""Every rule finds its planted fault, and none speaks on healthy runs."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

import chainrule as cr
from chainrule import data
from chainrule.explain.diagnosis import RULES


def digits(scale=1 / 16):
    images, labels = load_digits(return_X_y=True)
    return images * scale, labels


def iris():
    flowers, kinds = load_iris(return_X_y=True)
    return (flowers - flowers.mean(axis=0)) / flowers.std(axis=0), kinds


def curve():
    x = np.linspace(-2, 2, 200)[:, None]
    return x, np.exp(x)


def fit(network, X, Y, **options):
    options = {"watch": True, "epochs": 20} | options
    if "validation_data" not in options:
        options.setdefault("validation_split", 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cr.TrainingWarning)
        return cr.fit(network, X, Y, **options)


def dense(*units, activation="relu", last=None, **options):
    *hidden, out = units
    return cr.Sequential(*(cr.Dense(n, activation, **options) for n in hidden), cr.Dense(out, last))


def classifier(*units, **options):
    return dense(*units, last="softmax", **options)


# --- healthy runs ---------------------------------------------------------------------------------------


def houses():
    table = data.ames()
    ready = data.prepare(table, "Sale_Price", seed=0)
    return fit(
        dense(64, 32, 1),
        ready.X_train,
        ready.y_train,
        validation_data=(ready.X_validation, ready.y_validation),
        early_stopping=15,
        epochs=100,
        every=10,
    )


def cancer():
    X, Y = load_breast_cancer(return_X_y=True)
    network = cr.Sequential(cr.Dense(16, "relu"), cr.Dense(1, "sigmoid"))
    return fit(network, (X - X.mean(axis=0)) / X.std(axis=0), Y, early_stopping=10, epochs=60)


HEALTHY = {
    "digits": lambda: fit(classifier(64, 32, 10), *digits()),
    "digits, five layers of tanh": lambda: fit(classifier(32, 32, 32, 32, 10, activation="tanh"), *digits()),
    "digits, sigmoid units": lambda: fit(classifier(32, 10, activation="sigmoid"), *digits(), learning_rate=0.01),
    "digits, momentum": lambda: fit(classifier(64, 10), *digits(), optimizer=cr.Momentum(0.05)),
    "iris": lambda: fit(classifier(10, 3), *iris(), epochs=100, learning_rate=0.01),
    "iris, as it was measured": lambda: fit(
        classifier(10, 3, activation="tanh"), *load_iris(return_X_y=True), epochs=100, learning_rate=0.01
    ),
    "tumours": cancer,
    "house prices": houses,
    "the curve of exp": lambda: fit(dense(10, 5, 1), *curve(), epochs=200, optimizer=cr.RMSprop(0.001)),
    "the curve of exp, tanh": lambda: fit(
        dense(10, 1, activation="tanh"), *curve(), epochs=200, optimizer=cr.RMSprop(0.01)
    ),
    "the curve of exp, whole batch": lambda: fit(
        dense(10, 1, activation="softplus"), *curve(), epochs=300, batch_size=None, learning_rate=0.03
    ),
    "a plane": lambda: fit(cr.Sequential(cr.Dense(1)), *straight(), epochs=60, learning_rate=0.03),
}


def straight():
    X = np.random.default_rng(1).normal(size=(300, 4))
    return X, X @ [1.0, -2.0, 0.5, 1.5] + 0.3 * np.random.default_rng(2).normal(size=300)


@pytest.mark.parametrize("train", HEALTHY.values(), ids=HEALTHY)
def test_no_rule_speaks_on_a_healthy_run(train):
    diagnosis = train().why()
    assert not diagnosis, str(diagnosis)
    assert str(diagnosis).startswith("nothing suspicious was found")


# --- planted faults -------------------------------------------------------------------------------------


def with_column(X, column):
    return np.concatenate([X, np.reshape(column, (-1, 1))], axis=1)


def shuffled():
    X, Y = digits()
    return X, np.random.default_rng(3).permutation(Y)


def rare():
    X, Y = digits()
    rows = (Y != 3) | (np.cumsum(Y == 3) <= 5)
    return X[rows], Y[rows]


def copied():
    X, Y = straight()
    return with_column(X, X[:, 1]), Y


def leaked():
    X, Y = iris()
    noise = np.random.default_rng(4).normal(size=len(Y))
    X = np.random.default_rng(5).normal(size=X.shape) + 0.3 * X
    return with_column(X, Y * 2.0 + 0.01 * noise), Y


deep = [24] * 10
FAULTS = {
    "first bad number": lambda: fit(dense(8, 1), *straight(), optimizer=cr.GradientDescent(1e3)),
    "inputs not scaled": lambda: fit(dense(8, 1), straight()[0] * [1, 1, 1e3, 1], straight()[1]),
    "constant inputs": lambda: fit(dense(8, 1), with_column(straight()[0], np.ones(300)), straight()[1]),
    "duplicate inputs": lambda: fit(dense(8, 1), *copied()),
    "target leakage": lambda: fit(classifier(8, 3), *leaked()),
    "class imbalance": lambda: fit(classifier(16, 10), *rare()),
    "final activation": lambda: fit(dense(8, 1, last="relu"), *straight()),
    "equal units": lambda: fit(
        cr.Sequential(
            cr.Dense(16, "tanh", kernel_initializer=0.1), cr.Dense(10, "softmax", kernel_initializer="zeros")
        ),
        *digits(),
    ),
    "dead units": lambda: fit(classifier(16, 10, bias_initializer=-20.0), *digits()),
    "saturated units": lambda: fit(
        classifier(16, 10, activation="tanh", kernel_initializer=cr.nn.initializers.Normal(20.0)), *digits()
    ),
    "vanishing gradients": lambda: fit(classifier(*deep, 10, activation="sigmoid"), *digits()),
    "exploding gradients": lambda: fit(
        classifier(*deep, 10, kernel_initializer=cr.nn.initializers.Normal(1.2)), *digits(), epochs=10
    ),
    "poor initialisation": lambda: fit(
        classifier(24, 24, 24, 10, kernel_initializer=cr.nn.initializers.Normal(0.01)), *digits()
    ),
    "learning rate too large": lambda: fit(classifier(32, 10), *digits(), optimizer=cr.Adam(0.5)),
    "learning rate too small": lambda: fit(classifier(32, 10), *digits(), optimizer=cr.Adam(1e-7)),
    "loss not falling": lambda: fit(classifier(32, 10), *digits(), optimizer=cr.GradientDescent(1e-7)),
    "loss oscillating": lambda: fit(
        dense(1), *straight(), optimizer=cr.Momentum(0.2, 0.995), batch_size=None, epochs=60
    ),
    "over-fitting": lambda: fit(dense(128, 64, 1), straight()[0][:60], straight()[1][:60] + noise(60), epochs=300),
    "labels shuffled": lambda: fit(classifier(64, 10), *shuffled(), epochs=60),
}


def noise(rows):
    return 2 * np.random.default_rng(6).normal(size=rows)


def test_numbers_that_are_not_scaled_begin_with_a_loss_far_above_ln_k():
    (found,) = fit(classifier(64, 10), *digits(1.0)).why()
    assert found.where == "J before the first step"
    assert "ln K = 2.303 for K = 10" in found.threshold


def test_every_rule_has_a_planted_fault():
    assert set(FAULTS) == set(RULES)


@pytest.mark.parametrize(("rule", "train"), FAULTS.items(), ids=FAULTS)
def test_a_planted_fault_is_found(rule, train):
    diagnosis = train().why()
    (found, *_) = [f for f in diagnosis if f.rule == rule] or [None]
    assert found is not None, str(diagnosis)
    assert found.where
    assert found.found
    assert found.threshold
    assert found.advice
    assert str(found) in str(diagnosis)
