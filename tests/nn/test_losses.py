"""Every loss against its formula in NumPy and SciPy, against scikit-learn, and where logits are as large as ±10⁴."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigurationError, DTypeError, ShapeError
from chainrule.graph.dim import show

RNG = np.random.default_rng(0)
KIND = {"f": "float", "i": "int", "b": "bool"}


def leaves(y_hat, y):
    """Inputs for a prediction and a label, with any number of examples."""
    return (
        cr.input("ŷ", ("m", *y_hat.shape[1:])),
        cr.input("y", ("m", *y.shape[1:]), dtype=KIND[y.dtype.kind]),
    )


def formulas(loss, y_hat, y):
    """The loss of every example, its gradient by the prediction, and the numbers to feed."""
    p, label = leaves(y_hat, y)
    losses = loss(p, label)
    return [losses, cr.gradient(cr.sum(losses), p)], {p: y_hat, label: y}


def differences(f, at, h=1e-6):
    """Central differences of the sum of a NumPy function of one array."""
    out = np.empty(at.shape)
    for index in np.ndindex(*at.shape):
        step = np.zeros(at.shape)
        step[index] = h
        out[index] = (np.sum(f(at + step)) - np.sum(f(at - step))) / (2 * h)
    return out


# --- values and gradients -----------------------------------------------------------------------------

NUMBERS, TARGETS = RNG.normal(size=(6, 2)) * 2, RNG.normal(size=(6, 2))
SIGNS = RNG.choice([-1.0, 1.0], size=(6, 2))
PROBABILITIES, COINS = RNG.uniform(0.05, 0.95, size=(6, 2)), RNG.integers(0, 2, size=(6, 2))
RATES, COUNTS = RNG.uniform(0.2, 5, size=7), np.array([0, 1, 2, 3, 5, 0, 8])
LOGITS = RNG.normal(size=(5, 3)) * 2
SHARES, SOFT = RNG.dirichlet(np.ones(3), 5), RNG.dirichlet(np.ones(3), 5)
CLASSES = np.array([2, 0, 1, 1, 0])
ONE_HOT = np.eye(3)[CLASSES]
HALF_EMPTY = np.array([[0.5, 0.5, 0], [0, 1, 0], [0.2, 0, 0.8], [1, 0, 0], [0.1, 0.2, 0.7]])


class Case(NamedTuple):
    """A loss with numbers for it, and the same formula and its derivative in NumPy."""

    loss: object
    y_hat: np.ndarray
    y: np.ndarray
    value: object
    slope: object


def coin(p, y):
    return -stats.bernoulli.logpmf(y, p)


def soft_coin(p, y):
    return -special.xlogy(y, p) - special.xlog1py(1 - y, -p)


def pinball(q):
    return (
        lambda p, y: np.maximum(q * (y - p), (q - 1) * (y - p)),
        lambda p, y: np.where(y > p, -q, 1 - q),
    )


def rows(f):
    """A formula for one-hot labels, of class numbers."""
    return lambda p, y: f(p, np.eye(3)[y])


def cross_entropy(p, y):
    return -special.xlogy(y, p).sum(axis=-1)


def cross_entropy_of_logits(z, y):
    return -(y * special.log_softmax(z, axis=-1)).sum(axis=-1)


def from_logits(loss):
    return partial(loss, from_logits=True)


BCE, CCE = nn.binary_cross_entropy, nn.categorical_cross_entropy
OVER_SHARE = (cross_entropy, lambda p, y: -y / p)
OVER_LOGITS = (cross_entropy_of_logits, lambda z, y: special.softmax(z, axis=-1) - y)
ON_COINS = (soft_coin, lambda p, y: (p - y) / (p * (1 - p)))
CASES = {
    "squared_error": Case(
        nn.squared_error, NUMBERS, TARGETS, lambda p, y: np.square(p - y), lambda p, y: 2 * p - 2 * y
    ),
    "sum_of_squared_residuals": Case(
        nn.sum_of_squared_residuals,
        NUMBERS,
        TARGETS,
        lambda p, y: np.linalg.norm(p - y) ** 2,
        lambda p, y: 2 * p - 2 * y,
    ),
    "absolute_error": Case(
        nn.absolute_error, NUMBERS, TARGETS, lambda p, y: np.abs(p - y), lambda p, y: np.sign(p - y)
    ),
    "huber": Case(nn.huber, NUMBERS, TARGETS, lambda p, y: special.huber(1, p - y), lambda p, y: np.clip(p - y, -1, 1)),
    "huber, δ = ½": Case(
        partial(nn.huber, delta=0.5),
        NUMBERS,
        TARGETS,
        lambda p, y: special.huber(0.5, p - y),
        lambda p, y: np.clip(p - y, -0.5, 0.5),
    ),
    "log_cosh": Case(nn.log_cosh, NUMBERS, TARGETS, lambda p, y: np.log(np.cosh(p - y)), lambda p, y: np.tanh(p - y)),
    "quantile": Case(nn.quantile, NUMBERS, TARGETS, *pinball(0.5)),
    "quantile, q = 0.9": Case(partial(nn.quantile, q=0.9), NUMBERS, TARGETS, *pinball(0.9)),
    "hinge": Case(
        nn.hinge, NUMBERS, SIGNS, lambda p, y: np.maximum(0, 1 - y * p), lambda p, y: np.where(y * p < 1, -y, 0)
    ),
    "poisson": Case(
        nn.poisson,
        RATES,
        COUNTS,
        lambda p, y: -stats.poisson.logpmf(y, p) - special.gammaln(y + 1),
        lambda p, y: 1 - y / p,
    ),
    "poisson of logits": Case(
        from_logits(nn.poisson),
        np.log(RATES),
        COUNTS,
        lambda z, y: -stats.poisson.logpmf(y, np.exp(z)) - special.gammaln(y + 1),
        lambda z, y: np.exp(z) - y,
    ),
    "binary_cross_entropy": Case(BCE, PROBABILITIES, COINS, coin, lambda p, y: (p - y) / (p * (1 - p))),
    "binary_cross_entropy, truth values": Case(BCE, PROBABILITIES, COINS == 1, *ON_COINS),
    "binary_cross_entropy, probabilities": Case(BCE, PROBABILITIES, RNG.uniform(size=(6, 2)), *ON_COINS),
    "binary_cross_entropy of logits": Case(
        from_logits(BCE),
        NUMBERS,
        COINS,
        lambda z, y: coin(special.expit(z), y),
        lambda z, y: special.expit(z) - y,
    ),
    "binary_cross_entropy of logits, probabilities": Case(
        from_logits(BCE),
        NUMBERS,
        PROBABILITIES,
        lambda z, y: soft_coin(special.expit(z), y),
        lambda z, y: special.expit(z) - y,
    ),
    "categorical_cross_entropy": Case(CCE, SHARES, CLASSES, *map(rows, OVER_SHARE)),
    "categorical_cross_entropy, one-hot": Case(CCE, SHARES, ONE_HOT, *OVER_SHARE),
    "categorical_cross_entropy, whole one-hot": Case(CCE, SHARES, ONE_HOT.astype(int), *OVER_SHARE),
    "categorical_cross_entropy, probabilities": Case(CCE, SHARES, SOFT, *OVER_SHARE),
    "categorical_cross_entropy of logits": Case(from_logits(CCE), LOGITS, CLASSES, *map(rows, OVER_LOGITS)),
    "categorical_cross_entropy of logits, one-hot": Case(from_logits(CCE), LOGITS, ONE_HOT, *OVER_LOGITS),
    "categorical_cross_entropy of logits, probabilities": Case(from_logits(CCE), LOGITS, SOFT, *OVER_LOGITS),
    "kl_divergence": Case(
        nn.kl_divergence, SHARES, SOFT, lambda p, y: special.rel_entr(y, p).sum(axis=-1), lambda p, y: -y / p
    ),
    "kl_divergence, zeros among the labels": Case(
        nn.kl_divergence, SHARES, HALF_EMPTY, lambda p, y: special.rel_entr(y, p).sum(axis=-1), lambda p, y: -y / p
    ),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def test_every_loss_by_name_has_a_case():
    assert set(nn.LOSSES) <= set(CASES)
    assert all(nn.LOSSES[name].function is CASES[name].loss for name in nn.LOSSES)


@EVERY
def test_the_loss_of_every_example_is_the_formula(case):
    outputs, feeds = formulas(case.loss, case.y_hat, case.y)
    np.testing.assert_allclose(cr.evaluate(outputs[0], feeds), case.value(case.y_hat, case.y), rtol=1e-11, atol=1e-14)


@EVERY
def test_the_gradient_is_the_closed_form_and_the_difference_quotient(case):
    outputs, feeds = formulas(case.loss, case.y_hat, case.y)
    found = cr.evaluate(outputs[1], feeds)
    np.testing.assert_allclose(found, case.slope(case.y_hat, case.y), rtol=1e-11, atol=1e-14)
    quotient = differences(lambda p: case.value(p, case.y), case.y_hat)
    np.testing.assert_allclose(found, quotient, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "sklearn"),
    [
        ("squared_error", metrics.mean_squared_error),
        ("absolute_error", metrics.mean_absolute_error),
        ("quantile", lambda y, p: metrics.mean_pinball_loss(y, p, alpha=0.5)),
        ("quantile, q = 0.9", lambda y, p: metrics.mean_pinball_loss(y, p, alpha=0.9)),
        ("hinge", lambda y, p: metrics.hinge_loss(y.ravel(), p.ravel())),
        ("binary_cross_entropy", lambda y, p: metrics.log_loss(y.ravel(), p.ravel())),
        ("categorical_cross_entropy", metrics.log_loss),
    ],
)
def test_the_mean_is_what_scikit_learn_calls_by_that_name(name, sklearn):
    case = CASES[name]
    p, y = leaves(case.y_hat, case.y)
    mean = cr.evaluate(cr.mean(case.loss(p, y)), {p: case.y_hat, y: case.y})
    np.testing.assert_allclose(mean, sklearn(case.y, case.y_hat), rtol=1e-12)


# --- extremes -----------------------------------------------------------------------------------------

BIG = 1e4
FAR = np.array([BIG, -BIG, BIG, -BIG, 0.0])
FAR_SIGNS, FAR_COINS = np.array([1.0, 1, -1, -1, 1]), np.array([1.0, 1, 0, 0, 0.5])
FAR_LOGITS = np.array([[BIG, -BIG, 0], [BIG, -BIG, 0], [0, 0, -BIG], [BIG, BIG, -BIG]])
FAR_ROWS = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0.5, 0.5], [0.5, 0.5, 0]])
FAR_COUNTS = (np.array([-BIG, -BIG, 0, 80]), np.array([0.0, 3, 1, 2]))


def after(activation, loss):
    return lambda z, y: loss(activation(z), y)


def far(name):
    """A loss of numbers, at numbers of ±10⁴."""
    return CASES[name]._replace(y_hat=FAR, y=FAR_SIGNS)


def coin_of_logit(z, y):
    return y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)


COIN_OF_LOGIT = (coin_of_logit, lambda z, y: special.expit(z) - y)
COUNT_OF_LOGIT = (lambda z, y: np.exp(z) - y * z, lambda z, y: np.exp(z) - y)
EXTREMES = {
    **{name: far(name) for name in ("squared_error", "sum_of_squared_residuals", "absolute_error", "huber", "hinge")},
    "quantile": far("quantile"),
    "log_cosh": far("log_cosh")._replace(value=lambda p, y: np.logaddexp(p - y, y - p) - np.log(2)),
    "binary_cross_entropy": Case(after(cr.sigmoid, BCE), FAR, FAR_COINS, *COIN_OF_LOGIT),
    "binary_cross_entropy of logits": Case(from_logits(BCE), FAR, FAR_COINS, *COIN_OF_LOGIT),
    "categorical_cross_entropy": Case(after(cr.softmax, CCE), FAR_LOGITS, FAR_ROWS, *OVER_LOGITS),
    "categorical_cross_entropy, class numbers": Case(
        after(cr.softmax, CCE), FAR_LOGITS, np.array([0, 1, 2, 1]), *map(rows, OVER_LOGITS)
    ),
    "categorical_cross_entropy of logits": Case(from_logits(CCE), FAR_LOGITS, FAR_ROWS, *OVER_LOGITS),
    "kl_divergence": Case(
        after(cr.softmax, nn.kl_divergence),
        FAR_LOGITS,
        FAR_ROWS,
        lambda z, y: cross_entropy_of_logits(z, y) - special.entr(y).sum(axis=-1),
        OVER_LOGITS[1],
    ),
    "poisson": Case(after(cr.exp, nn.poisson), *FAR_COUNTS, *COUNT_OF_LOGIT),
    "poisson of logits": Case(from_logits(nn.poisson), *FAR_COUNTS, *COUNT_OF_LOGIT),
}


@pytest.mark.parametrize("case", EXTREMES.values(), ids=EXTREMES.keys())
def test_value_and_gradient_are_right_at_logits_of_ten_thousand_in_single_precision(case):
    outputs, feeds = formulas(case.loss, case.y_hat, case.y)
    expected = [case.value(case.y_hat, case.y), case.slope(case.y_hat, case.y)]
    assert all(np.isfinite(e).all() for e in expected)
    for found in (cr.evaluate(outputs, feeds, dtype="float32"), cr.compile(outputs)(feeds)):
        for f, e in zip(found, expected, strict=True):
            assert f.dtype == np.float32
            np.testing.assert_allclose(f, e, rtol=2e-6, atol=1e-6)


def test_every_loss_by_name_is_looked_at_in_the_extreme():
    assert set(nn.LOSSES) <= set(EXTREMES)


def test_a_probability_of_zero_for_what_does_not_happen_costs_nothing():
    (losses, slope), feeds = formulas(BCE, np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert cr.evaluate(losses, feeds).tolist() == [0, 0]
    assert cr.evaluate(slope, feeds).tolist() == [1, -1]
    (losses, slope), feeds = formulas(CCE, np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]]))
    assert cr.evaluate(losses, feeds).tolist() == [0]
    assert cr.evaluate(slope, feeds).tolist() == [[0, -1]]


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in nn.LOSSES if name != "categorical_cross_entropy"])
@pytest.mark.parametrize("shapes", [(("m", 1), ("m",)), (("m",), ("m", 1)), (("m", 3), ("m", 1)), (("m",), ("n",))])
def test_shapes_that_would_broadcast_are_refused_and_both_are_named(name, shapes):
    y_hat, y = cr.input("y_hat", shapes[0]), cr.input("labels", shapes[1])
    with pytest.raises(ShapeError) as caught:
        nn.LOSSES[name](y_hat, y)
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    for leaf in (y_hat, y):
        assert f"{leaf.name} {show(leaf.shape)}" in text
    assert "test_losses.py, line " in text


def test_the_missing_axis_is_hinted_at():
    with pytest.raises(ShapeError, match=r"hint: .*y\[:, None\]"):
        nn.squared_error(cr.input("p", ("m", 1)), cr.input("y", ("m",)))


@pytest.mark.parametrize(
    ("y_hat", "labels", "kind", "error", "message"),
    [
        (("m", 3), ("m",), "float", DTypeError, r"(?s)class numbers are integers.*labels: float.*dtype='int'"),
        (("m", 3), ("m", 1), "int", ShapeError, r"y_hat \(m, 3\) and labels \(m, 1\)"),
        (("m", 3), ("n",), "int", ShapeError, r"y_hat \(m, 3\) and labels \(n,\)"),
        (("m", 3), ("m", 2), "float", ShapeError, r"y_hat \(m, 3\) and labels \(m, 2\)"),
        ((), (), "int", ShapeError, "an axis of classes"),
    ],
)
def test_labels_that_are_not_classes_are_refused(y_hat, labels, kind, error, message):
    with pytest.raises(error, match=message):
        CCE(cr.input("y_hat", y_hat), cr.input("labels", labels, dtype=kind))


@pytest.mark.parametrize("q", [0, 1, -0.1, 1.5, np.nan])
def test_a_quantile_lies_between_zero_and_one(q):
    with pytest.raises(ConfigurationError, match="q lies between 0 and 1"):
        nn.quantile(*leaves(NUMBERS, TARGETS), q=q)


@pytest.mark.parametrize("delta", [0, -1, np.nan, np.inf])
def test_the_bend_of_huber_is_a_positive_number(delta):
    with pytest.raises(ConfigurationError, match="delta is a positive number"):
        nn.huber(*leaves(NUMBERS, TARGETS), delta=delta)


# --- by name ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", nn.LOSSES)
def test_a_loss_is_known_by_its_name_its_function_and_itself(name):
    found = nn.loss(name)
    assert found.name == name
    assert nn.loss(found) is found
    assert nn.loss(found.function) == found


def test_a_function_of_ones_own_is_a_loss():
    def cubed(y_hat, y):
        return abs(y_hat - y) ** 3

    found = nn.loss(cubed)
    assert found.name == "cubed"
    p, y = leaves(NUMBERS, TARGETS)
    np.testing.assert_allclose(
        cr.evaluate(found(p, y), {p: NUMBERS, y: TARGETS}), np.abs(NUMBERS - TARGETS) ** 3, rtol=1e-12
    )


def test_a_loss_with_a_setting_keeps_its_name_and_what_labels_it_takes():
    found = nn.loss(partial(nn.huber, delta=0.5))
    assert (found.name, found.labels) == ("huber", "number")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("squred_error", "did you mean 'squared_error'"),
        ("cross_entropy", "did you mean 'categorical_cross_entropy'"),
        ("nothing like it", "(?s)no such loss.*'nothing like it'.*expected: squared_error, "),
        (3, "(?s)not a loss.*given: +3"),
    ],
)
def test_an_unknown_loss_is_refused_and_near_names_are_named(value, message):
    with pytest.raises(ConfigurationError, match=message):
        nn.loss(value)
