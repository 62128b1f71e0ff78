"""Naive formulas at extreme logits: they become stable ones, and the gradient of the logits reads ŷ − y.

The true values come from closed forms in float64; chainrule computes in float32, in both engines.
"""

import numpy as np
import pytest
from scipy import special

import chainrule as cr
from chainrule.graph.op import REGISTRY
from chainrule.nn import ACTIVATIONS, LOSSES

LOGITS = np.array([-1e4, -300.0, -88.0, -20.0, -1.0, -1e-4, 0.0, 1e-4, 1.0, 20.0, 88.0, 300.0, 1e4])
ENGINES = {
    "interpreter": lambda nodes, feeds: cr.evaluate(nodes, feeds, dtype="float32"),
    "xla": lambda nodes, feeds: cr.compile(nodes)(feeds),
}


@pytest.fixture(params=ENGINES.values(), ids=ENGINES, name="run")
def _run(request):
    return request.param


def close(found, true, **tolerance):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, true, **({"rtol": 2e-5, "atol": 1e-7} | tolerance))


# --- binary cross-entropy over a sigmoid --------------------------------------------------------------


def naive(z):
    return 1 / (1 + cr.exp(-z))


BINARY = {
    "the loss": lambda z, y: cr.binary_cross_entropy(cr.sigmoid(z), y),
    "from logits": lambda z, y: cr.binary_cross_entropy(z, y, from_logits=True),
    "written out": lambda z, y: -(y * cr.log(cr.sigmoid(z)) + (1 - y) * cr.log(1 - cr.sigmoid(z))),
    "two minus signs": lambda z, y: -y * cr.log(cr.sigmoid(z)) - (1 - y) * cr.log(1 - cr.sigmoid(z)),
    "with exponentials": lambda z, y: -(y * cr.log(naive(z)) + (1 - y) * cr.log(1 - naive(z))),
    "with e^z over 1 + e^z": lambda z, y: (
        -(y * cr.log(cr.exp(z) / (1 + cr.exp(z))) + (1 - y) * cr.log(1 / (1 + cr.exp(z))))
    ),
    "with σ(−z) for 1 − σ(z)": lambda z, y: -(y * cr.log(cr.sigmoid(z)) + (1 - y) * cr.log(cr.sigmoid(-z))),
    "labels behind": lambda z, y: -(cr.log(cr.sigmoid(z)) * y + cr.log(1 - cr.sigmoid(z)) * (1 - y)),
    "logarithms of sums": lambda z, y: y * cr.log(1 + cr.exp(-z)) + (1 - y) * cr.log(cr.exp(z) + 1),
    "one logarithm": lambda z, y: cr.log(1 + cr.exp(z)) - y * z,
    "a named probability": lambda z, y: (lambda p: -(y * cr.log(p) + (1 - y) * cr.log(1 - p)))(
        cr.sigmoid(z).named("ŷ")
    ),
}


@pytest.mark.parametrize("loss", BINARY.values(), ids=BINARY)
def test_the_gradient_of_the_logits_of_binary_cross_entropy_reads_as_in_the_textbook(loss):
    z, y = cr.input("z", ("m", 1)), cr.input("y", ("m", 1))
    assert str(cr.gradient(cr.mean(loss(z, y)), z)).replace("ŷ", "σ(z)") == "1/m · (σ(z) − y)"


def test_binary_cross_entropy_is_finite_and_right_at_any_logit(run):
    z, y = cr.input("z", ("m",)), cr.input("y", ("m",))
    logits, labels = np.repeat(LOGITS, 3), np.tile([0.0, 0.25, 1.0], len(LOGITS))
    losses = [loss(z, y) for loss in BINARY.values()]
    values = run(losses + [cr.gradient(cr.sum(loss), z) for loss in losses], {z: logits, y: labels})
    for found in values[: len(losses)]:
        close(found, labels * np.logaddexp(0, -logits) + (1 - labels) * np.logaddexp(0, logits), atol=1e-6)
    for found in values[len(losses) :]:
        close(found, special.expit(logits) - labels)


# --- categorical cross-entropy over softmax -----------------------------------------------------------


SOFTMAX = {
    "softmax": cr.softmax,
    "kept axis": lambda z: (lambda e: e / cr.sum(e, 1, keepdims=True))(cr.exp(z)),
    "new axis": lambda z: (lambda e: e / cr.sum(e, -1)[:, None])(cr.exp(z)),
    "exponentials written twice": lambda z: cr.exp(z) / cr.exp(z).sum(axis=1, keepdims=True),
    "exp of log softmax": lambda z: cr.exp(cr.log_softmax(z)),
    "shifted by the largest": lambda z: (lambda e: e / cr.sum(e, 1, keepdims=True))(
        cr.exp(z - cr.max(z, 1, keepdims=True))
    ),
    "exp of z − logsumexp": lambda z: cr.exp(z - cr.logsumexp(z, 1, keepdims=True)),
}
CATEGORICAL = {
    "the loss": lambda p, y: cr.categorical_cross_entropy(p, y),
    "written out": lambda p, y: -cr.sum(y * cr.log(p), axis=1),
    "minus inside": lambda p, y: cr.sum(-y * cr.log(p), axis=1),
    "labels behind": lambda p, y: -(cr.log(p) * y).sum(axis=-1),
}


@pytest.mark.parametrize("loss", CATEGORICAL.values(), ids=CATEGORICAL)
@pytest.mark.parametrize("softmax", SOFTMAX.values(), ids=SOFTMAX)
def test_the_gradient_of_the_logits_of_categorical_cross_entropy_reads_as_in_the_textbook(softmax, loss):
    z, y = cr.input("z", ("m", 3)), cr.input("y", ("m", 3), distribution=True)
    assert str(cr.gradient(cr.mean(loss(softmax(z), y)), z)) == "1/m · (softmax(z) − y)"


def test_the_gradient_of_the_logits_for_class_numbers_reads_as_in_the_textbook():
    z, k = cr.input("z", ("m", 3)), cr.input("k", ("m",), dtype="int")
    J = cr.mean(cr.categorical_cross_entropy(cr.softmax(z), k))
    assert str(cr.gradient(J, z)) == "1/m · (softmax(z) − onehot(k))"


def test_categorical_cross_entropy_is_finite_and_right_at_any_logit(run):
    z, y = cr.input("z", ("m", 3)), cr.input("y", ("m", 3), distribution=True)
    logits = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, 0], [300, -88, 1], [1e-3, 0, 2]])
    labels = np.array([[0.0, 1, 0], [1, 0, 0], [0.25, 0.25, 0.5], [0, 0, 1], [0.5, 0.5, 0]])
    losses = [loss(softmax(z), y) for softmax in SOFTMAX.values() for loss in CATEGORICAL.values()]
    values = run(losses + [cr.gradient(cr.sum(loss), z) for loss in losses], {z: logits, y: labels})
    for found in values[: len(losses)]:
        close(found, -np.sum(labels * special.log_softmax(logits, axis=1), axis=1))
    for found in values[len(losses) :]:
        close(found, special.softmax(logits, axis=1) - labels)


PARTS = {
    "of one example": (lambda p: p[1, 2], lambda p: p[1, 2]),
    "of all examples": (lambda p: p[:, 1], lambda p: p[:, 1]),
    "on one row": (lambda p: p.reshape(-1)[2:5], lambda p: p.reshape(-1)[2:5]),
    "by the labels": (lambda p: cr.gather(p, np.array([2, 0]), axis=1), lambda p: p[:, [2, 0]]),
    "with examples in columns": (lambda p: p.T[1:], lambda p: p.T[1:]),
}


@pytest.mark.parametrize(("part", "true"), PARTS.values(), ids=PARTS)
def test_the_logarithm_of_single_probabilities_is_finite_and_right_at_any_logit(run, part, true):
    z, logits = cr.input("z", (3, 3)), np.array([[1e4, -1e4, 0], [-300, -88, 1], [0, 1e-3, 2]])
    (value,) = run([cr.log(part(cr.softmax(z)))], {z: logits})
    close(value, true(special.log_softmax(logits, axis=1)))


# --- single functions ---------------------------------------------------------------------------------

expit = special.expit
FUNCTIONS = {
    "log σ(z)": (lambda z: cr.log(cr.sigmoid(z)), lambda z: -np.logaddexp(0, -z), lambda z: expit(-z)),
    "log of a naive sigmoid": (lambda z: cr.log(naive(z)), lambda z: -np.logaddexp(0, -z), lambda z: expit(-z)),
    "log(1 − σ(z))": (lambda z: cr.log(1 - cr.sigmoid(z)), lambda z: -np.logaddexp(0, z), lambda z: -expit(z)),
    "log(1 − naive σ(z))": (lambda z: cr.log(1 - naive(z)), lambda z: -np.logaddexp(0, z), lambda z: -expit(z)),
    "log(1 + e^z)": (lambda z: cr.log(1 + cr.exp(z)), lambda z: np.logaddexp(0, z), expit),
    "log(e^z + 1)": (lambda z: cr.log(cr.exp(z) + 1), lambda z: np.logaddexp(0, z), expit),
    "log1p(e^z)": (lambda z: cr.log1p(cr.exp(z)), lambda z: np.logaddexp(0, z), expit),
    "log e^z": (lambda z: cr.log(cr.exp(z)), lambda z: z, np.ones_like),
    "1/(1 + e^−z)": (naive, expit, lambda z: expit(z) * expit(-z)),
    "e^z/(1 + e^z)": (lambda z: cr.exp(z) / (1 + cr.exp(z)), expit, lambda z: expit(z) * expit(-z)),
    "tanh by exponentials": (
        lambda z: (cr.exp(z) - cr.exp(-z)) / (cr.exp(z) + cr.exp(-z)),
        np.tanh,
        lambda z: 4 * expit(2 * z) * expit(-2 * z),
    ),
    "√(z²)": (lambda z: cr.sqrt(z**2), np.abs, np.sign),
}


def test_functions_of_one_variable_are_finite_and_right_at_any_logit(run):
    z = cr.input("z", ("m",))
    nodes = [formula(z) for formula, _, _ in FUNCTIONS.values()]
    slopes = [cr.gradient(cr.sum(node), z) for node in nodes]
    found = run(nodes + slopes, {z: LOGITS})
    for name, (_, value, slope), y, dy in zip(FUNCTIONS, FUNCTIONS.values(), found, found[len(nodes) :], strict=False):
        close(y, value(LOGITS), err_msg=name)
        close(dy, slope(LOGITS), err_msg=f"slope of {name}")


def test_log_of_a_sum_of_exponentials_does_not_overflow(run):
    z = cr.input("z", ("m", 3))
    logits = np.array([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [0.5, 0, 1]])
    forms = [cr.log(cr.sum(cr.exp(z), 1)), cr.log(cr.sum(cr.exp(z), 1, keepdims=True))[:, 0], cr.logsumexp(z, 1)]
    found = run(forms + [cr.gradient(cr.sum(f), z) for f in forms], {z: logits})
    for y, dz in zip(found[:3], found[3:], strict=True):
        close(y, special.logsumexp(logits, axis=1))
        close(dz, special.softmax(logits, axis=1))


def test_digits_are_not_lost_near_zero(run):
    x = cr.input("x", ("m",))
    small = np.array([-1e-6, 3e-9, 1e-20])
    found = run([cr.exp(x) - 1, cr.log(1 + x), cr.log(x + 1)], {x: small})
    for y, true in zip(found, [np.expm1(small), np.log1p(small), np.log1p(small)], strict=True):
        close(y, true, rtol=1e-6, atol=0)


def test_as_written_the_naive_formula_still_overflows():
    z = cr.input("z", ())
    formula = -cr.log(1 - cr.sigmoid(z))
    assert cr.evaluate(formula, {z: 1e4}, as_written=True) == np.inf
    assert cr.evaluate(formula, {z: 1e4}) == 1e4
    (step,) = cr.simplify(formula).because("stability")
    assert (str(step.before), str(step.after)) == ("log(1 − σ(z))", "−softplus(z)")


# --- every activation, every loss ---------------------------------------------------------------------

ELEMENTWISE = [n for n in ACTIVATIONS if n not in ("parametric_relu", "linear", "softmax", "log_softmax")]


def test_every_activation_is_right_and_has_a_finite_slope_at_any_logit(run):
    z = cr.input("z", ("m",))
    nodes = [ACTIVATIONS[name](z) for name in ELEMENTWISE]
    found = run(nodes + [cr.gradient(cr.sum(node), z) for node in nodes], {z: LOGITS})
    for name, node, y, slope in zip(ELEMENTWISE, nodes, found, found[len(nodes) :], strict=False):
        close(y, REGISTRY[node.op.name].reference(LOGITS), err_msg=name, atol=1e-6)
        assert np.isfinite(slope).all(), name


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_activations_over_an_axis_are_right_and_have_a_finite_slope_at_any_logit(run, name):
    z = cr.input("z", ("m", 3))
    logits = np.array([[1e4, -1e4, 0], [1e4, 1e4, 1e4], [-88, 0, 88]])
    y = ACTIVATIONS[name](z)
    found, slope = run([y, cr.gradient(cr.sum(y * y), z)], {z: logits})
    close(found, getattr(special, name)(logits, axis=1))
    assert np.isfinite(slope).all()


def _log_cosh(e):
    return np.abs(e) - np.log(2) + np.log1p(np.exp(-2 * np.abs(e)))


NUMBERS = np.array([[2.0], [-1.0], [0.5]])
TRUE_LOSSES = {  # of logits z under the loss's own output activation: labels, value, slope by z
    "squared_error": (NUMBERS, lambda z, y: (z - y) ** 2, lambda z, y: 2 * (z - y)),
    "sum_of_squared_residuals": (NUMBERS, lambda z, y: np.sum((z - y) ** 2), lambda z, y: 2 * (z - y)),
    "absolute_error": (NUMBERS, lambda z, y: np.abs(z - y), lambda z, y: np.sign(z - y)),
    "huber": (
        NUMBERS,
        lambda z, y: np.where(np.abs(z - y) <= 1, (z - y) ** 2 / 2, np.abs(z - y) - 0.5),
        lambda z, y: np.clip(z - y, -1, 1),
    ),
    "log_cosh": (NUMBERS, lambda z, y: _log_cosh(z - y), lambda z, y: np.tanh(z - y)),
    "binary_cross_entropy": (
        np.array([[0.0], [1.0], [0.5]]),
        lambda z, y: y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z),
        lambda z, y: expit(z) - y,
    ),
    "categorical_cross_entropy": (
        np.eye(3),
        lambda z, y: -np.sum(y * special.log_softmax(z, axis=1), axis=1),
        lambda z, y: special.softmax(z, axis=1) - y,
    ),
    "hinge": (
        np.array([[1.0], [-1.0], [1.0]]),
        lambda z, y: np.maximum(0, 1 - y * z),
        lambda z, y: np.where(y * z < 1, -y, 0),
    ),
    "kl_divergence": (
        np.array([[0.0, 0.5, 0.5], [1, 0, 0], [0.2, 0.2, 0.6]]),
        lambda z, y: np.sum(special.xlogy(y, y) - y * special.log_softmax(z, axis=1), axis=1),
        lambda z, y: special.softmax(z, axis=1) - y,
    ),
    "quantile": (NUMBERS, lambda z, y: np.abs(y - z) / 2, lambda z, y: np.sign(z - y) / 2),
}
EXTREMES = np.array([-1e4, -88.0, -0.3, 0.3, 88.0, 1e4])


def test_every_loss_is_right_with_the_right_gradient_at_any_logit(run):
    nodes, feeds, true = [], {}, []
    for name, (labels, value, slope) in TRUE_LOSSES.items():
        columns = labels.shape[1]
        logits = np.concatenate([np.roll(np.resize(EXTREMES, (6, columns)), k, axis=0) for k in range(3)])
        labels = np.repeat(labels, 6, axis=0)
        z, y = cr.input(f"z {name}", (18, columns)), cr.input(f"y {name}", (18, columns))
        loss = LOSSES[name](ACTIVATIONS[LOSSES[name].output](z), y)
        nodes += [loss, cr.gradient(cr.sum(loss), z)]
        feeds |= {z: logits, y: labels}
        true += [(name, value(logits, labels)), (f"slope of {name}", slope(logits, labels))]
    for found, (name, expected) in zip(run(nodes, feeds), true, strict=True):
        close(found, expected, err_msg=name, atol=1e-6)
