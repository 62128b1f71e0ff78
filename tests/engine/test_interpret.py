"""The interpreter against NumPy: the value of every node in the precision asked for, and of no node without need."""

from collections import Counter

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import interpret, program
from chainrule.errors import ChainruleError, DataError, DTypeError, GraphError, ShapeError
from chainrule.graph import Dim, Graph

X, Y = cr.input("x", ("m", 3)), cr.input("y", ("m",), dtype="int")
W, B = cr.parameter("W", (3, 4)), cr.parameter("b", (4,))
Z = X @ W + B
P = cr.softmax(cr.tanh(Z))
J = -cr.mean(cr.log(cr.sum(P * cr.one_hot(Y, 4), axis=1)))

RNG = np.random.default_rng(0)
NUMBERS = {X: RNG.normal(size=(5, 3)), Y: RNG.integers(4, size=5), W: RNG.normal(size=(3, 4)), B: RNG.normal(size=4)}
TOLERANCE = {np.float16: 5e-3, np.float32: 2e-6, np.float64: 1e-14}


def by_hand(x, y, w, b):
    z = x @ w + b
    e = np.exp(np.tanh(z))
    p = e / e.sum(axis=1, keepdims=True)
    return z, p, -np.mean(np.log(p[np.arange(len(y)), y]))


def in_precision(dtype):
    return {n: v.astype(dtype) if v.dtype.kind == "f" else v for n, v in NUMBERS.items()}


# --- values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("fed", TOLERANCE)
def test_values_are_numpy_s_in_the_precision_asked_for(fed, dtype):
    values = interpret([Z, P, J], in_precision(fed), dtype)
    for node, true in zip((Z, P, J), by_hand(*NUMBERS.values()), strict=True):
        assert values[node].dtype == dtype
        np.testing.assert_allclose(values[node], true, rtol=max(TOLERANCE[fed], TOLERANCE[dtype]) * 10)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_precision_is_that_of_what_is_fed(dtype):
    assert interpret([J], in_precision(dtype))[J].dtype == dtype
    assert interpret([J], in_precision(dtype) | {B: np.zeros(4)})[J].dtype == np.float64  # the widest


def test_lists_and_whole_numbers_are_fed_as_float64():
    assert interpret([X * 1], {X: [[1, 2, 3]]}).popitem()[1].dtype == np.float64


def test_a_fixed_kind_of_number_stays_what_it_is():
    half, whole = cr.cast(X, "float16"), cr.argmax(X)
    values = interpret([half, whole, X > 0], {X: NUMBERS[X]}, "float64")
    assert [v.dtype.name for v in values.values()] == ["float64", "float16", "int64", "float64", "bool"]


def test_overflow_and_division_by_zero_are_numbers_and_no_warning():
    x = cr.input("x", (2,))
    y = 1 / x + cr.exp(x)
    np.testing.assert_array_equal(interpret([y], {x: [0.0, 1e4]})[y], [np.inf, np.inf])


def test_what_is_fed_is_left_as_it_is():
    before = {n: v.copy() for n, v in NUMBERS.items()}
    interpret([J], NUMBERS, "float32")
    interpret([J], NUMBERS)
    for node, value in NUMBERS.items():
        np.testing.assert_array_equal(value, before[node])


# --- what is computed -------------------------------------------------------------------------------------


@pytest.fixture
def computed(monkeypatch):
    """How often each node was computed."""
    count = Counter()
    apply = program.apply
    monkeypatch.setattr(program, "apply", lambda xp, node, *rest: (count.update([node]), apply(xp, node, *rest))[1])
    return count


def test_every_value_on_the_way_is_kept_and_each_computed_once(computed):
    values = interpret([J, P], NUMBERS)
    assert set(values) == set(Graph([J, P]))
    assert computed == Counter(set(Graph([J, P])) - set(NUMBERS))


def test_nothing_that_the_output_does_not_need_is_computed(computed):
    values = interpret([Z], {n: NUMBERS[n] for n in (X, W, B)})
    assert set(values) == set(Graph(Z))
    assert J not in computed


def test_nothing_before_a_quantity_that_is_fed_is_computed_or_asked_for(computed):
    e = np.exp(np.tanh(np.ones((5, 4))))
    values = interpret([P], {Z: np.ones((5, 4))})
    np.testing.assert_allclose(values[P], e / e.sum(axis=1, keepdims=True))
    assert not {X, W, B} & set(values)
    assert Z not in computed


def test_a_leaf_is_asked_for_where_a_fed_quantity_is_not_the_only_way_to_it():
    with pytest.raises(GraphError, match=r"(?s)numbers are missing.*also b: float"):
        interpret([cr.sum(Z) + cr.sum(B)], {Z: np.ones((5, 4))})


# --- what is fed ------------------------------------------------------------------------------------------

TWICE = cr.input("t", (2 * Dim("m"),))
SHARES = cr.input("p", ("m", 2), distribution=True)
TRUTH = cr.input("yes", (2,), dtype="bool")
OTHER = cr.input("x", ("m", 3))
WRONG = {
    "a missing leaf": ([Z], {X: NUMBERS[X], W: NUMBERS[W]}, GraphError, ["missing", "feeds for x, W", "also b: float"]),
    "several missing": ([Z], {}, GraphError, ["feeds for nothing", "x: float (m, 3)", "W: float (3, 4)", "b: float"]),
    "a superfluous name": ([X * 1], {X: NUMBERS[X], "y": 1}, GraphError, ["'y'", "one of x"]),
    "a misspelt name": ([B * cr.input("price", ())], {"prise": 1}, GraphError, ["'prise'", "did you mean 'price'"]),
    "a key that is no node": ([X * 1], {3: 1}, GraphError, ["3", "one of x"]),
    "a name that two leaves have": (
        [X * OTHER],
        {"x": NUMBERS[X]},
        GraphError,
        ["several leaves", "feed them by node: {"],
    ),
    "a node and its name": ([X * 1], {X: NUMBERS[X], "x": NUMBERS[X]}, GraphError, ["x is fed twice"]),
    "no mapping": ([X * 1], [1, 2], GraphError, ["list: [1, 2]", "{node: numbers"]),
    "another number of columns": ([X * 1], {X: np.ones((5, 2))}, ShapeError, ["x", "(5, 2)", "(m, 3)"]),
    "another number of axes": ([B * 1], {B: np.ones((1, 4))}, ShapeError, ["b", "(1, 4)", "(4,)"]),
    "a number for an array": ([B * 1], {B: 1.0}, ShapeError, ["b", "()", "(4,)"]),
    "rows that do not agree": (
        [J],
        NUMBERS | {Y: [0, 1]},
        ShapeError,
        ["y has the wrong shape", "(2,)", "(m,)", "m = 5"],
    ),
    "a size that is not twice the other": (
        [X * 1, TWICE],
        {TWICE: np.ones(9), X: NUMBERS[X]},
        ShapeError,
        ["t", "(2m,)", "m = 5"],
    ),
    "a quantity of another shape": ([P], {Z: np.ones((5, 3))}, ShapeError, ["(5, 3)", "(m, 4)"]),
    "text": ([X * 1], {X: [["a", "b", "c"]]}, DTypeError, ["x are not numbers", "<U1", "integer codes"]),
    "nothing": ([X * 1], {X: None}, DTypeError, ["x are not numbers", "object"]),
    "complex numbers": ([B * 1], {B: np.ones(4) * 1j}, DTypeError, ["b are not numbers", "complex"]),
    "rows of several lengths": ([X * 1], {X: [[1], [1, 2]]}, DTypeError, ["x are not an array"]),
    "fractions for whole numbers": ([Y * 1], {Y: [1, 2.5]}, DTypeError, ["y takes whole numbers", "2.5"]),
    "not-a-number for whole numbers": ([Y * 1], {Y: [1, np.nan]}, DTypeError, ["y takes whole numbers", "nan"]),
    "infinity for whole numbers": ([Y * 1], {Y: [1, -np.inf]}, DTypeError, ["y takes whole numbers", "-inf"]),
    "a whole number that is too large": (
        [Y * 1],
        {Y: [np.uint64(2**63)]},
        DTypeError,
        [f"{2**63}", "64 bits"],
    ),
    "fractions for truth values": ([~TRUTH], {TRUTH: [1, 0.5]}, DTypeError, ["yes takes whole numbers", "0.5"]),
    "shares that do not sum to one": (
        [SHARES * 1],
        {SHARES: [[0.5, 0.5], [0.5, 0.2]]},
        DataError,
        ["p is declared a distribution", "row 1 sums to 0.7"],
    ),
}


@pytest.mark.parametrize(("outputs", "feeds", "kind", "words"), WRONG.values(), ids=WRONG)
def test_wrong_numbers_are_an_error_that_names_the_leaf_and_what_it_takes(outputs, feeds, kind, words):
    with pytest.raises(kind) as caught:
        interpret(outputs, feeds)
    assert isinstance(caught.value, ChainruleError)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def test_whole_numbers_may_come_as_floats_and_truth_values_as_zeros_and_ones():
    assert interpret([Y * 2], {Y: [1.0, 3.0]}).popitem()[1].tolist() == [2, 6]
    assert interpret([~TRUTH], {TRUTH: [1.0, 0.0]}).popitem()[1].tolist() == [False, True]


def test_sizes_come_from_whatever_is_fed_first_from_plain_ones():
    values = interpret([cr.sum(TWICE) / cr.size("m")], {TWICE: np.ones(10), X: NUMBERS[X]})
    assert list(values.values())[-1] == 2


def test_no_rows_are_rows_too():
    assert interpret([cr.sum(Z)], {X: np.ones((0, 3)), W: NUMBERS[W], B: NUMBERS[B]}).popitem()[1] == 0


# --- sizes that no array tells ----------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [{"m": 3}, {Dim("m"): 3}, {"m": np.int64(3), "n": 1}], ids=str)
def test_sizes_can_be_told(sizes):
    ones = cr.broadcast_to(cr.constant(1.0), ("m",))
    assert interpret([ones], {}, sizes=sizes)[ones].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (None, ["the size m is not known", "sizes={'m'"]),
        ({"n": 3}, ["the size m is not known"]),
        ({"m": 2.5}, ["not a size", "2.5"]),
        ({"m": -1}, ["negative", "-1"]),
        ({"m": "3"}, ["'3'"]),
    ],
)
def test_sizes_that_cannot_be_are_an_error(sizes, words):
    with pytest.raises(ShapeError) as caught:
        interpret([cr.size("m") * 2], {}, sizes=sizes)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_size_that_is_told_must_be_that_of_the_array():
    with pytest.raises(ShapeError, match=r"(?s)x has the wrong shape.*\(5, 3\).*m = 4"):
        interpret([X * 1], {X: NUMBERS[X]}, sizes={"m": 4})
