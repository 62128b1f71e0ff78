"""Reverse mode against closed forms, and against central differences of the same formula written in NumPy."""

import numpy as np
import pytest
from scipy import special

import chainrule as cr
from chainrule.calculus import reverse
from chainrule.errors import DerivativeError
from chainrule.graph.node import ancestors

RNG = np.random.default_rng(0)


def differences(f, at, h=1e-6):
    """Central differences of a NumPy function of one array."""
    out = np.empty(at.shape)
    for index in np.ndindex(*at.shape):
        step = np.zeros(at.shape)
        step[index] = h
        out[index] = (f(at + step) - f(at - step)) / (2 * h)
    return out


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# --- closed forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "derivative"),
    [
        pytest.param(lambda x: 3 * x**2 + 2 * x + 1, lambda x: 6 * x + 2, id="polynomial"),
        pytest.param(lambda x: x * x * x, lambda x: 3 * x**2, id="a leaf used three times"),
        pytest.param(
            lambda x: (lambda h: h * h + cr.sin(h) * h)(cr.exp(x)),
            lambda x: np.exp(x) * (2 * np.exp(x) + np.cos(np.exp(x)) * np.exp(x) + np.sin(np.exp(x))),
            id="a result used four times",
        ),
        pytest.param(lambda x: cr.exp(cr.sin(x**2)), lambda x: np.exp(np.sin(x**2)) * np.cos(x**2) * 2 * x, id="chain"),
        pytest.param(lambda x: cr.log(x) / x, lambda x: (1 - np.log(x)) / x**2, id="quotient"),
        pytest.param(lambda x: x**x, lambda x: x**x * (np.log(x) + 1), id="base and exponent"),
        pytest.param(lambda x: 2**x, lambda x: 2**x * np.log(2), id="exponent alone"),
        pytest.param(lambda x: cr.sqrt(1 + x**2), lambda x: x / np.sqrt(1 + x**2), id="root"),
        pytest.param(lambda x: cr.erf(x), lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2)), id="error function"),
        pytest.param(
            lambda x: -cr.log(1 - cr.sigmoid(x)), lambda x: 1 / (1 + np.exp(-x)), id="a formula that is made stable"
        ),
    ],
)
def test_the_derivative_of_a_function_of_one_variable(formula, derivative):
    x = cr.input("x", ())
    dx = cr.gradient(formula(x), x)
    for at in (0.3, 0.9, 1.7):
        np.testing.assert_allclose(cr.evaluate(dx, {x: at}), derivative(at), rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "derivatives"),
    [
        pytest.param(
            cr.tanh, [lambda t: 1 - t**2, lambda t: -2 * t * (1 - t**2), lambda t: (6 * t**2 - 2) * (1 - t**2)]
        ),
        pytest.param(
            lambda x: cr.log((1 + cr.tanh(x)) / (1 - cr.tanh(x))) / 2,
            [lambda t: 1.0 + 0 * t, lambda t: 0 * t, lambda t: 0 * t],
        ),
    ],
    ids=["tanh", "the inverse of tanh"],
)
def test_the_third_derivative_is_the_gradient_of_a_gradient_of_a_gradient(formula, derivatives):
    x = cr.input("x", ())
    y = formula(x)
    for derivative in derivatives:
        y = cr.gradient(y, x)
        np.testing.assert_allclose(cr.evaluate(y, {x: 0.7}), derivative(np.tanh(0.7)), rtol=1e-10, atol=1e-12)


def test_a_gradient_of_high_order_of_exp_is_exp():
    x = cr.input("x", ())
    y = cr.exp(2 * x)
    for _ in range(6):
        y = cr.gradient(y, x)
    np.testing.assert_allclose(cr.evaluate(y, {x: 0.5}), 64 * np.e)


# --- arrays, against central differences --------------------------------------------------------------

X, A, V = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5)), RNG.normal(size=5)
ARRAYS = [
    pytest.param(
        lambda x, a, v: cr.sum(cr.tanh(x @ a + v) ** 2),
        lambda x, a, v: np.sum(np.tanh(x @ a + v) ** 2),
        id="a row broadcast over rows",
    ),
    pytest.param(
        lambda x, a, v: cr.mean(x[:, None, :] * a.T * v[:, None]) + cr.sum(v * 2),
        lambda x, a, v: np.mean(x[:, None, :] * a.T * v[:, None]) + np.sum(v * 2),
        id="three axes broadcast",
    ),
    pytest.param(
        lambda x, a, v: (lambda h: cr.sum(h * h[::-1]) + cr.sum(cr.sin(h)[1] * v))(x @ a),
        lambda x, a, v: (lambda h: np.sum(h * h[::-1]) + np.sum(np.sin(h)[1] * v))(x @ a),
        id="a shared product, flipped and sliced",
    ),
    pytest.param(
        lambda x, a, v: cr.sum(cr.logsumexp(x @ a, axis=1) * cr.max(x, axis=1)) + cr.prod(v),
        lambda x, a, v: np.sum(special.logsumexp(x @ a, axis=1) * np.max(x, axis=1)) + np.prod(v),
        id="reductions",
    ),
    pytest.param(
        lambda x, a, v: -cr.mean(cr.sum(cr.log(cr.softmax(x @ a)) * cr.softmax(v), axis=1)),
        lambda x, a, v: -np.mean(np.sum(special.log_softmax(x @ a, axis=1) * special.softmax(v), axis=1)),
        id="cross-entropy of two softmax",
    ),
    pytest.param(
        lambda x, a, v: cr.sum(cr.concatenate([x, a.T], axis=0)[2:6] ** 3) + cr.sum(cr.cumsum(v) * v),
        lambda x, a, v: np.sum(np.concatenate([x, a.T], axis=0)[2:6] ** 3) + np.sum(np.cumsum(v) * v),
        id="joined, cut and summed up",
    ),
    pytest.param(
        lambda x, a, v: cr.sum(cr.where(x > 0, x**2, cr.exp(x)) @ a) + cr.sum(cr.maximum(v, 0.1) * abs(v)),
        lambda x, a, v: np.sum(np.where(x > 0, x**2, np.exp(x)) @ a) + np.sum(np.maximum(v, 0.1) * np.abs(v)),
        id="choices",
    ),
]


@pytest.mark.parametrize(("formula", "function"), ARRAYS)
def test_gradients_by_several_arrays_are_central_differences(formula, function):
    x, a, v = cr.input("x", ("m", 3)), cr.parameter("a", (3, 5)), cr.parameter("v", (5,))
    feeds = {x: X, a: A, v: V}
    found = cr.evaluate(cr.gradient(formula(x, a, v), [x, a, v]), feeds)
    for gradient, moved in zip(found, range(3), strict=True):
        fixed = [X, A, V]

        def along(array, fixed=fixed, moved=moved):
            return function(*(array if i == moved else n for i, n in enumerate(fixed)))

        np.testing.assert_allclose(gradient, differences(along, fixed[moved]), rtol=1e-6, atol=1e-7)


def test_the_hessian_of_a_small_network_is_differences_of_its_gradient():
    x, w = RNG.normal(size=(5, 2)), RNG.normal(size=(2, 3))
    u = RNG.normal(size=3)
    X, W = cr.input("X", ("m", 2)), cr.parameter("W", (2, 3))
    J = cr.mean((cr.tanh(X @ W) @ cr.constant(u)) ** 2)
    dW = cr.gradient(J, W)

    def gradient(w):
        h = np.tanh(x @ w)
        return x.T @ (2 / 5 * (h @ u)[:, None] * u * (1 - h**2))

    np.testing.assert_allclose(cr.evaluate(dW, {X: x, W: w}), gradient(w), rtol=1e-12)
    for index in np.ndindex(2, 3):
        row = cr.gradient(dW[index], W)
        expected = differences(lambda v, index=index: gradient(v)[index], w)
        np.testing.assert_allclose(cr.evaluate(row, {X: x, W: w}), expected, rtol=1e-5, atol=1e-8)


def test_a_gradient_penalty_is_differentiated_through_its_gradient():
    a = np.array([0.3, -1.2, 0.8])
    x = cr.input("x", (3,))
    penalty = cr.sum(cr.gradient(cr.sum(cr.sin(x) * x), x) ** 2)
    slope, bend = np.cos(a) * a + np.sin(a), 2 * np.cos(a) - a * np.sin(a)
    np.testing.assert_allclose(cr.evaluate(cr.gradient(penalty, x), {x: a}), 2 * slope * bend, rtol=1e-12)


# --- what it is taken by ------------------------------------------------------------------------------


def test_by_a_quantity_in_the_middle_of_the_formula():
    z, y = cr.input("z", ("m",)), cr.input("y", ("m",))
    p = cr.sigmoid(z).named("p")
    J = cr.sum(cr.binary_cross_entropy(p, y))
    at, labels = np.array([0.3, -0.7, 2.0]), np.array([1.0, 0.0, 1.0])
    dz, dp = cr.evaluate(cr.gradient(J, [z, p]), {z: at, y: labels})
    np.testing.assert_allclose(dp, (sigmoid(at) - labels) / (sigmoid(at) * (1 - sigmoid(at))), rtol=1e-12)
    np.testing.assert_allclose(dz, sigmoid(at) - labels, rtol=1e-12)


def test_by_two_quantities_of_which_one_depends_on_the_other():
    x = cr.input("x", ())
    u = cr.tanh(x)
    v = u**2
    du, dv, dx = cr.evaluate(cr.gradient(cr.sin(v) * u, [u, v, x]), {x: 0.4})
    t = np.tanh(0.4)
    np.testing.assert_allclose(dv, np.cos(t**2) * t)
    np.testing.assert_allclose(du, np.cos(t**2) * 2 * t * t + np.sin(t**2))
    np.testing.assert_allclose(dx, du * (1 - t**2))


def test_numbers_can_be_fed_to_the_quantity_that_it_was_taken_by():
    x = cr.input("x", ())
    u = cr.tanh(x)
    np.testing.assert_allclose(cr.evaluate(cr.gradient(cr.exp(u) * x, u), {u: 0.5, x: 3.0}), 3 * np.exp(0.5))


def test_by_itself_it_is_one():
    x = cr.input("x", ())
    y = cr.exp(x)
    assert [float(cr.evaluate(cr.gradient(n, n), {x: 2.0})) for n in (x, y)] == [1, 1]


def test_by_what_it_does_not_depend_on_it_is_zero_in_the_same_shape():
    x, other, rows = cr.input("x", (2,)), cr.parameter("other", (3, 2)), cr.input("rows", ("m", 2))
    found = cr.gradient(cr.sum(x**2), [other, rows])
    assert [g.shape for g in found] == [other.shape, rows.shape]
    by_other, by_rows = cr.evaluate(found, {}, sizes={"m": 4})
    assert by_other.tolist() == np.zeros((3, 2)).tolist()
    assert by_rows.tolist() == np.zeros((4, 2)).tolist()


def test_one_node_gives_one_gradient_and_a_list_gives_a_list():
    x = cr.input("x", (2,))
    J = cr.sum(x**2)
    assert isinstance(cr.gradient(J, x), cr.Node)
    assert [g.shape for g in cr.gradient(J, [x])] == [(2,)]
    assert cr.gradient(J, []) == []


# --- where there is none ------------------------------------------------------------------------------


def test_a_gradient_belongs_to_a_single_number():
    x = cr.input("x", ("m", 2))
    with pytest.raises(DerivativeError, match=r"(?s)single number.*given: .*x: float \(m, 2\).*cr\.mean"):
        cr.gradient(x, x)


def test_positions_and_truth_values_have_no_derivative_and_the_error_says_why():
    x, labels = cr.input("x", (3,)), cr.input("labels", (3,), dtype="int")
    with pytest.raises(DerivativeError, match=r"(?s)whole numbers.*argmax.*zero almost everywhere"):
        cr.gradient(cr.argmax(x), x)
    with pytest.raises(DerivativeError, match=r"(?s)truth values.*do not change gradually"):
        cr.gradient(x[0] > x[1], x)
    with pytest.raises(DerivativeError, match=r"(?s)whole numbers.*labels: int \(3,\)"):
        cr.gradient(cr.sum(x), labels)


@pytest.mark.parametrize(
    ("factor", "value"),
    [
        pytest.param(cr.sign, np.sign, id="sign"),
        pytest.param(cr.floor, np.floor, id="floor"),
        pytest.param(lambda x: cr.cast(x > 0.2, "float"), lambda x: x > 0.2, id="comparison"),
        pytest.param(cr.stop_gradient, lambda x: x, id="stop_gradient"),
        pytest.param(lambda x: cr.one_hot(cr.argmax(x), 3), lambda x: np.eye(3)[np.argmax(x)], id="one-hot of argmax"),
    ],
)
def test_what_is_constant_almost_everywhere_passes_nothing_back(factor, value):
    x = cr.input("x", (3,))
    at = np.array([-1.3, 0.4, 2.5])
    alone, product = cr.gradient(cr.sum(factor(x)), x), cr.gradient(cr.sum(factor(x) * x), x)
    assert cr.evaluate(alone, {x: at}).tolist() == [0, 0, 0]
    np.testing.assert_allclose(cr.evaluate(product, {x: at}), value(at))


@pytest.mark.parametrize(
    ("formula", "at", "derivative"),
    [
        pytest.param(lambda x: cr.sum(cr.relu(x)), [0.0, 1.0], [0, 1], id="relu at 0: 0"),
        pytest.param(lambda x: cr.sum(abs(x)), [0.0, -2.0], [0, -1], id="abs at 0: 0"),
        pytest.param(lambda x: cr.max(x), [3.0, 3.0], [0.5, 0.5], id="max at a tie: shared"),
        pytest.param(lambda x: cr.maximum(x[0], x[1]), [3.0, 3.0], [1, 0], id="maximum at a tie: the first"),
    ],
)
def test_at_a_kink_the_declared_value_is_taken(formula, at, derivative):
    x = cr.input("x", (2,))
    assert cr.evaluate(cr.gradient(formula(x), x), {x: at}).tolist() == derivative


# --- provenance ---------------------------------------------------------------------------------------


def network():
    x, w = cr.input("x", ("m", 3)), cr.parameter("w", (3, 2))
    h = cr.tanh(x @ w)
    return cr.sum(h * h + cr.softmax(h)), x, w


def test_every_derived_node_knows_the_forward_node_and_the_rule_it_comes_from():
    J, _, w = network()
    forward = ancestors(J)
    backward = reverse(J, [w])
    derived = [n for n in ancestors(*backward.adjoints.values()) if n not in forward and n.inputs]
    assert len(derived) > 10
    for node in derived:
        assert node.origin.forward in forward
        assert node.origin.rule in (node.origin.forward.op.name, "copy")
        assert node.origin.part in ("local", "downstream", "sum")
        assert node.source == node.origin.forward.source
    assert {n.origin.part for n in derived} == {"local", "downstream", "sum"}


def test_downstream_is_upstream_times_local_on_every_edge():
    J, x, w = network()
    backward = reverse(J, [w])
    feeds = {x: X, w: RNG.normal(size=(3, 2))}
    elementwise = [e for e in backward.edges if e.local is not None]
    assert {e.node.op.name for e in elementwise} == {"tanh", "multiply", "add"}
    for edge in elementwise:
        parts = [edge.upstream, edge.local, edge.downstream]
        upstream, local, downstream = cr.evaluate(parts, feeds, as_written=True)
        np.testing.assert_allclose(downstream, np.broadcast_to(upstream * local, downstream.shape))


def test_the_copy_gate_adds_what_comes_back_over_every_use():
    x = cr.input("x", ())
    h = cr.exp(x)
    J = cr.sin(h) + h * x
    backward = reverse(J, [x])
    back = [e.downstream for e in backward.edges if e.node.inputs[e.position] is h]
    assert len(back) == 2
    total, *parts = cr.evaluate([backward.adjoints[h], *back], {x: 0.3})
    np.testing.assert_allclose(total, sum(parts))
    np.testing.assert_allclose(total, np.cos(np.exp(0.3)) + 0.3)


def test_only_what_lies_between_is_differentiated():
    x, w, c = cr.input("x", ()), cr.parameter("w", ()), cr.input("c", ())
    aside = cr.exp(c)
    backward = reverse(cr.tanh(x * w) * aside, [w])
    assert aside not in backward.adjoints
    assert x not in backward.adjoints
    assert all(e.node.inputs[e.position] not in (x, aside) for e in backward.edges)


def test_a_seed_starts_reverse_mode_at_any_shape():
    x, g = cr.input("x", (2, 3)), cr.input("g", (2, 3))
    at, seed = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
    product = reverse(cr.tanh(x), [x], seed=g).adjoints[x]
    np.testing.assert_allclose(cr.evaluate(product, {x: at, g: seed}), seed * (1 - np.tanh(at) ** 2))
