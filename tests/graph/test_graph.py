"""A graph: its leaves in the order in which they are met, who uses what, and whether it keeps the rules of its ops."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import GraphError
from chainrule.graph import Graph, Node, check_legal, depends_on
from chainrule.ops import state

X, Y = cr.input("x", ("m", 2)), cr.input("y", ("m", 1))
W, B, V = cr.parameter("W", (2, 1)), cr.parameter("b", (1,)), state("v", (2, 1))
Z = X @ W + B
J = cr.mean((Z - Y) ** 2)


def names(nodes):
    return [node.name for node in nodes]


# --- what it is made of -----------------------------------------------------------------------------------


def test_one_node_or_many_make_a_graph():
    assert Graph(J).outputs == (J,)
    assert Graph([J, Z]).outputs == (J, Z)
    assert Graph(n for n in (Z, Z)).outputs == (Z, Z)
    assert Graph({Z: 1}).outputs == (Z,)
    assert (len(Graph([])), Graph([]).leaves()) == (0, ())


def test_leaves_come_in_the_order_in_which_the_formula_meets_them():
    assert names(Graph(J).leaves()) == ["x", "W", "b", "y"]
    assert names(Graph([Y * 2, J]).leaves()) == ["y", "x", "W", "b"]
    assert names(Graph(V - 0.1 * X.T @ (Z - Y)).leaves()) == ["v", "x", "W", "b", "y"]


def test_leaves_are_told_apart_by_their_kind():
    graph = Graph([J, V + 1])
    assert names(graph.inputs) == ["x", "y"]
    assert names(graph.parameters) == ["W", "b"]
    assert names(graph.leaves("state")) == ["v"]
    assert names(graph.leaves("state", "input")) == ["x", "y", "v"]


def test_constants_and_sizes_are_no_leaves_that_numbers_are_fed_to():
    graph = Graph(cr.size("m") * cr.constant(2.0, name="c") + cr.eye("m"))
    assert graph.leaves() == ()
    assert {n.op.name for n in graph} >= {"size", "constant", "eye"}


def test_its_nodes_are_listed_once_each_operands_first():
    graph = Graph([J, Z, J])
    assert len(graph) == len(set(graph)) == len(list(graph))
    at = {node: i for i, node in enumerate(graph)}
    assert all(at[operand] < at[node] for node in graph for operand in node.inputs)
    assert J in graph
    assert V not in graph


def test_a_node_that_is_used_twice_has_two_consumers():
    square, total = X * X, X.sum()
    consumers = Graph([square, total]).consumers
    assert consumers[X] == (square, square, total)
    assert consumers[square] == ()


@pytest.mark.parametrize("outputs", [3, "J", None, [J, 2.0], [[J]]], ids=str)
def test_an_output_is_a_node(outputs):
    with pytest.raises(GraphError, match=r"an output of a graph is a node\n  given:"):
        Graph(outputs)


def test_what_lies_between_leaves_and_outputs():
    twice, elsewhere = 2 * W, X * 3
    between = depends_on([Z, twice, elsewhere], [W])
    assert {W, twice, Z} <= between
    assert not between & {X, B, elsewhere}
    assert depends_on([Z], []) == set()


# --- whether it is legal ----------------------------------------------------------------------------------


def forged(node, **facts):
    """The node with facts that its op does not give it."""
    facts = {"inputs": node.inputs, "shape": node.shape, "dtype": node.dtype} | facts
    return Node(node.op, facts["inputs"], node.attrs, facts["shape"], facts["dtype"])


def test_a_training_step_is_legal():
    check_legal(Graph([J, *cr.gradient(J, [W, B]), X > 0, cr.argmax(X)]))


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (forged(cr.tanh(X), shape=(3,)), ["a node's shape", "tanh: (3,)", "(m, 2)"]),
        (forged(cr.tanh(X), dtype="int"), ["a node's dtype", "tanh: int", "float"]),
        (forged(X @ W, shape=("m", 2)), ["a node's shape", "einsum", "(m, 1)"]),
        (forged(X > 0, dtype="float"), ["a node's dtype", "greater: float", "bool"]),
        (forged(cr.tanh(X), inputs=(X, X)), ["tanh takes 1 operand", "2"]),
    ],
    ids=lambda given: "" if isinstance(given, list) else given.op.name,
)
def test_a_node_that_breaks_its_op_s_rule_is_found_wherever_it_is(node, words):
    with pytest.raises(ValueError, match=r"\n  given:") as caught:
        check_legal(Graph(Node(cr.abs, (node,), {}, node.shape, node.dtype)))
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_graph_does_not_change_when_it_is_used():
    graph = Graph(J)
    before = [(n, n.inputs, n.name, n.shape) for n in graph]
    cr.evaluate(J, {X: np.ones((3, 2)), Y: np.ones((3, 1)), W: np.ones((2, 1)), B: np.ones(1)})
    cr.gradient(J, W)
    str(J), J.latex(), J.svg()
    assert [(n, n.inputs, n.name, n.shape) for n in Graph(J)] == before


def test_rows_at_once_keep_the_widest_quantity_within_bounds():
    x = cr.input("x", ("m", 28, 28))
    graph = Graph(cr.sum(cr.reshape(x, ("m", 784)) @ np.ones((784, 3000))))
    assert graph.rows_at_once(numbers=3000 * 100) == 64
    assert graph.rows_at_once(most=32) == 32
    assert graph.rows_at_once(numbers=1) == 1
