"""Compiled formulas are the interpreted ones, and a program is compiled once for each combination of shapes."""

import jax
import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import interpret
from chainrule.engine.xla import compile_nodes
from chainrule.errors import DTypeError, GraphError, ShapeError
from chainrule.graph import Dim, Graph

X, Y = cr.input("x", ("m", 3)), cr.input("y", ("m",), dtype="int")
LOGITS = cr.Dense(4)(cr.Dense(8, "gelu")(X))
J = cr.mean(cr.categorical_cross_entropy(LOGITS, Y, from_logits=True))
PARAMETERS = Graph(J).parameters
STEP = [J, cr.softmax(LOGITS), cr.argmax(LOGITS), LOGITS > 0, *cr.gradient(J, PARAMETERS)]


def numbers(rows, dtype="float64"):
    rng = np.random.default_rng(rows)
    fed = {X: rng.normal(size=(rows, 3)).astype(dtype), Y: rng.integers(4, size=rows)}
    return fed | {p: rng.normal(size=p.shape).astype(dtype) for p in PARAMETERS}


# --- the same numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-12)])
def test_a_training_step_has_the_numbers_of_the_interpreter(dtype, tolerance):
    step = compile_nodes(STEP, dtype)
    for rows in (1, 6):
        fed = numbers(rows, dtype)
        true = interpret(STEP, fed)
        for node, value in zip(STEP, step(fed), strict=True):
            np.testing.assert_allclose(value, true[node], rtol=tolerance, atol=tolerance)
            assert value.dtype.kind == true[node].dtype.kind
            assert value.dtype == dtype or node.dtype != "float"


def test_the_precision_is_chosen_when_it_is_compiled():
    fed = numbers(4)
    assert [compile_nodes([J], dtype)(fed)[0].dtype.name for dtype in (None, "float16", "float64")] == [
        "float32",
        "float16",
        "float64",
    ]


def test_a_fixed_float64_in_a_program_of_float32_keeps_its_digits():
    third = cr.cast(X, "float64") / 3
    fed = {X: np.ones((1, 3))}
    value, single = compile_nodes([third, cr.sum(X)])(fed)
    assert (value.dtype, single.dtype) == (np.float64, np.float32)
    assert value[0, 0] == 1 / 3


def test_a_compilation_in_double_precision_leaves_jax_as_it_was():
    compile_nodes([J], "float64")(numbers(4))
    assert jax.numpy.ones(1).dtype == np.float32


def test_what_comes_out_are_arrays_of_one_s_own():
    step = compile_nodes([X * 1, X * 1], single=False)
    one, other = step({X: np.zeros((2, 3))})
    assert type(one) is np.ndarray
    assert type(compile_nodes([X * 1], single=True)({X: np.zeros((2, 3))})) is np.ndarray
    assert not np.shares_memory(one, other)


def test_a_formula_without_leaves():
    (value,) = compile_nodes([cr.eye(3) * 2])({})
    np.testing.assert_array_equal(value, 2 * np.eye(3))


# --- what is compiled, and when ---------------------------------------------------------------------------


def test_a_second_call_with_the_same_shapes_compiles_nothing(compiled):
    step = compile_nodes(STEP)
    step(numbers(5))
    first = len(compiled)
    for fed in (numbers(5), numbers(5, "float32"), {n.name if n in (X, Y) else n: v for n, v in numbers(5).items()}):
        step(fed)
        step(dict(reversed(fed.items())))
    assert (first, len(compiled)) == (1, 1)


def test_other_shapes_are_another_program_and_the_first_one_is_kept(compiled):
    step = compile_nodes([LOGITS])
    for rows in (2, 3, 2, 3):
        fed = numbers(rows)
        del fed[Y]
        step(fed)
    assert len(compiled) == 2


def test_several_outputs_are_one_program(compiled):
    compile_nodes(STEP)(numbers(7))
    assert len(compiled) == 1


def test_a_quantity_in_the_middle_can_be_fed_and_what_is_before_it_is_not_asked_for():
    h = cr.tanh(X)
    step = compile_nodes([cr.sum(h * 2)])
    assert step({X: np.zeros((2, 3))}) == [0]
    assert step({h: np.ones((2, 3))}) == [12]
    assert step({X: np.zeros((2, 3))}) == [0]


# --- what is fed ------------------------------------------------------------------------------------------

TWICE = cr.input("t", (2 * Dim("m"),))
WRONG = {
    "a missing leaf": ([J], {X: np.ones((2, 3))}, GraphError, ["numbers are missing", "also", "W: float (3, 8)"]),
    "another number of columns": ([X * 1], {X: np.ones((2, 4))}, ShapeError, ["x", "(2, 4)", "(m, 3)"]),
    "rows that do not agree": ([J], numbers(5) | {Y: [1]}, ShapeError, ["y has the wrong shape", "(1,)", "m = 5"]),
    "sizes that do not agree": (
        [X * 1, TWICE],
        {X: np.ones((2, 3)), TWICE: np.ones(5)},
        ShapeError,
        ["t", "(2m,)", "m = 2"],
    ),
    "fractions for whole numbers": ([Y * 1], {Y: [0.5]}, DTypeError, ["y takes whole numbers", "0.5"]),
    "a whole number that is too large": (
        [Y * 1],
        {Y: [0, 2**31]},
        DTypeError,
        ["y takes whole numbers of 32 bits", f"{2**31}", "float64"],
    ),
}


@pytest.mark.parametrize(("outputs", "feeds", "kind", "words"), WRONG.values(), ids=WRONG)
def test_wrong_numbers_are_refused_before_anything_is_compiled(compiled, outputs, feeds, kind, words):
    with pytest.raises(kind) as caught:
        compile_nodes(outputs)(feeds)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert compiled == []


def test_a_large_whole_number_fits_in_double_precision():
    assert compile_nodes([Y + 1], "float64")({Y: [2**40]})[0].tolist() == [2**40 + 1]


def test_many_points_in_one_program_are_the_points_one_by_one():
    x, w, b = cr.input("x", ("m", 3)), cr.parameter("w", (3,)), cr.input("b", ())
    compiled = compile_nodes([cr.sum(cr.tanh(x @ w + b)), x @ w], np.float64)
    rng = np.random.default_rng(0)
    feeds = {x: rng.normal(size=(5, 3))}
    ws, bs = rng.normal(size=(7, 3)), rng.normal(size=7)
    sums, products = compiled.over({w: ws, "b": bs}, feeds, at_once=3)
    each = [compiled({**feeds, w: ws[k], b: bs[k]}) for k in range(7)]
    np.testing.assert_allclose(sums, [s for s, _ in each])
    np.testing.assert_allclose(products, [p for _, p in each])


def test_it_says_what_it_computes_in_which_precision():
    x = cr.input("x", ("m", 2))
    found = repr(cr.compile([cr.mean(x).named("J"), cr.sin(x)], dtype="float64"))
    assert found == "<Compiled: J (), sin (m, 2), in float64>"
