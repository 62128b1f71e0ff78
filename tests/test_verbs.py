"""The verbs on formulas: one node or several, by node or by name, in both engines; wrong arguments teach."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, DerivativeError, DTypeError, GraphError, ShapeError
from chainrule.graph.node import ancestors
from chainrule.verbs import derive

X, W, S = cr.input("x", ("m", 2)), cr.parameter("W", (2, 3)), cr.input("s", ())
J = cr.sum(cr.tanh(X @ W) * S)
NUMBERS = {X: np.array([[0.5, -1.0], [2.0, 0.25]]), W: np.linspace(-1, 1, 6).reshape(2, 3), S: 3.0}
VALUE = 3 * np.sum(np.tanh(NUMBERS[X] @ NUMBERS[W]))

# --- what they take and give --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "run",
    [lambda nodes, feeds: cr.evaluate(nodes, feeds, dtype="float32"), lambda nodes, feeds: cr.compile(nodes)(feeds)],
    ids=["evaluate", "compile"],
)
def test_one_node_gives_an_array_several_give_a_list_and_names_do_as_well_as_nodes(run):
    by_name = {node.name: numbers for node, numbers in NUMBERS.items()}
    for feeds in (NUMBERS, by_name):
        (first, second), single = run([J, X], feeds), run(J, feeds)
        np.testing.assert_allclose(single, VALUE, rtol=1e-6)
        np.testing.assert_allclose(first, VALUE, rtol=1e-6)
        np.testing.assert_allclose(second, NUMBERS[X], rtol=1e-6)
        assert {a.dtype for a in (first, second, single)} == {np.dtype(np.float32)}
    assert run([], {}) == []


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", np.float32, "bfloat16"], ids=str)
def test_the_working_precision_is_chosen_when_it_runs(dtype):
    values = cr.evaluate([J, X @ W, cr.erf(X), cr.gelu(X)], NUMBERS, dtype=dtype)
    assert {v.dtype for v in values} == {values[0].dtype}
    value = values[0]
    assert value.dtype.name == (dtype if isinstance(dtype, str) else "float32")
    np.testing.assert_allclose(float(value), VALUE, rtol={"float16": 1e-2, "bfloat16": 5e-2}.get(dtype, 1e-6))


def test_evaluate_takes_the_precision_of_what_is_fed():
    single = {k: np.asarray(v, np.float32) for k, v in NUMBERS.items()}
    assert cr.evaluate(J, single).dtype == np.float32
    assert cr.evaluate(J, {**single, S: np.float64(3)}).dtype == np.float64


def test_compile_computes_in_float64_on_request():
    value = cr.compile(J, dtype="float64")(NUMBERS)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, VALUE, rtol=1e-14)


def test_a_compiled_formula_is_called_again_with_other_sizes():
    step = cr.compile(cr.mean(X))
    assert [float(step({X: np.full((rows, 2), rows)})) for rows in (3, 5, 3)] == [3, 5, 3]


def test_a_leaf_that_drops_out_of_the_simple_form_may_still_be_fed():
    y = cr.input("y", ("m", 2))
    assert cr.evaluate(0 * X + y, {X: np.ones((2, 2)), y: np.ones((2, 2))}).tolist() == [[1, 1], [1, 1]]
    assert cr.compile(cr.gradient(cr.sum(X), X))({X: np.ones((3, 2))}).shape == (3, 2)
    assert cr.evaluate(cr.gradient(cr.sum(X), X), {}, sizes={"m": 3}).shape == (3, 2)


def test_a_quantity_in_the_middle_can_be_fed():
    h = cr.tanh(X @ W)
    assert cr.evaluate(cr.sum(h) * 2, {h: np.ones((4, 3))}) == 24


def test_the_stable_form_is_computed_unless_asked_otherwise():
    naive = cr.log(1 + cr.exp(S))
    assert cr.evaluate(naive, {S: 1e3}) == 1e3
    assert cr.evaluate(naive, {S: 1e3}, as_written=True) == np.inf


def test_equal_compares_numbers_and_equality_compares_nodes():
    other = cr.input("x", ("m", 2))
    assert other != X
    assert {X: 1}[X] == 1
    assert cr.evaluate(cr.equal(X, 1.0), {X: [[1, 2]]}).tolist() == [[True, False]]


def test_a_derivation_knows_the_derivative_by_every_quantity_on_the_way():
    h = X @ W
    cost = cr.sum(cr.tanh(h) ** 2)
    derivation = derive(cost, [W])
    t = np.tanh(NUMBERS[X] @ NUMBERS[W])
    dh, dW = cr.evaluate([derivation.adjoint(h), derivation.gradients[0]], NUMBERS)
    np.testing.assert_allclose(dh, 2 * t * (1 - t**2))
    np.testing.assert_allclose(dW, NUMBERS[X].T @ dh)
    assert derivation.adjoint(cr.input("elsewhere", ())) is None
    assert str(derivation.output) == str(cr.simplify(cost).outputs[0])


def test_nothing_that_is_derived_changes_the_formula_it_is_derived_from():
    before = [(n, n.inputs, n.name) for n in ancestors(J)]
    cr.gradient(J, [W, X])
    cr.simplify(J)
    assert [(n, n.inputs, n.name) for n in ancestors(J)] == before


# --- wrong arguments ----------------------------------------------------------------------------------

I = cr.input("i", (2,), dtype="int")  # noqa: E741
WRONG = {
    "gradient of a number": (lambda: cr.gradient(3.0, X), GraphError, ["the cost is not a node", "float: 3.0"]),
    "gradient of a list": (lambda: cr.gradient([J], X), GraphError, ["the cost is not a node", "list"]),
    "gradient by a name": (lambda: cr.gradient(J, "W"), GraphError, ["not a node", "str: W", "an input, a parameter"]),
    "gradient by nothing": (lambda: cr.gradient(J, None), GraphError, ["not a node", "NoneType"]),
    "gradient by a name among nodes": (lambda: cr.gradient(J, [W, "x"]), GraphError, ["not a node", "str: x"]),
    "gradient of an array": (
        lambda: cr.gradient(X, X),
        DerivativeError,
        ["single number", "x: float (m, 2)", "cr.mean"],
    ),
    "gradient by whole numbers": (lambda: cr.gradient(J, I), DerivativeError, ["whole numbers", "i: int (2,)"]),
    "gradient of a position": (
        lambda: cr.gradient(cr.argmax(W[0]), W),
        DerivativeError,
        ["argmax", "zero almost everywhere", "Train with softmax"],
    ),
    "directional along a number": (
        lambda: cr.directional(J, {S: 1.0}),
        GraphError,
        ["a direction is not a node", "1.0"],
    ),
    "directional along a list": (
        lambda: cr.directional(J, [S]),
        GraphError,
        ["mapping", "list", "{node: its direction"],
    ),
    "directional of the wrong shape": (lambda: cr.directional(J, {X: S}), ShapeError, ["()", "x", "(m, 2)"]),
    "evaluate a name": (lambda: cr.evaluate("J", NUMBERS), GraphError, ["not a node", "str: J"]),
    "evaluate nothing": (lambda: cr.evaluate(None), GraphError, ["not a node", "NoneType"]),
    "evaluate a list of lists": (lambda: cr.evaluate([[J]], NUMBERS), GraphError, ["not a node", "list"]),
    "feeds in a list": (lambda: cr.evaluate(J, [1, 2]), GraphError, ["mapping", "list: [1, 2]", "{node: numbers"]),
    "a missing feed": (
        lambda: cr.evaluate(J, {W: NUMBERS[W], S: 1}),
        GraphError,
        ["missing", "W, s", "x: float (m, 2)"],
    ),
    "a misspelt name": (
        lambda: cr.evaluate(J * cr.input("price", ()), {"prize": 1.0}),
        GraphError,
        ["'prize'", "one of", "did you mean 'price'"],
    ),
    "an array of the wrong shape": (
        lambda: cr.evaluate(X * 1, {X: np.ones((2, 3))}),
        ShapeError,
        ["x", "(2, 3)", "(m, 2)"],
    ),
    "sizes that contradict each other": (
        lambda: cr.evaluate(X * cr.input("y", ("m", 2)), {"x": np.ones((4, 2)), "y": np.ones((5, 2))}),
        ShapeError,
        ["(5, 2)", "(m, 2)", "m = 4"],
    ),
    "a size that nothing tells": (
        lambda: cr.evaluate(cr.size("m") * 2),
        ShapeError,
        ["size m is not known", "sizes={'m'"],
    ),
    "text for numbers": (lambda: cr.evaluate(S * 1, {S: "abc"}), DTypeError, ["for s", "integer codes"]),
    "a fraction for a whole number": (lambda: cr.evaluate(I + 1, {I: [0.5, 1]}), DTypeError, ["i takes whole", "0.5"]),
    "rows of different lengths": (lambda: cr.evaluate(X * 1, {X: [[1, 2], [3]]}), DTypeError, ["numbers for x"]),
    "a precision that is none": (lambda: cr.evaluate(J, NUMBERS, dtype="int32"), DTypeError, ["int32", "float32"]),
    "a precision that is no type": (lambda: cr.evaluate(J, NUMBERS, dtype="double-double"), DTypeError, ["float32"]),
    "compile a name": (lambda: cr.compile("J"), GraphError, ["not a node", "str: J"]),
    "compile in whole numbers": (lambda: cr.compile(J, dtype="int8"), DTypeError, ["int8", "bfloat16, float16"]),
    "call what is compiled without numbers": (
        lambda: cr.compile(J)({}),
        GraphError,
        ["missing", "nothing", "x: float"],
    ),
    "call what is compiled with a list": (lambda: cr.compile(J)([1]), GraphError, ["mapping", "list"]),
    "simplify a number": (lambda: cr.simplify(2.0), GraphError, ["a formula is not a node", "float: 2.0"]),
    "check what is in the middle": (lambda: cr.check_gradient(J, J * 1, NUMBERS), GraphError, ["only leaves"]),
    "check by a name": (lambda: cr.check_gradient(J, "W", NUMBERS), GraphError, ["not a node", "str: W"]),
    "check without numbers": (lambda: cr.check_gradient(3 * S, S, {}), GraphError, ["missing", "s: float ()"]),
    "check with a list": (lambda: cr.check_gradient(J, W, [1]), GraphError, ["mapping", "list"]),
    "check with too few derivatives": (
        lambda: cr.check_gradient(J, [W, X], NUMBERS, gradients=[W]),
        GraphError,
        ["one derivative for each node", "(2, 3) for W, (m, 2) for x"],
    ),
    "check with a derivative of another shape": (
        lambda: cr.check_gradient(J, W, NUMBERS, gradients=W.T),
        GraphError,
        ["of its shape", "(3, 2)", "(2, 3) for W"],
    ),
    "equal of shapes that do not fit": (
        lambda: cr.equal(W, cr.input("q", (5,))),
        ShapeError,
        ["equal", "W (2, 3)", "q (5,)"],
    ),
    "a node as a truth value": (lambda: bool(cr.equal(S, 1)), DTypeError, ["no truth value", "cr.where"]),
    "a node as a number": (lambda: float(S), DTypeError, ["no value yet", "cr.evaluate"]),
}


@pytest.mark.parametrize(("call", "kind", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_an_error_that_says_what_was_given_and_what_to_do(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, ChainruleError)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert re.search(r"^  (given|expected|hint):", message, re.MULTILINE), message
