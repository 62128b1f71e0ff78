"""Simplification as a whole: random formulas keep their value, gradients too, and names are not lost."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.calculus import reverse
from chainrule.engine import interpret
from chainrule.graph import Graph
from chainrule.graph.node import Scope, ancestors, inside
from chainrule.rewrite import collect, rewrite

# --- random formulas ----------------------------------------------------------------------------------

SHAPES = {"x": (2, 3), "y": (2, 3), "row": (3,), "column": (2, 1), "s": ()}
UNARY = {
    "negative": lambda a: -a,
    "square": lambda a: a**2,
    "reciprocal": lambda a: a**-1,
    "tanh": cr.tanh,
    "sigmoid": cr.sigmoid,
    "naive sigmoid": lambda a: 1 / (1 + cr.exp(-a)),
    "exp": cr.exp,
    "log": cr.log,
    "root of a square": lambda a: cr.sqrt(a**2),
    "relu": cr.relu,
    "mask": lambda a: cr.where(a > 0, 1.0, 0.0),
    "one minus": lambda a: 1 - a,
    "times 2": lambda a: 2 * a,
    "half": lambda a: a / 2,
    "plus 0": lambda a: a + 0,
    "total": cr.sum,
    "mean": cr.mean,
    "sum over the last axis": lambda a: cr.sum(a, -1, keepdims=True) if a.shape else a,
    "softmax": lambda a: cr.softmax(a) if a.shape else a,
    "transpose": lambda a: a.T if a.shape == () else (a.T * 3).T,
    "product": lambda a: a @ cr.constant(np.eye(3) * 2 - 1) if a.shape and a.shape[-1] == 3 else a,
    "spread": lambda a: cr.broadcast_to(a, (2, 3)),
}
BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "maximum": cr.maximum,
    "where": lambda a, b: cr.where(a > b, a, b * 3),
}


@st.composite
def formulas(draw):
    """A formula of up to twelve ops on five leaves; parts are used again and again."""
    leaves = {name: cr.input(name, shape) for name, shape in SHAPES.items()}
    pool = list(leaves.values())
    last = st.deferred(lambda: st.sampled_from(pool[-3:]))
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            pool.append(UNARY[draw(st.sampled_from(list(UNARY)))](draw(last)))
        else:
            pool.append(BINARY[draw(st.sampled_from(list(BINARY)))](draw(last), draw(st.sampled_from(pool))))
    return pool[-1]


def numbers_for(node, seed=0):
    rng = np.random.default_rng(seed)
    return {leaf: rng.uniform(0.5, 2, leaf.shape) * rng.choice([-1, 1], leaf.shape) for leaf in Graph(node).leaves()}


def well_conditioned(node, numbers):
    """The value of everything in the formula, where no rounding error is blown up on the way."""
    values = interpret([node], numbers)
    assume(all(np.all(np.isfinite(v)) and np.all(np.abs(v) < 1e3) for v in values.values()))
    for n in ancestors(node):
        if n.op.name in ("divide", "log", "power"):
            assume(np.all(np.abs(values[n.inputs[n.op.name == "divide"]]) > 0.05))
    return values


@given(formulas())
def test_a_random_formula_has_the_same_value_shape_and_kind_afterwards(formula):
    numbers = numbers_for(formula)
    expected = well_conditioned(formula, numbers)[formula]
    (simple,) = cr.simplify(formula).outputs
    assert (simple.shape, simple.dtype) == (formula.shape, formula.dtype)
    np.testing.assert_allclose(cr.evaluate(simple, numbers, as_written=True), expected, rtol=1e-9, atol=1e-7)


@given(formulas())
def test_simplifying_twice_changes_nothing_more(formula):
    (simple,) = cr.simplify(formula).outputs
    again = cr.simplify(simple)
    assert again.log == []
    assert len(Graph(again.outputs)) == len(Graph(simple))


@given(formulas())
def test_what_was_simplified_before_does_not_matter(formula):
    known, collect._shortest = collect._shortest, set()
    afresh = str(cr.simplify(formula))
    collect._shortest |= known  # those of all formulas before
    assert str(cr.simplify(formula)) == afresh


def test_what_was_simplified_before_does_not_matter_behind_a_name():
    u, v = cr.input("u", (3,)), cr.input("v", (3,))
    written = []
    for w in (u, v):  # only of the second is σ(z) + σ(w) = 1
        z = (-v).named("z")
        written.append(str(cr.simplify(cr.sigmoid(z) + cr.sigmoid(w)).outputs[0]))
    assert written[0] != "1"
    collect._shortest.clear()
    z = (-v).named("z")
    assert str(cr.simplify(cr.sigmoid(z) + cr.sigmoid(v)).outputs[0]) == written[1]


@given(formulas())
def test_the_gradient_is_the_same_with_and_without_rewriting(formula):
    J = cr.sum(cr.tanh(formula))
    leaves = list(Graph(J).leaves())
    plain = reverse(J, leaves).adjoints
    leaves = [leaf for leaf in leaves if leaf in plain]
    numbers = numbers_for(J)
    well_conditioned(J, numbers)
    before = cr.evaluate([plain[leaf] for leaf in leaves], numbers, as_written=True)
    after = cr.evaluate(cr.gradient(J, leaves), numbers, as_written=True)
    for b, a in zip(before, after, strict=True):
        assume(np.all(np.abs(b) < 1e4))
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7)


# --- textbook forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "simple"),
    [
        (lambda x, y, s: x + 0 - (-y), "x + y"),
        (lambda x, y, s: 0 * x + y * 1, "y"),
        (lambda x, y, s: -(x - y), "y − x"),
        (lambda x, y, s: x * x, "x²"),
        (lambda x, y, s: x * (1 + cr.cos(np.pi * cr.minimum(cr.constant(0.0), 1.0))), "2 · x"),
        (lambda x, y, s: x / x + y - y, "1"),
        (lambda x, y, s: (x**2) ** 3, "x⁶"),
        (lambda x, y, s: cr.exp(cr.log(x)), "x"),
        (lambda x, y, s: x * s * 2, "2 · s · x"),
        (lambda x, y, s: x.T.T, "x"),
        (lambda x, y, s: cr.sum(cr.sum(x, 1)), "Σ x"),
        (lambda x, y, s: cr.sum(s * x), "s · Σ x"),
        (lambda x, y, s: cr.sum(cr.softmax(x), -1), "1"),
        (lambda x, y, s: cr.constant(2.0) * 3 * x, "6 · x"),
        (lambda x, y, s: -y * (1 - x) + (1 - y) * x, "x − y"),
        (lambda x, y, s: x * y - y * x, "0"),
        (lambda x, y, s: 3 * x + 2 * y - x, "2 · x + 2 · y"),
        (lambda x, y, s: x * (1 / y), "x/y"),
        (lambda x, y, s: (1 / x) ** 2, "1/x²"),
        (lambda x, y, s: 3 * (1 / (1 + s)) * s**2, "3 · s²/(1 + s)"),
        (lambda x, y, s: cr.sin(s) / cr.cos(s) * (cr.sin(s) / cr.cos(s)), "(sin(s)/cos(s))²"),
        (lambda x, y, s: cr.sqrt(y**2 + 1) ** 2, "y² + 1"),
        (lambda x, y, s: 1 - cr.sigmoid(x) - cr.sigmoid(x), "1 − 2 · σ(x)"),
        (lambda x, y, s: s * x**2 + y * x + y, "s · x² + y ∘ x + y"),
        (lambda x, y, s: 0.5 * cr.mean(x), "1/(4m) · Σ x"),
        (lambda x, y, s: 0.1 * cr.mean(x), "0.05/m · Σ x"),
        (lambda x, y, s: cr.size(4) * cr.size("m") * s, "4m · s"),
        (lambda x, y, s: cr.mean(cr.sum(x * cr.mean(y, 0), 1)), "1/m² · Σ x ∘ Σ y"),
        (lambda x, y, s: -cr.where(x > 0, 0.5, -1.0), "where(x > 0, −0.5, 1)"),
        (lambda x, y, s: cr.where(x - y > 0, x, y), "where(x > y, x, y)"),
        (lambda x, y, s: cr.where(1 - x >= 0, x, y), "where(x ≤ 1, x, y)"),
        (lambda x, y, s: x**s * cr.log(x), "x^s ∘ log(x)"),
    ],
)
def test_formulas_become_what_one_would_write(formula, simple):
    x, y, s = cr.input("x", ("m", 2)), cr.input("y", ("m", 2)), cr.input("s", ())
    found = str(cr.simplify(formula(x, y, s)).outputs[0])
    assert found in (simple, simple.replace("2 · x + 2 · y", "2 · (x + y)"))


def test_equal_parts_become_one_node():
    x = cr.input("x", ("m",))
    (simple,) = cr.simplify(cr.sin(cr.exp(x)) * cr.tanh(cr.exp(x) + 0)).outputs
    assert [n.op.name for n in ancestors(simple)].count("exp") == 1


def test_constants_are_one_only_where_they_are_equal_numbers():
    byte, signed = cr.constant(np.array([255], np.uint8)), cr.constant(np.array([-1], np.int8))
    assert [v.tolist() for v in cr.evaluate([byte, signed])] == [[255], [-1]]


@pytest.mark.parametrize("p", [np.inf, np.nan], ids=str)
def test_exponents_that_are_not_numbers_stay_as_they_are(p):
    x = cr.input("x", ())
    np.testing.assert_equal(cr.evaluate((x**2) ** p + x**p, {x: 0.5}), 0.25**p + 0.5**p)


# --- names --------------------------------------------------------------------------------------------


def test_a_named_quantity_keeps_its_name_and_its_layer():
    layer = Scope("Dense")
    with inside(layer):
        W = cr.parameter("W", (2, 3))
        Z = (cr.input("x", ("m", 2)) @ W + 0).named("Z")
    (simple,) = cr.simplify(cr.sum(cr.tanh(Z) * 1)).outputs
    (found,) = [n for n in ancestors(simple) if n.name == "Z"]
    assert found.scope is layer
    assert found.op.name == "einsum"


def test_a_named_quantity_that_is_rewritten_hands_its_name_on():
    z = cr.input("z", ("m", 3))
    naive = (1 / (1 + cr.exp(-z))).named("p")
    (simple,) = cr.simplify(cr.sum(naive)).outputs
    assert [(n.name, n.op.name) for n in ancestors(simple) if n.name] == [("z", "input"), ("p", "sigmoid")]


def test_a_leaf_keeps_its_own_name_when_a_named_quantity_turns_out_to_be_it():
    x = cr.input("x", ("m",))
    (simple,) = cr.simplify(cr.exp((x * 1).named("y"))).outputs
    assert [n.name for n in ancestors(simple) if not n.inputs] == ["x"]


def test_named_constants_stay_formulas():
    rate = cr.constant(0.5, name="α")
    x = cr.input("x", ())
    assert str(cr.simplify(2 * rate * x).outputs[0]).count("α") == 1
    assert cr.evaluate(2 * rate * x, {x: 3.0}) == 3


@given(formulas(), st.integers(0, 11))
def test_names_that_survive_belong_to_quantities_of_the_same_value(formula, which):
    inner = [n for n in ancestors(formula) if n.inputs and n is not formula]
    assume(inner)
    chosen = inner[which % len(inner)]
    new = {}
    for n in ancestors(formula):
        new[n] = n.rebuilt(tuple(new[i] for i in n.inputs))
        if n is chosen:
            new[n] = new[n].named("chosen")
    numbers = numbers_for(formula)
    values = well_conditioned(formula, numbers)
    (simple,) = rewrite([new[formula]]).outputs
    for node in ancestors(simple):
        if node.name == "chosen":
            found = cr.evaluate(node, numbers, as_written=True)
            np.testing.assert_allclose(found, values[chosen], rtol=1e-9, atol=1e-7)
