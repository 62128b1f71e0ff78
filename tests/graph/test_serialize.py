"""A whole graph as plain JSON, there and back: the same numbers, sharing, names and layers, and nothing executed."""

import json
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import interpret
from chainrule.errors import ChainruleError, GraphError
from chainrule.graph import Dim, Graph
from chainrule.graph.serialize import from_data, to_data
from chainrule.ops import state


def there_and_back(*outputs):
    return from_data(json.loads(json.dumps(to_data(outputs), allow_nan=False)))


def training_step():
    """Cost, gradients and update of a network whose first layer is used twice."""
    x, y = cr.input("x", ("m", 3)), cr.input("y", ("m",), dtype="int")
    shared = cr.Dense(3, "gelu", name="shared")
    logits = cr.Dense(4)(shared(shared(x)) + x)
    cost = cr.mean(cr.categorical_cross_entropy(logits, y, from_logits=True)).named("J")
    gradients = cr.gradient(cost, Graph(logits).parameters)
    moved = [0.9 * state("v", g.shape) + g for g in gradients]
    return [cost, logits, *moved, cost]


def numbers_for(outputs):
    rng = np.random.default_rng(0)
    for leaf in Graph(outputs).leaves():
        shape = tuple(5 if isinstance(size, Dim) else size for size in leaf.shape)
        yield rng.integers(4, size=shape) if leaf.dtype == "int" else rng.normal(size=shape)


# --- there and back ---------------------------------------------------------------------------------------


def test_a_training_step_has_the_same_numbers_afterwards():
    before = training_step()
    after = there_and_back(*before)
    values = []
    for outputs in (before, after):
        feeds = dict(zip(Graph(outputs).leaves(), numbers_for(outputs), strict=True))
        found = interpret(outputs, feeds)
        values.append([found[n] for n in outputs])
    for one, other in zip(*values, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_was_shared_is_shared_and_what_was_one_output_is_one():
    before = training_step()
    after = there_and_back(*before)
    assert len(Graph(after)) == len(Graph(before))
    assert after[0] is after[-1]


def test_names_kinds_shapes_and_layers_are_kept():
    before = training_step()
    after = there_and_back(*before)
    layers = {}
    for one, other in zip(Graph(before), Graph(after), strict=True):
        assert (other.op, other.name, other.shape, other.dtype) == (one.op, one.name, one.shape, one.dtype)
        assert layers.setdefault(one.scope, other.scope) is other.scope
        if one.scope is not None:
            assert (other.scope.kind, other.scope.name) == (one.scope.kind, one.scope.name)
    assert len(set(layers.values())) == len(layers) == 3  # two layers, and outside of them
    assert [str(n) for n in after] == [str(n) for n in before]


def test_what_is_read_is_written_the_same_again():
    data = to_data(training_step())
    assert to_data(from_data(data)) == data


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        -0.0,
        np.inf,
        np.nan,
        1 / 3,
        7,
        True,
        np.float32(0.1),
        np.array([[1.0, -np.inf], [np.nan, 2.0]]),
        np.array([True, False]),
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.zeros((0, 3)),
        np.array([2.5, np.inf], np.float16),
    ],
    ids=str,
)
def test_numbers_in_a_formula_are_the_same_numbers(value):
    (after,) = there_and_back(cr.constant(value))
    before = np.asarray(value)
    assert after.shape == before.shape
    assert after.attrs["value"].dtype.kind == before.dtype.kind
    np.testing.assert_array_equal(after.attrs["value"], before)
    np.testing.assert_array_equal(np.signbit(cr.evaluate(after)), np.signbit(before.astype(float)))


def test_numbers_of_sixteen_bits_are_kept():
    import ml_dtypes

    (after,) = there_and_back(cr.constant(np.array([1.5, -2.0], ml_dtypes.bfloat16)))
    assert cr.evaluate(after).tolist() == [1.5, -2.0]


@pytest.mark.parametrize("number", [0.1, -np.inf, np.nan])
def test_numbers_among_the_settings_are_kept(number):
    (after,) = there_and_back(state("s", (2,), initial=number))
    np.testing.assert_equal(after.attrs["initial"], number)


@pytest.mark.parametrize("size", [Dim("m"), 2 * Dim("m") + 3, Dim("m") * Dim("n") - 1, 4], ids=str)
def test_sizes_are_kept(size):
    (after,) = there_and_back(cr.broadcast_to(cr.constant(0.5), (size, 1)))
    assert after.shape == (size, 1)


def test_how_parameters_start_and_where_the_user_s_files_lie_is_not_written():
    text = json.dumps(to_data([cr.Dense(2, kernel_initializer=lambda shape, rng: np.ones(shape))(cr.input("x", (3,)))]))
    assert "initializer" not in text
    assert "test_serialize" not in text


# --- what is refused --------------------------------------------------------------------------------------

LEAF = {"op": "input", "name": "x", "settings": {"shape": {"tuple": [2, 3]}, "dtype": "float", "distribution": False}}


def graph(*nodes, layers=(), outputs=(-1,)):
    nodes = [LEAF, *nodes]
    return {"layers": list(layers), "nodes": nodes, "outputs": [len(nodes) + i if i < 0 else i for i in outputs]}


def test_the_graph_that_is_spoilt_below_can_be_read():
    (node,) = from_data(graph({"op": "exp", "inputs": [0], "layer": 0}, layers=[{"kind": "Dense", "name": None}]))
    assert str(node) == "exp(x)"


REFUSED = {
    "an op that is not known": (graph({"op": "tahn", "inputs": [0]}), ["no op", "'tahn'", "did you mean 'tanh'"]),
    "a function of Python's": (
        graph({"op": "os.system", "inputs": [0]}),
        ["no op", "'os.system'", "declare it before"],
    ),
    "an op that is no text": (graph({"op": ["exp"], "inputs": [0]}), ["not a graph"]),
    "no op": (graph({"inputs": [0]}), ["not a graph", "'op'"]),
    "too many operands": (graph({"op": "exp", "inputs": [0, 0]}), ["exp takes 1 operand", "2"]),
    "operands that do not fit": (
        graph({"op": "einsum", "inputs": [0, 0], "settings": {"spec": "ij,jk->ik"}}),
        ["einsum", "x (2, 3) and x (2, 3)"],
    ),
    "an operand that comes later": (graph({"op": "exp", "inputs": [1]}), ["not a graph"]),
    "an operand that is not there": (graph({"op": "exp", "inputs": [7]}), ["not a graph"]),
    "an operand counted from the end": (graph({"op": "exp", "inputs": [-1]}), ["not a graph", "no node -1"]),
    "an operand that is no number": (graph({"op": "exp", "inputs": ["0"]}), ["not a graph"]),
    "an output that is not there": (graph(outputs=[3]), ["not a graph"]),
    "an output counted from the end": (graph() | {"outputs": [-1]}, ["not a graph", "no node -1"]),
    "a setting that is missing": (graph({"op": "sum", "inputs": [0]}), ["not a graph", "axes"]),
    "settings that are a list": (graph({"op": "exp", "inputs": [0], "settings": [1]}), ["not a graph"]),
    "a setting of no known form": (
        graph({"op": "exp", "inputs": [0], "settings": {"a": {"code": 1}}}),
        ["not a graph"],
    ),
    "a layer that is not there": (graph({"op": "exp", "inputs": [0], "layer": 2}), ["not a graph"]),
    "no nodes": ({"layers": [], "outputs": []}, ["not a graph", "nodes"]),
    "a node that is a text": (graph("exp"), ["not a graph"]),
    "a list": ([], ["not a graph"]),
    "nothing": (None, ["not a graph"]),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_graph_is_refused(data, words):
    with pytest.raises(ChainruleError) as caught:
        from_data(data)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert re.search("^  given:", str(caught.value), re.MULTILINE)


def test_a_setting_that_is_no_plain_data_cannot_be_written():
    x = cr.input("x", (2,))
    node = cr.exp.make((x,), {"by": print})
    with pytest.raises(GraphError, match=r"(?s)cannot be written.*print.*a number, a text or a tuple"):
        to_data([node])
