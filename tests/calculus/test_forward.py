"""Forward mode against differences along a direction, and against reverse mode by the adjoint identity."""

import numpy as np
import pytest
from scipy import special

import chainrule as cr
from chainrule.calculus import forward, reverse
from chainrule.errors import ShapeError
from chainrule.graph.node import ancestors

RNG = np.random.default_rng(1)
X, A = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5))
DX, DA = RNG.normal(size=X.shape), RNG.normal(size=A.shape)

FORMULAS = [
    pytest.param(lambda x, a: cr.tanh(x @ a), lambda x, a: np.tanh(x @ a), id="layer"),
    pytest.param(lambda x, a: x @ a @ a.T + x, lambda x, a: x @ a @ a.T + x, id="an operand used twice"),
    pytest.param(
        lambda x, a: cr.softmax(x @ a) * cr.logsumexp(a),
        lambda x, a: special.softmax(x @ a, axis=1) * special.logsumexp(a),
        id="softmax",
    ),
    pytest.param(
        lambda x, a: cr.concatenate([x, cr.exp(x[:, 1:])], axis=1) / (2 + cr.max(a)),
        lambda x, a: np.concatenate([x, np.exp(x[:, 1:])], axis=1) / (2 + np.max(a)),
        id="joined and divided",
    ),
    pytest.param(
        lambda x, a: cr.where(x > 0, x**3, cr.sin(x)) @ a + cr.prod(x, axis=1, keepdims=True),
        lambda x, a: np.where(x > 0, x**3, np.sin(x)) @ a + np.prod(x, axis=1, keepdims=True),
        id="choice and product",
    ),
]


@pytest.fixture(name="leaves")
def _leaves():
    return cr.input("x", ("m", 3)), cr.parameter("a", (3, 5)), cr.input("dx", ("m", 3)), cr.input("da", (3, 5))


@pytest.mark.parametrize(("formula", "function"), FORMULAS)
def test_outputs_move_as_differences_along_the_direction_say(leaves, formula, function):
    x, a, dx, da = leaves
    moved = cr.directional(formula(x, a), {x: dx, a: da})
    h = 1e-6
    expected = (function(X + h * DX, A + h * DA) - function(X - h * DX, A - h * DA)) / (2 * h)
    np.testing.assert_allclose(cr.evaluate(moved, {x: X, a: A, dx: DX, da: DA}), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("formula", "function"), FORMULAS)
def test_forward_and_reverse_are_transposes_of_each_other(leaves, formula, function):
    x, a, dx, da = leaves
    y = formula(x, a)
    seed = RNG.normal(size=function(X, A).shape)
    g = cr.input("g", y.shape)
    feeds = {x: X, a: A, dx: DX, da: DA, g: seed}
    moved = cr.evaluate(forward([y], {x: dx, a: da})[0], feeds)
    back = reverse(y, [x, a], seed=g).adjoints
    by_x, by_a = cr.evaluate([back[x], back[a]], feeds)
    np.testing.assert_allclose(np.sum(seed * moved), np.sum(by_x * DX) + np.sum(by_a * DA), rtol=1e-10)


def test_forward_over_reverse_is_the_hessian_times_a_vector(leaves):
    x, a, dx, _ = leaves
    J = cr.sum(cr.sin(x) * x) + 0 * cr.sum(a)
    product = cr.directional(cr.gradient(J, x), {x: dx})
    np.testing.assert_allclose(cr.evaluate(product, {x: X, dx: DX}), (2 * np.cos(X) - X * np.sin(X)) * DX)


def test_a_quantity_in_the_middle_can_move_even_where_the_stable_form_has_lost_it():
    z, y, dp = cr.input("z", ()), cr.input("y", ()), cr.input("dp", ())
    p = cr.sigmoid(z)
    moved = cr.directional(cr.binary_cross_entropy(p, y), {p: dp})
    at = 1 / (1 + np.exp(-0.3))
    np.testing.assert_allclose(cr.evaluate(moved, {z: 0.3, y: 1.0, dp: 2.0}), -2 / at)


def test_several_outputs_move_at_once_and_what_nothing_moves_stands_still(leaves):
    x, a, dx, _ = leaves
    first, second = cr.directional([x * 2, cr.exp(a)], {x: dx})
    np.testing.assert_allclose(cr.evaluate(first, {dx: DX}), 2 * DX)
    assert second.shape == a.shape
    assert not cr.evaluate(second, {}).any()


def test_positions_and_truth_values_stand_still(leaves):
    x, _, dx, _ = leaves
    y = cr.cast(x > 0, "float") + cr.sign(x) + cr.cast(cr.argmax(x, 1), "float")[:, None]
    assert cr.evaluate(cr.directional(y, {x: dx}), {x: X, dx: DX}).tolist() == np.zeros(X.shape).tolist()


def test_a_direction_has_the_shape_of_what_moves(leaves):
    x, _, _, da = leaves
    with pytest.raises(ShapeError, match=r"(?s)given: .*\(3, 5\) for x.*expected: \(m, 3\)"):
        cr.directional(x * 2, {x: da})


def test_every_tangent_knows_the_forward_node_and_the_rule_it_comes_from(leaves):
    x, a, dx, da = leaves
    y = cr.tanh(x @ a) * cr.exp(x @ a)
    known = ancestors(y)
    tangents = [n for n in ancestors(*forward([y], {x: dx, a: da})) if n not in known and n not in (dx, da)]
    assert len(tangents) > 5
    for node in tangents:
        if node.inputs:
            assert node.origin.forward in known
            assert (node.origin.rule, node.origin.part) == (node.origin.forward.op.name, "tangent")
