"""Every activation by name against its formula in NumPy and SciPy, and against PyTorch; right at logits of ±10⁴."""

import numpy as np
import pytest
from scipy import special, stats

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigurationError, ShapeError
from chainrule.nn.activations import activation_name

ALPHA = 0.25  # where the slope of a parametric ReLU starts
ROWS = np.array([[-2.5, -1.5, -0.4, 0.3], [0.9, 1.7, 2.2, 3.5], [-3.5, -0.1, 0.7, 5.0]])
FAR = np.array([[-1e4, -100.0, -20.0, -4.0], [-1.5, 1.5, 4.0, 20.0], [100.0, 1e4, -1e4, 1e4]])
UPSTREAM = np.random.default_rng(0).normal(size=ROWS.shape)


def bump(z):
    """The slope of the hyperbolic tangent, without overflow."""
    return 1 - np.tanh(z) ** 2


def elu(z, scale=1.0, alpha=1.0):
    return scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def elu_slope(z, scale=1.0, alpha=1.0):
    return scale * np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0)))


SELU = {"scale": 1.0507009873554805, "alpha": 1.6732632423543772}  # Klambauer et al. 2017, the fixed point at 0 and 1


def cubic(z):
    return np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)


def cubic_slope(z):
    return np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2)


# For each name the value, and the slope of an element; the last two are treated apart, a whole row at a time.
ELEMENTWISE = {
    "linear": (lambda z: z, lambda z: np.ones_like(z)),
    "sigmoid": (special.expit, lambda z: special.expit(z) * special.expit(-z)),
    "tanh": (np.tanh, bump),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1, 0)),
    "leaky_relu": (lambda z: np.maximum(z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "parametric_relu": (lambda z: np.maximum(z, ALPHA * z), lambda z: np.where(z > 0, 1, ALPHA)),
    "thresholded_relu": (lambda z: z * (z > 1), lambda z: np.where(z > 1, 1, 0)),
    "elu": (elu, elu_slope),
    "selu": (lambda z: elu(z, **SELU), lambda z: elu_slope(z, **SELU)),
    "gelu": (lambda z: z * stats.norm.cdf(z), lambda z: stats.norm.cdf(z) + z * stats.norm.pdf(z)),
    "gelu_tanh": (
        lambda z: z / 2 * (1 + np.tanh(cubic(z))),
        lambda z: (1 + np.tanh(cubic(z))) / 2 + z / 2 * bump(cubic(z)) * cubic_slope(z),
    ),
    "silu": (lambda z: z * special.expit(z), lambda z: special.expit(z) * (1 + z * special.expit(-z))),
    "swish": (lambda z: z * special.expit(z), lambda z: special.expit(z) * (1 + z * special.expit(-z))),
    "mish": (
        lambda z: z * np.tanh(np.logaddexp(0, z)),
        lambda z: np.tanh(np.logaddexp(0, z)) + z * bump(np.logaddexp(0, z)) * special.expit(z),
    ),
    "softplus": (lambda z: np.logaddexp(0, z), special.expit),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: (1 + np.abs(z)) ** -2.0),
    "hard_sigmoid": (lambda z: np.clip((z + 3) / 6, 0, 1), lambda z: np.where(np.abs(z) < 3, 1 / 6, 0)),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: np.where(np.abs(z) < 1, 1, 0)),
    "sin": (np.sin, np.cos),
}


def through_softmax(z, g):
    s = special.softmax(z, axis=1)
    jacobians = np.einsum("mi,ij->mij", s, np.eye(4)) - np.einsum("mi,mj->mij", s, s)
    return np.einsum("mi,mij->mj", g, jacobians)


def through_log_softmax(z, g):
    jacobians = np.eye(4) - special.softmax(z, axis=1)[:, None, :]
    return np.einsum("mi,mij->mj", g, jacobians)


def through(slope):
    """Downstream is upstream times local."""
    return lambda z, g: g * slope(z)


EXPECTED = {name: (value, through(slope)) for name, (value, slope) in ELEMENTWISE.items()} | {
    "softmax": (lambda z: special.softmax(z, axis=1), through_softmax),
    "log_softmax": (lambda z: special.log_softmax(z, axis=1), through_log_softmax),
}
EVERY = pytest.mark.parametrize("name", nn.ACTIVATIONS)


def formulas(activation, z):
    """Value and downstream derivative of an activation, and the numbers for them."""
    function = nn.activation(activation)
    logits, upstream = cr.input("z", z.shape), cr.constant(UPSTREAM)
    y = function(logits)
    feeds = {logits: z}
    if isinstance(function, nn.Layer):
        feeds |= {p: np.full(p.shape, p.attrs["initializer"]) for p in function.parameters}
    return [y, cr.gradient(cr.sum(upstream * y), logits)], feeds


# --- values and derivatives ---------------------------------------------------------------------------


def test_the_table_here_is_the_table_of_names():
    assert sorted(EXPECTED) == sorted(nn.ACTIVATIONS)


@EVERY
def test_value_and_derivative_are_the_formula(name):
    found = cr.evaluate(*formulas(name, ROWS))
    value, downstream = EXPECTED[name]
    np.testing.assert_allclose(found[0], value(ROWS), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[1], downstream(ROWS, UPSTREAM), rtol=1e-11, atol=1e-15)


@EVERY
def test_value_and_derivative_are_right_at_logits_of_ten_thousand_in_single_precision(name):
    outputs, feeds = formulas(name, FAR)
    value, downstream = EXPECTED[name]
    expected = [value(FAR), downstream(FAR, UPSTREAM)]
    assert all(np.isfinite(e).all() for e in expected)
    for found in (cr.evaluate(outputs, feeds, dtype="float32"), cr.compile(outputs)(feeds)):
        for f, e in zip(found, expected, strict=True):
            assert f.dtype == np.float32
            np.testing.assert_allclose(f, e, rtol=5e-6, atol=1e-6)


@EVERY
def test_value_and_derivative_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    peers = {
        "linear": lambda z: z,
        "parametric_relu": lambda z: F.prelu(z, torch.full((4,), ALPHA, dtype=z.dtype)),
        "thresholded_relu": lambda z: F.threshold(z, 1.0, 0.0),
        "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
        "swish": F.silu,
        "hard_sigmoid": F.hardsigmoid,
        "hard_tanh": F.hardtanh,
        "sin": torch.sin,
        "softmax": lambda z: F.softmax(z, dim=-1),
        "log_softmax": lambda z: F.log_softmax(z, dim=-1),
    }
    z = torch.tensor(ROWS, requires_grad=True)
    y = peers.get(name, getattr(F, name, None))(z)
    (y * torch.tensor(UPSTREAM)).sum().backward()
    found = cr.evaluate(*formulas(name, ROWS))
    # PyTorch has the 1/6 of the hard sigmoid's slope in single precision only.
    np.testing.assert_allclose(found[0], y.detach().numpy(), rtol=1e-7, atol=1e-15)
    np.testing.assert_allclose(found[1], z.grad.numpy(), rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize(
    ("activation", "value"),
    [
        (lambda z: cr.leaky_relu(z, negative_slope=0.3), lambda z: np.maximum(z, 0.3 * z)),
        (lambda z: cr.thresholded_relu(z, theta=2.0), lambda z: z * (z > 2)),
        (lambda z: cr.elu(z, alpha=0.5), lambda z: elu(z, alpha=0.5)),
        (lambda z: cr.softmax(z, axis=0), lambda z: special.softmax(z, axis=0)),
    ],
    ids=["leaky_relu", "thresholded_relu", "elu", "softmax"],
)
def test_an_activation_with_a_setting_of_ones_own(activation, value):
    np.testing.assert_allclose(cr.evaluate(*formulas(activation, ROWS))[0], value(ROWS), rtol=1e-12)


# --- the one that learns ------------------------------------------------------------------------------


def test_the_slope_of_a_parametric_relu_is_learned_one_for_each_unit():
    layer = nn.ParametricReLU(initial=0.1)
    z = cr.input("z", ROWS.shape)
    y = layer(z)
    (alpha,) = layer.parameters
    assert (alpha.name, alpha.shape, alpha.attrs["initializer"]) == ("α", (4,), 0.1)
    by_alpha = cr.gradient(cr.sum(UPSTREAM * y), alpha)
    found = cr.evaluate(by_alpha, {z: ROWS, alpha: np.full(4, 0.1)})
    np.testing.assert_allclose(found, (UPSTREAM * np.minimum(ROWS, 0)).sum(axis=0), rtol=1e-12)


def test_a_parametric_relu_needs_to_know_the_number_of_units():
    with pytest.raises(ShapeError, match="last axis of known size"):
        nn.ParametricReLU()(cr.input("z", (4, "m")))


# --- by name, as an object, as a function -------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", cr.relu, lambda z: cr.maximum(z, 0.0)], ids=["name", "op", "function"])
def test_an_activation_is_given_by_its_name_as_an_op_or_as_any_function(activation):
    np.testing.assert_array_equal(cr.evaluate(*formulas(activation, ROWS))[0], np.maximum(ROWS, 0))


@pytest.mark.parametrize("activation", ["parametric_relu", nn.ParametricReLU, nn.ParametricReLU(ALPHA)])
def test_an_activation_with_parameters_is_given_by_its_name_class_or_object(activation):
    found = nn.activation(activation)
    assert isinstance(found, nn.ParametricReLU)
    np.testing.assert_allclose(cr.evaluate(*formulas(found, ROWS))[0], np.where(ROWS > 0, ROWS, ALPHA * ROWS))


def test_every_use_of_the_name_learns_slopes_of_its_own():
    assert nn.activation("parametric_relu") is not nn.activation("parametric_relu")


def test_none_is_linear():
    z = cr.input("z", ("m",))
    assert nn.activation(None)(z) is z
    assert nn.activation("linear")(z) is z


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "linear"), ("tanh", "tanh"), (cr.relu, "relu"), (elu, "elu"), (nn.ParametricReLU(), "ParametricReLU")],
)
def test_how_an_activation_is_written_in_a_summary(value, name):
    assert activation_name(value) == name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("relo", "did you mean 'relu'"),
        ("GELU", "did you mean 'gelu'"),
        ("nothing like it", "(?s)no such activation.*given: +'nothing like it'.*expected: linear, sigmoid, "),
        (3, "(?s)not an activation.*given: +3.*a name or a function"),
    ],
)
def test_an_unknown_activation_is_refused_and_near_names_are_named(value, message):
    with pytest.raises(ConfigurationError, match=message):
        nn.activation(value)
