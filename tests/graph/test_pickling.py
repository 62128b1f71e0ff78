"""Nodes that are copied are themselves; pickled, they are the same graph again."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.node import ancestors
from chainrule.graph.op import REGISTRY


@pytest.mark.parametrize("name", ["tanh", "einsum", "loop", "draw"])
def test_there_is_one_op_of_a_name(name):
    op = REGISTRY[name]
    assert copy.deepcopy(op) is op
    assert pickle.loads(pickle.dumps(op)) is op


def test_a_node_that_is_copied_is_itself():
    y = cr.tanh(cr.input("x", ("m", 2)))
    assert copy.copy(y) is y
    assert copy.deepcopy([y])[0] is y


def test_a_pickled_node_is_the_same_graph():
    x = cr.input("x", ("m", 2))
    W = cr.parameter("W", (2, 3), initializer="he_normal")
    h = cr.tanh(x @ W)
    y = cr.sum(h * h + cr.constant(np.eye(3))[0])
    read = pickle.loads(pickle.dumps(y))
    assert str(read) == str(y)
    assert len(ancestors(read)) == len(ancestors(y))  # what is used twice is one node
    data = {"x": [[1.0, 2.0]], "W": np.arange(6.0).reshape(2, 3)}
    assert cr.evaluate(read, data) == cr.evaluate(y, data)
    start = [n.attrs["initializer"] for n in ancestors(read) if n.op.name == "parameter"]
    assert start == [W.attrs["initializer"]]


def test_a_chain_of_ten_thousand_nodes():
    y = cr.input("x", ())
    for _ in range(10_000):
        y = y + 1.0
    assert cr.evaluate(pickle.loads(pickle.dumps(y)), {"x": 0.0}) == 10_000


def test_a_loop_and_the_network_around_it():
    x = cr.input("X", ("m", 5, 3))
    network = cr.Model(x, cr.Dense(2)(cr.GRU(4)(x)))
    read = pickle.loads(pickle.dumps(network))
    rng = np.random.default_rng(0)
    data, values = rng.normal(size=(6, 5, 3)), [rng.normal(size=p.shape) for p in network.parameters]
    one = cr.evaluate(network.output, {x: data} | dict(zip(network.parameters, values, strict=True)))
    other = cr.evaluate(read.output, {read.inputs[0]: data} | dict(zip(read.parameters, values, strict=True)))
    assert (one == other).all()
    assert [p.scope.kind for p in read.parameters] == [p.scope.kind for p in network.parameters]
