"""A chain of 10,000 nodes goes through every room: no recursion, and no more nodes than the chain asks for."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.calculus import forward, reverse
from chainrule.graph import Graph
from chainrule.graph.graph import check_legal
from chainrule.graph.node import ancestors
from chainrule.graph.serialize import from_data, to_data

DEPTH = 10_000
AT = 0.5


def chain(depth, step=cr.sin):
    x = cr.input("x", ())
    y = x
    for _ in range(depth):
        y = step(y)
    return x, y


def by_hand(depth):
    """The sine of the sine of …, and its slope by the chain rule, in plain Python."""
    value, slope = AT, 1.0
    for _ in range(depth):
        slope *= math.cos(value)
        value = math.sin(value)
    return value, slope


@pytest.fixture(scope="module", name="deep")
def _deep():
    x, y = chain(DEPTH)
    return x, y, cr.gradient(y, x)


def test_it_is_derived_and_runs(deep):
    x, y, dx = deep
    np.testing.assert_allclose(cr.evaluate([y, dx], {x: AT}, as_written=True), by_hand(DEPTH), rtol=1e-9)


def test_forward_mode_goes_as_deep(deep):
    x, y, _ = deep
    (tangent,) = forward([y], {x: cr.constant(1.0)})
    np.testing.assert_allclose(cr.evaluate(tangent, {x: AT}, as_written=True), by_hand(DEPTH)[1], rtol=1e-9)


def test_a_chain_is_written_as_it_is(deep):
    _, y, _ = deep
    assert str(y) == "sin(" * DEPTH + "x" + ")" * DEPTH
    assert y.latex().count(r"\sin") == DEPTH


def test_its_derivative_is_written_with_shared_parts_named(deep):
    _, _, dx = deep
    text = str(dx)
    assert text.count("cos(") == DEPTH
    assert len(text) < 50 * DEPTH  # written out again at every use, it would be longer by a factor of DEPTH
    latex = dx.latex()
    assert latex.count(r"\cos") == DEPTH
    assert latex.count("{") == latex.count("}")


def test_it_is_checked_and_stored_and_read_again(deep):
    _, y, _ = deep
    check_legal(Graph(y))
    (again,) = from_data(to_data([y]))
    assert str(again) == str(y)


def test_it_simplifies_to_what_is_left_of_it():
    x, y = chain(DEPTH // 4, lambda y: cr.negative(-y) * 2 / 2)
    assert len(Graph(y)) > DEPTH
    assert cr.simplify(y).outputs == (x,)


def test_ten_thousand_terms_become_one():
    x = cr.input("x", ())
    total = x
    for _ in range(DEPTH - 1):
        total = total + x
    assert str(cr.simplify(total).outputs[0]) == "10000 · x"


@pytest.mark.parametrize("step", [cr.sin, cr.tanh, lambda y: y + cr.sin(y) * y], ids=["sin", "tanh", "a skip"])
def test_the_derivative_grows_by_the_same_number_of_nodes_for_every_link(step):
    raw, simple = [], []
    for depth in (30, 60, 90):
        x, y = chain(depth, step)
        raw.append(len(ancestors(reverse(y, [x]).adjoints[x])))
        simple.append(len(ancestors(cr.gradient(y, x))))
    for first, second, third in (raw, simple):
        assert third - second == second - first
        assert third < 15 * 90


def test_xla_runs_a_deep_chain():
    depth = 300
    x, y = chain(depth)
    found = cr.compile([y, cr.gradient(y, x)])({x: AT})
    np.testing.assert_allclose(found, by_hand(depth), rtol=1e-4)
