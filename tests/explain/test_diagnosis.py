"""Every rule finds its planted fault, and none speaks on healthy runs."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

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


def prices(seed=0):
    return data.prepare(data.ames(), "Sale_Price", seed=seed)


def houses(units=(64, 32), optimizer="adam", seed=0, **options):
    ready = prices()
    return fit(
        dense(*units, 1, **options),
        ready.X_train,
        ready.y_train,
        validation_data=(ready.X_validation, ready.y_validation),
        optimizer=optimizer,
        early_stopping=15,
        epochs=100,
        every=10,
        seed=seed,
    )


def wine(scaled=True):
    X, Y = load_wine(return_X_y=True)
    return ((X - X.mean(axis=0)) / X.std(axis=0) if scaled else X), Y


def tumours():
    X, Y = load_breast_cancer(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), Y


def patients():
    """Progression of diabetes: half of it is noise."""
    X, Y = load_diabetes(return_X_y=True)
    return X / X.std(axis=0), (Y - Y.mean()) / Y.std()


def logistic(*units, activation="relu", **options):
    return dense(*units, 1, activation=activation, last="sigmoid", **options)


HEALTHY = {
    "digits": lambda: fit(classifier(64, 32, 10), *digits()),
    "digits, five layers of tanh": lambda: fit(classifier(32, 32, 32, 32, 10, activation="tanh"), *digits()),
    "digits, sigmoid units": lambda: fit(classifier(32, 10, activation="sigmoid"), *digits(), learning_rate=0.01),
    "digits, momentum": lambda: fit(classifier(64, 10), *digits(), optimizer=cr.Momentum(0.05), seed=3),
    "digits, mean 0 and spread 1": lambda: fit(classifier(32, 16, 10, activation="gelu"), *standard(digits()), seed=7),
    "iris": lambda: fit(classifier(10, 3), *iris(), epochs=100, learning_rate=0.01),
    "iris, as it was measured": lambda: fit(
        classifier(10, 3, activation="tanh"), *load_iris(return_X_y=True), epochs=100, learning_rate=0.01
    ),
    "iris, momentum": lambda: fit(
        classifier(16, 16, 3, activation="elu"),
        *load_iris(return_X_y=True),
        optimizer=cr.Momentum(0.02),
        epochs=60,
        early_stopping=15,
        seed=898,
    ),
    "iris, softmax alone": lambda: fit(classifier(3), *iris(), epochs=100, learning_rate=0.05, seed=2),
    "wine": lambda: fit(classifier(16, 3, activation="leaky_relu"), *wine(), early_stopping=15, epochs=60, seed=5),
    "tumours": lambda: fit(logistic(16), *tumours(), early_stopping=10, epochs=60),
    "tumours, deep": lambda: fit(
        logistic(24, 24, 24, 24, activation="tanh"), *tumours(), early_stopping=10, epochs=60, seed=6
    ),
    "diabetes": lambda: fit(dense(16, 1, activation="tanh"), *patients(), early_stopping=10, epochs=60, seed=1),
    "house prices": houses,
    "house prices, larger steps": lambda: houses((64, 32), cr.Adam(0.01), seed=481),
    "house prices, tanh": lambda: houses((16,), cr.RMSprop(0.001), activation="tanh", seed=9),
    "the curve of exp": lambda: fit(dense(10, 5, 1), *curve(), epochs=200, optimizer=cr.RMSprop(0.001)),
    "the curve of exp, tanh": lambda: fit(
        dense(10, 1, activation="tanh"), *curve(), epochs=200, optimizer=cr.RMSprop(0.01)
    ),
    "the curve of exp, gradient descent": lambda: fit(
        dense(16, 16, 1, activation="elu"), *curve(), epochs=60, optimizer=cr.GradientDescent(0.05), seed=845
    ),
    "the curve of exp, whole batch": lambda: fit(
        dense(10, 1, activation="softplus"), *curve(), epochs=300, batch_size=None, learning_rate=0.03
    ),
    "a plane": lambda: fit(cr.Sequential(cr.Dense(1)), *straight(), epochs=60, learning_rate=0.03),
}


def standard(examples):
    X, Y = examples
    return (X - X.mean()) / X.std(), Y


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


def table_of_prices():
    ready = prices()
    return ready.X_train, ready.y_train


def one_hot(examples):
    X, Y = examples
    return X, np.eye(Y.max() + 1)[Y]


def permuted(examples):
    X, Y = examples
    return X, np.random.default_rng(3).permutation(Y)


def without(examples, label, left):
    """The examples, with only a few of one class left."""
    X, Y = examples
    rows = (label != Y) | (np.cumsum(label == Y) <= left)
    return X[rows], Y[rows]


def beside(examples, column):
    """The examples, with one more column, of X and Y."""
    X, Y = examples
    return with_column(X, column(X, np.ravel(Y))), Y


def drawn(spread):
    return cr.nn.initializers.Normal(spread)


deep = [24] * 10
never = {"bias_initializer": -20.0}
flat = {"kernel_initializer": "zeros"}
FAULTS = {
    "first bad number": [
        lambda: fit(dense(8, 1), *straight(), optimizer=cr.GradientDescent(1e3)),
        lambda: fit(dense(32, 16, 1), *table_of_prices(), optimizer=cr.GradientDescent(10.0), epochs=5),
    ],
    "inputs not scaled": [
        lambda: fit(dense(8, 1), straight()[0] * [1, 1, 1e3, 1], straight()[1]),
        lambda: fit(classifier(16, 3), *wine(scaled=False)),
        lambda: fit(dense(8, 1), straight()[0] * 1e-4, straight()[1]),
        lambda: fit(classifier(16, 3), iris()[0] * [1, 1e-3, 1e-3, 1], iris()[1]),
    ],
    "labels not scaled": [
        lambda: fit(dense(8, 1), straight()[0], 180_000 + 8e4 * straight()[1]),
        lambda: fit(dense(8, 1), curve()[0], curve()[1] * 1e-4),
    ],
    "constant inputs": [
        lambda: fit(dense(8, 1), with_column(straight()[0], np.ones(300)), straight()[1]),
        lambda: fit(classifier(8, 3), *beside(iris(), lambda X, Y: np.zeros(len(X)))),
    ],
    "duplicate inputs": [
        lambda: fit(dense(8, 1), *copied()),
        lambda: fit(classifier(8, 3), *beside(wine(), lambda X, Y: 1 - 2 * X[:, 3])),
    ],
    "target leakage": [
        lambda: fit(classifier(8, 3), *leaked()),
        lambda: fit(dense(8, 1), *beside(table_of_prices(), lambda X, Y: 3 * Y + 0.02 * noise(len(Y)) / 2), epochs=5),
        lambda: fit(dense(16, 1), *beside(patients(), lambda X, Y: np.exp(2 * Y)), epochs=5),
    ],
    "class imbalance": [
        lambda: fit(classifier(16, 10), *rare()),
        lambda: fit(logistic(16), *without(tumours(), 0, 15)),
    ],
    "final activation": [
        lambda: fit(dense(8, 1, last="sigmoid"), *curve(), loss="squared_error"),
        lambda: fit(dense(8, 1, last="tanh"), *table_of_prices(), epochs=5),
        lambda: fit(dense(8, 3), *one_hot(iris()), loss="squared_error"),
        lambda: fit(dense(8, 10, last="relu"), *one_hot(digits()), loss="squared_error", epochs=5),
        lambda: fit(dense(8, 1), *tumours(), loss="squared_error", epochs=5),
        lambda: fit(dense(8, 1, last="softmax"), *tumours(), loss="squared_error", epochs=5),
    ],
    "equal units": [
        lambda: fit(
            cr.Sequential(cr.Dense(16, "tanh", kernel_initializer=0.1), cr.Dense(10, "softmax", **flat)), *digits()
        ),
        lambda: fit(dense(8, 1, **flat), *curve()),
    ],
    "dead units": [
        lambda: fit(classifier(16, 10, **never), *digits()),
        lambda: fit(dense(32, 16, 1), *table_of_prices(), optimizer=cr.Adam(0.3), epochs=10),
        lambda: fit(dense(32, 1, **never), *curve()),
    ],
    "saturated units": [
        lambda: fit(classifier(16, 10, activation="tanh", kernel_initializer=drawn(20.0)), *digits()),
        lambda: fit(classifier(10, 10, 3, activation="sigmoid", kernel_initializer=drawn(30.0)), *iris()),
    ],
    "vanishing gradients": [
        lambda: fit(classifier(*deep, 10, activation="sigmoid"), *digits()),
        lambda: fit(classifier(*[16] * 8, 3, activation="sigmoid"), *iris()),
        lambda: fit(
            logistic(*[16] * 8, activation="tanh", kernel_initializer=drawn(0.05)),
            *tumours(),
            optimizer=cr.GradientDescent(0.01),
        ),
    ],
    "exploding gradients": [
        lambda: fit(classifier(*deep, 10, kernel_initializer=drawn(1.2)), *digits(), epochs=10),
        lambda: fit(classifier(*[32] * 8, 3, kernel_initializer=drawn(1.0)), *iris(), epochs=10),
        lambda: fit(
            dense(*[32] * 8, 1, kernel_initializer=drawn(0.9)), *patients(), optimizer=cr.Adam(1e-4), epochs=10
        ),
    ],
    "poor initialisation": [
        lambda: fit(classifier(24, 24, 24, 10, kernel_initializer=drawn(0.01)), *digits()),
        lambda: fit(classifier(16, 3, kernel_initializer=drawn(10.0)), *iris()),
        lambda: fit(logistic(16, 16, 16, activation="tanh", kernel_initializer=drawn(0.005)), *tumours()),
        lambda: fit(dense(32, 32, 32, 1, kernel_initializer=drawn(1.0)), *table_of_prices(), epochs=5),
    ],
    "update-to-weight ratio": [
        lambda: fit(dense(8, 1), *straight(), optimizer=cr.GradientDescent({"W1": 1e-7, "default": 0.02})),
        lambda: fit(classifier(16, 10, activation="tanh"), *digits(), optimizer=cr.GradientDescent(1e-7)),
        lambda: fit(dense(8, 1), *straight(), optimizer=cr.GradientDescent(1e3)),
    ],
    "learning rate too large": [
        lambda: fit(classifier(32, 10), *digits(), optimizer=cr.Adam(0.5)),
        lambda: fit(classifier(16, 3, activation="tanh"), *iris(), optimizer=cr.Adam(1.0)),
        lambda: fit(dense(32, 16, 1), *table_of_prices(), optimizer=cr.Adam(0.3), epochs=10),
    ],
    "learning rate too small": [
        lambda: fit(classifier(32, 10), *digits(), optimizer=cr.Adam(1e-5)),
        lambda: fit(classifier(16, 3), *iris(), optimizer=cr.GradientDescent(1e-5)),
        lambda: fit(dense(10, 1, activation="tanh"), *curve(), optimizer=cr.Adam(1e-5)),
        lambda: fit(dense(32, 1), *table_of_prices(), optimizer=cr.GradientDescent(1e-6), epochs=10),
    ],
    "loss not falling": [
        lambda: fit(classifier(32, 10), *digits(), optimizer=cr.GradientDescent(1e-7)),
        lambda: fit(logistic(16, **never), *tumours()),
        lambda: fit(classifier(*[16] * 8, 3, activation="sigmoid"), *iris()),
    ],
    "loss oscillating": [
        lambda: fit(dense(1), *straight(), optimizer=cr.Momentum(0.2, 0.995), batch_size=None, epochs=60),
        lambda: fit(classifier(16, 3, activation="tanh"), *iris(), optimizer=cr.Adam(1.0), epochs=30),
        lambda: fit(dense(16, 1, activation="tanh"), *table_of_prices(), optimizer=cr.Momentum(0.05, 0.98), epochs=40),
    ],
    "over-fitting": [
        lambda: fit(dense(128, 64, 1), straight()[0][:60], straight()[1][:60] + noise(60), epochs=300),
        lambda: fit(dense(256, 128, 1), *patients(), epochs=150),
        lambda: fit(classifier(128, 64, 3), iris()[0][::2] + noise((75, 4)) / 2, iris()[1][::2], epochs=300),
    ],
    "labels shuffled": [
        lambda: fit(classifier(64, 10), *permuted(digits()), epochs=60),
        lambda: fit(logistic(32), *permuted(tumours()), epochs=100),
        lambda: fit(dense(64, 32, 1), *permuted(table_of_prices()), epochs=30),
    ],
}


def noise(rows):
    return 2 * np.random.default_rng(6).normal(size=rows)


def test_numbers_that_are_not_scaled_begin_with_a_loss_far_above_ln_k():
    (found,) = fit(classifier(64, 10), *digits(1.0)).why()
    assert found.where == "J before the first step"
    assert "ln K = 2.303 for K = 10" in found.threshold


def test_every_rule_has_planted_faults():
    assert set(FAULTS) == set(RULES)
    assert min(map(len, FAULTS.values())) > 1


PLANTED = [
    pytest.param(rule, train, id=f"{rule} {k}") for rule, those in FAULTS.items() for k, train in enumerate(those)
]


@pytest.mark.parametrize(("rule", "train"), PLANTED)
def test_a_planted_fault_is_found(rule, train):
    diagnosis = train().why()
    (found, *_) = [f for f in diagnosis if f.rule == rule] or [None]
    assert found is not None, str(diagnosis)
    assert found.where
    assert found.found
    assert found.threshold
    assert found.advice
    assert str(found) in str(diagnosis)


# --- what the report says -------------------------------------------------------------------------------------


def test_a_rule_that_cannot_run_says_what_it_would_need():
    run = cr.fit(dense(4, 1), *straight(), epochs=3)
    report = str(run.why())
    assert report.startswith("nothing suspicious was found, but only 2 of 21 rules could look")
    how = "train with watch=True, or ask at a step: run.at(step=0).why()"
    assert f"  nothing was watched: {how}\n    inputs not scaled, labels not scaled" in report
    at_a_step = run.at(step=0).why()
    assert len(at_a_step.silent) > 10
    assert at_a_step.could_not_run["learning rate too small"] == "it takes 1 epoch, this run has 0"
    assert "  it takes 5 epochs, this run has 3\n    loss not falling" in report
    assert "  there was no validation: give validation_split=0.2\n    over-fitting" in report
    watched = fit(dense(4, 1), *straight()).why()
    assert set(watched.could_not_run) == {"vanishing gradients", "exploding gradients"}
    assert set(watched.could_not_run.values()) == {"it takes three layers with weights"}


def test_a_finding_names_the_update_that_is_responsible():
    findings = {f.rule: f for f in fit(classifier(8, 3), *iris(), optimizer=cr.GradientDescent(1e-5)).why()}
    assert findings["learning rate too small"].because == "W1 ← W1 − α · dW1"
    assert "[cs231n]" in findings["learning rate too small"].threshold


def test_units_that_stand_still_are_not_laid_to_the_learning_rate():
    rules = {f.rule for f in fit(classifier(16, 10, **never), *digits()).why()}
    assert "dead units" in rules
    assert not rules & {"learning rate too small", "update-to-weight ratio", "vanishing gradients"}


def test_a_unit_that_seldom_speaks_is_not_dead():
    """In a batch of 4 most of these units are 0, but each is the only one that sees some of the examples."""
    X = np.eye(40)[np.arange(400) % 40]
    network = dense(40, 1, kernel_initializer=lambda shape, rng: np.eye(40), bias_initializer=-0.5)
    run = fit(network, X, np.arange(400) % 40 / 40, batch_size=4, epochs=6, optimizer=cr.GradientDescent(1e-3))
    assert np.median(run.watched["A1", "dead"]) > 0.8
    assert run.watched.facts["idle"]["A1"] < 0.1
    assert "dead units" not in {f.rule for f in run.why()}


def test_a_cost_of_one_s_own_has_no_labels_to_ask():
    x, w = cr.input("x", ("m", 2)), cr.parameter("w", (2,), initializer=1.0)
    run = cr.fit(cr.Model(x, x @ w), straight()[0][:, :2], loss=cr.mean((x @ w - 3) ** 2), epochs=12, watch=True)
    assert run.why().could_not_run["target leakage"] == "there are no labels, but a cost of one's own"


def test_rules_do_not_look_at_what_is_not_finite():
    def broken(z):
        return cr.log(z)

    run = fit(cr.Sequential(cr.Dense(4, "relu"), cr.Dense(4, broken), cr.Dense(1)), *curve())
    assert run.history.diverged == 1
    assert np.isnan(run.watched["J", "mean"]).all()
    found = run.why()
    assert [f.rule for f in found] == ["first bad number"]
    start = "no epoch ended with finite numbers: the parameters are those of the start"
    assert {r for r, why in found.could_not_run.items() if why == start} == {
        *("equal units", "dead units", "saturated units", "learning rate too small")
    }
    assert found.could_not_run["update-to-weight ratio"].startswith("the numbers of every step that was watched")
    assert found.could_not_run["loss not falling"] == "it takes 5 epochs of a finite loss, this run has 0"
    assert set(found.silent) <= set(RULES) - set(found.could_not_run)
    step = run.at().why()
    assert [(f.rule, f.where) for f in step] == [("first bad number", "step 0")]


def test_steps_before_the_first_bad_number_are_looked_at():
    run = fit(dense(8, 1), *straight(), optimizer=cr.GradientDescent(20.0), batch_size=10)
    bad = (run.first_bad.epoch - 1) * run.watched.steps_per_epoch + run.first_bad.batch - 1
    assert run.watched.steps[0] < bad <= run.watched.steps[-1]
    findings = {f.rule: f for f in run.why()}
    kept = np.isfinite([run.watched["J", "mean"], run.watched["ΔW1", "rms"], run.watched["ΔW2", "rms"]]).all(axis=0)
    assert 0 < kept.sum() < len(kept)
    ratios = {n: np.median(run.watched[f"Δ{n}", "rms"][kept] / run.watched[n, "rms"][kept]) for n in ("W1", "W2")}
    assert f"by {max(ratios.values()):,.0f} times its size" in findings["learning rate too large"].found
    assert "poor initialisation" not in {f.rule for f in run.at().why()}  # J = inf is not that before the first step
