"""Activations as they are measured: closed forms, what the ops declare, NumPy's own backward pass, the clock."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.explain.compare.cost import Ratio, measure_costs
from chainrule.explain.compare.depth import signal_left, suitable
from chainrule.explain.compare.shapes import Interval, disagreements, measure_shape
from chainrule.graph.op import Facts
from chainrule.nn import INITIALIZERS, initial_value
from chainrule.nn.activations import ACTIVATIONS

INF = math.inf
# z where the slope is 0.01: σ(1 − σ) = 0.01, 1 − tanh² = 0.01, e^z = 0.01, σ = 0.01, 1/(1 + |z|)² = 0.01
SIGMOID = math.log((1 + math.sqrt(1 - 0.04)) / (1 - math.sqrt(1 - 0.04)))
CLOSED = {
    "linear": ("(−∞, ∞)", "[1, 1]", None, None),
    "sigmoid": ("(0, 1)", "(0, 0.25]", -SIGMOID, SIGMOID),
    "tanh": ("(−1, 1)", "(0, 1]", -math.atanh(math.sqrt(0.99)), math.atanh(math.sqrt(0.99))),
    "relu": ("[0, ∞)", "[0, 1]", 0.0, None),
    "leaky_relu": ("(−∞, ∞)", "[0.01, 1]", None, None),
    "thresholded_relu": ("[0, ∞)", "[0, 1]", 1.0, None),
    "elu": ("(−1, ∞)", "(0, 1]", math.log(0.01), None),
    "softplus": ("(0, ∞)", "(0, 1)", math.log(0.01 / 0.99), None),
    "softsign": ("(−1, 1)", "(0, 1]", -9.0, 9.0),
    "hard_sigmoid": ("[0, 1]", "[0, 0.1667]", -3.0, 3.0),
    "hard_tanh": ("[−1, 1]", "[0, 1]", -1.0, 1.0),
    "softmax": ("(0, 1)", "(0, 0.25]", -SIGMOID, SIGMOID),
    "parametric_relu": ("(−∞, ∞)", "[0.25, 1]", None, None),
}


@pytest.mark.parametrize(("name", "closed"), CLOSED.items(), ids=CLOSED)
def test_what_is_measured_is_the_closed_form(name, closed):
    shape = measure_shape(name)
    assert (str(shape.range), str(shape.slope)) == closed[:2]
    for found, expected in zip((shape.flat_below, shape.flat_above), closed[2:], strict=True):
        assert (found is None) == (expected is None)
        if expected is not None:
            assert found == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_as_its_op_declares(name):
    assert measure_shape(name).disagreements == ()


def test_the_extremes_of_the_modern_ones_are_those_of_a_fine_search():
    x = np.linspace(-3, 0, 3_000_001)
    assert measure_shape("silu").range.low == pytest.approx((x / (1 + np.exp(-x))).min(), abs=1e-6)


def test_a_kink_is_found_with_its_size():
    kinks = {name: measure_shape(name).kink for name in ("relu", "leaky_relu", "selu", "hard_sigmoid", "tanh", "elu")}
    expected = {"relu": 1, "leaky_relu": 0.99, "selu": 1.0507 * 0.67326, "hard_sigmoid": 1 / 6, "tanh": 0, "elu": 0}
    assert kinks == pytest.approx(expected, abs=0.002)


def test_a_wrong_declaration_is_noticed():
    relu = measure_shape("relu")
    found = disagreements(relu, Facts((-1, 6), True, "both", True))
    assert len(found) == 4
    assert found[0] == "the smallest value is 0, declared −1"
    assert disagreements(measure_shape("mish"), Facts((-0.30885, INF), True, "left", True)) == (
        "it falls somewhere, and is declared monotone",
    )


def test_any_function_of_a_node_can_be_measured():
    shape = measure_shape(lambda z: 3 * cr.sin(z))
    assert (round(shape.range.low, 3), round(shape.slope.high, 3)) == (-3, 3)
    assert shape.saturates == "nowhere"


def test_intervals_are_written_with_the_bracket_that_is_meant():
    assert str(Interval(-INF, 1.0, False, True)) == "(−∞, 1]"
    assert str(Interval(1e-12, 1.0, False, True)) == "(0, 1]"


# --- gradient through depth -----------------------------------------------------------------------------


def through_numpy(name, slope, layers, seed):
    """rms of the backward signal, from the first of so many layers, relative to the last, by hand."""
    rng = np.random.default_rng(seed)
    a, g = (rng.standard_normal((128, 64)) for _ in range(2))
    last = np.sqrt(np.mean(g**2))
    passed = []
    for k in range(layers):
        W = initial_value((64, 64), INITIALIZERS[suitable(name)], seed, 2 * k)
        z = a @ W
        a = {"linear": lambda z: z, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}[name](z)
        passed.append((W, slope(a)))
    for W, s in reversed(passed):
        g = (g * s) @ W.T
    return np.sqrt(np.mean(g**2)) / last


@pytest.mark.parametrize(("name", "slope"), [("linear", np.ones_like), ("sigmoid", lambda a: a * (1 - a))])
def test_the_signal_through_layers_is_that_of_numpy(name, slope):
    for layers in (1, 5):
        left = signal_left(name, suitable(name), (layers,), (0, 1))[layers]
        assert left.values == pytest.approx([through_numpy(name, slope, layers, seed) for seed in (0, 1)], rel=1e-9)


def test_a_sigmoid_lets_at_most_a_quarter_through_a_layer_and_relu_with_he_nearly_all():
    sigmoid = signal_left("sigmoid", "orthogonal", seeds=(0,))
    assert all(s.values[0] <= 0.25**depth * 1.001 for depth, s in sigmoid.items())
    relu = signal_left("relu", "he_normal", seeds=(0, 1))
    assert 0.1 < relu[50].mean < 10


def test_the_start_is_that_of_the_same_activation_under_another_name():
    assert suitable("swish") == suitable("silu") == "he_normal"
    assert suitable("tanh") == "glorot_normal"


# --- cost -----------------------------------------------------------------------------------------------


def test_what_takes_longer_costs_more_than_relu():
    def heavy(z):
        for _ in range(8):
            z = cr.tanh(cr.sin(z))
        return z

    costs = measure_costs({"relu": "relu", "heavy": heavy}, rounds=5)
    assert costs["relu"].forward == costs["relu"].layer_gradient == Ratio(1, 1, 1)
    assert costs["heavy"].forward.median > 1.5
    assert costs["heavy"].forward.low <= costs["heavy"].forward.median <= costs["heavy"].forward.high
    assert costs["heavy"].microseconds > 0
