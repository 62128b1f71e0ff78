"""What NumPy users write on arrays works on nodes and gives the same numbers, or an error that says what to write.

Every formula here is run twice, on arrays by NumPy itself and on nodes.
"""

import operator
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, DTypeError, ShapeError
from chainrule.graph.dim import resolve

RNG = np.random.default_rng(0)
A = RNG.uniform(0.5, 2, (3, 4))
B = RNG.uniform(-2, -0.5, (3, 4))
C = RNG.uniform(-2, 2, (2, 3, 4))
D = RNG.uniform(0.5, 2, (2, 3, 4))
K = np.array([[2, -1, 0, 3], [1, 1, -2, 4], [0, 5, 1, 2]])
OPERANDS = {"a": A, "b": B, "c": C, "d": D, "k": K}


def operand(name, named):
    """A node for one of the arrays, its first axis of a known or a named size."""
    array = OPERANDS[name]
    first = {2: "m", 3: "r"}[array.ndim] if named else len(array)
    return cr.input(name, (first, *array.shape[1:]), {"f": "float", "i": "int"}[array.dtype.kind])


def same_as_numpy(formula, numpys=None):
    """A formula of operands that are named after the arrays above gives as nodes what it gives in NumPy."""
    names = formula.__code__.co_varnames[: formula.__code__.co_argcount]
    expected = np.asarray((numpys or formula)(*(OPERANDS[n] for n in names)))
    largest = max(OPERANDS[n].ndim for n in names)
    for named in (False, True):
        node = formula(*(operand(n, named and OPERANDS[n].ndim == largest) for n in names))
        found = cr.evaluate(node, {n: OPERANDS[n] for n in names}, as_written=True)
        assert tuple(resolve(size, {"m": 3, "r": 2}) for size in node.shape) == expected.shape == found.shape
        assert found.dtype.kind == expected.dtype.kind
        np.testing.assert_allclose(found, expected, rtol=1e-14)


# --- operators ------------------------------------------------------------------------------------------

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge]
OTHERS = {
    "a Python number": 2,
    "a Python float": 1.5,
    "np.float64": np.float64(1.5),
    "np.float32": np.float32(1.5),
    "np.int64": np.int64(3),
    "an array": np.linspace(1, 2, 4),
    "an array of rank 0": np.array(1.5),
    "a column": np.array([[1.0], [2.0], [3.0]]),
    "a list": [1.0, 2.0, 0.5, 3.0],
    "whole numbers": np.array([1, 2, 3, 2]),
}


@pytest.mark.parametrize("op", [*ARITHMETIC, *COMPARISONS], ids=lambda op: op.__name__)
def test_operators_between_nodes(op):
    same_as_numpy(lambda a, d: op(a, d))
    same_as_numpy(lambda a: op(a, a[0]))


@pytest.mark.parametrize("op", [*ARITHMETIC, *COMPARISONS], ids=lambda op: op.__name__)
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_operators_with_numbers_and_arrays_on_either_side(op, other):
    same_as_numpy(lambda d: op(d, other))
    same_as_numpy(lambda d: op(other, d))


@pytest.mark.parametrize(
    "formula",
    [
        lambda a: -a,
        lambda a: +a,
        lambda b: abs(b),
        lambda a, b: (a > 1) & (b > -1),
        lambda a, b: (a > 1) | (b > -1),
        lambda a: ~(a > 1),
        lambda a, k: a + k,
        lambda k: k * k - k,
        lambda k: k / 2,
        lambda k: -k,
        lambda k: (k > 1) * k,
        lambda a: -(a**2),
        lambda a: 2**-a,
        lambda a: a - a.mean(axis=0),
        lambda a: a / a.sum(axis=1, keepdims=True),
        lambda a: a[:, None, :] - a[None, :2, :],
    ],
)
def test_other_operators_and_kinds_of_numbers(formula):
    same_as_numpy(formula)


@pytest.mark.parametrize(
    "formula",
    [
        lambda a, b: a @ b.T,
        lambda a, c: c @ a.T,
        lambda a, c: a @ c.transpose(0, 2, 1),
        lambda a, b: a[0] @ b[0],
        lambda a, b: a @ b[0],
        lambda a, b: a[:, 0] @ b,
        lambda a: a @ np.ones((4, 2)),
        lambda a: np.ones((2, 3)) @ a[:3],
        lambda a: np.ones(3) @ a[:3],
        lambda a: [1.0, 0.0, 2.0, 1.0] @ a[0],
        lambda a, b: a.dot(b.T),
    ],
)
def test_matrix_products(formula):
    same_as_numpy(formula)


def test_in_place_operators_make_a_new_node_and_leave_the_old_one():
    x = cr.input("x", (2,))
    y = x
    y += 1
    y *= 2
    assert cr.evaluate(y, {x: [1.0, 2.0]}).tolist() == [4, 6]
    assert y is not x
    assert str(x) == "x"


# --- indexing -------------------------------------------------------------------------------------------


class Index:
    """``Index()[1:, None]`` is the index itself."""

    def __getitem__(self, key):
        return key


i_ = Index()
INDICES = [
    *(i_[0], i_[-1], i_[1, 2], i_[-1, -2, -3], i_[np.int64(1)], i_[()]),
    *(
        i_[1:],
        i_[:-1],
        i_[:, 1:3],
        i_[:, :, ::2],
        i_[:, ::-1],
        i_[::-1],
        i_[:, 2:0:-1],
        i_[:, :, ::-3],
        i_[:, :, -3:-1],
    ),
    *(i_[:, 1:1], i_[:, 2:1], i_[:, :, 1:100], i_[:, :, 100:], i_[:, -100:2]),
    *(i_[None], i_[:, None], i_[None, 1], i_[..., None], i_[:, None, 0, None]),
    *(i_[...], i_[..., 0], i_[0, ...], i_[..., 1:, :], i_[1, ..., 2], i_[..., 0, None], i_[0, 1, 2, ...]),
    *(
        i_[[0, 1, 1]],
        i_[:, [2, 0]],
        i_[..., [3, -1]],
        i_[np.array([[0, 1], [1, 0]])],
        i_[:, np.array([[2, -3], [0, 1]])],
    ),
    *(i_[1, [0, 2]], i_[:, 1, [0, 3]], i_[:, [0, 2], 1], i_[1:, [0, 2], ::-1], i_[[1, 0], 0, 0]),
    *(i_[0, :, [0, 2]], i_[[0, 1], :, 1], i_[0, None, [0, 2]], i_[0, ..., [[0, 1], [2, 3]]], i_[:, None, [0, 2]]),
]
"""The groups: numbers, slices, slices beyond the ends, None, Ellipsis, arrays, arrays beside numbers and apart."""


@pytest.mark.parametrize("key", INDICES, ids=str)
def test_indexing(key):
    same_as_numpy(lambda c: c[key])


@pytest.mark.parametrize("key", INDICES, ids=str)
def test_the_derivative_of_indexing_puts_every_number_back_where_it_was(key):
    x = cr.input("x", C.shape)
    upstream = RNG.normal(size=C[key].shape)
    expected = np.zeros_like(C)
    np.add.at(expected, key, upstream)
    found = cr.evaluate(cr.gradient(cr.sum(x[key] * upstream), x), {x: C})
    np.testing.assert_allclose(found, expected)


def test_a_node_of_whole_numbers_picks_rows():
    x, rows = cr.input("x", ("m", 4)), cr.input("rows", ("k",), dtype="int")
    assert np.array_equal(cr.evaluate(x[rows], {x: A, rows: [2, 0, 2, -1]}), A[[2, 0, 2, -1]])


def test_iterating_goes_along_a_first_axis_of_known_size():
    x = cr.input("x", (3, 4))
    first, *rest = x
    assert len(rest) == 2
    assert np.array_equal(cr.evaluate(rest[1], {x: A}), A[2])
    assert np.array_equal(cr.evaluate(first, {x: A}), A[0])


# --- methods --------------------------------------------------------------------------------------------

AXES = [None, 0, 1, -1, (0, 2), (2, 0), (), np.int64(1)]


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("method", ["sum", "mean", "max", "min", "prod"])
def test_reductions_over_axes(method, axis):
    same_as_numpy(lambda c: getattr(c, method)(axis))
    same_as_numpy(lambda c: getattr(c, method)(axis=axis, keepdims=True))


@pytest.mark.parametrize(
    "formula",
    [
        lambda c: c.T,
        lambda c: c.T.shape and c.transpose(),
        lambda c: c.transpose(2, 0, 1),
        lambda c: c.transpose((1, 0, 2)),
        lambda c: c.transpose(-1, 0, 1),
        lambda c: c.reshape(-1),
        lambda c: c.reshape(-1, 6),
        lambda c: c.reshape((4, -1)),
        lambda c: c.reshape(c.shape[0], -1),
        lambda c: c.reshape(c.shape[0], 2, 2, 3),
        lambda c: c.argmax(axis=1),
        lambda c: c.argmin(axis=-1),
        lambda c: c.cumsum(axis=1),
        lambda c: c.clip(-1, 0.5),
        lambda c: c.clip(0, None),
        lambda k: k.clip(0, 2),
        lambda c: c.astype(int),
        lambda c: c.astype("float32"),
        lambda c: c.astype(np.float32) * 3,
        lambda c: c.astype(bool),
        lambda k: k.astype(float),
        lambda k: k.astype(np.float64),
        lambda k: k.sum(),
        lambda k: k.max(axis=0),
        lambda k: k.mean(axis=1),
        lambda k: (k > 1).sum(axis=0),
        lambda k: (k > 1).mean(),
    ],
)
def test_methods(formula):
    same_as_numpy(formula)


PAIRS = [
    (lambda a, b: cr.concatenate([a, b], axis=1), lambda a, b: np.concatenate([a, b], axis=1)),
    (lambda a, b: cr.concatenate([a, b, [[0, 0, 0, 0]]]), lambda a, b: np.concatenate([a, b, [[0, 0, 0, 0]]])),
    (lambda a, b: cr.stack([a, b]), lambda a, b: np.stack([a, b])),
    (lambda a, b: cr.stack([a, b], axis=-1), lambda a, b: np.stack([a, b], axis=-1)),
    (lambda a: cr.pad(a, [(1, 0), (0, 2)]), lambda a: np.pad(a, [(1, 0), (0, 2)])),
    (lambda a: cr.pad(a, [(0, 1), (2, 0)], 7), lambda a: np.pad(a, [(0, 1), (2, 0)], constant_values=7)),
    (lambda c: cr.flip(c), lambda c: np.flip(c)),
    (lambda c: cr.flip(c, (0, -1)), lambda c: np.flip(c, (0, -1))),
    (lambda a, c: cr.einsum("mn,rmn->rm", a, c), lambda a, c: np.einsum("mn,rmn->rm", a, c)),
    (lambda a, b: cr.einsum("ij,kj", a, b), lambda a, b: np.einsum("ij,kj", a, b)),
    (lambda c: cr.einsum("ijk->ki", c), lambda c: np.einsum("ijk->ki", c)),
    (lambda c: cr.einsum("ijj->ij", c[..., :3]), lambda c: np.einsum("ijj->ij", c[..., :3])),
    (lambda a: cr.outer(a[0], a[1]), lambda a: np.outer(a[0], a[1])),
    (lambda a: cr.dot(a[0], a[1]), lambda a: np.dot(a[0], a[1])),
    (lambda a: cr.broadcast_to(a[0], (2, 5, 4)), lambda a: np.broadcast_to(a[0], (2, 5, 4))),
    (lambda a, b: cr.where(a > 1, a, b), lambda a, b: np.where(a > 1, a, b)),
    (lambda a: cr.where(a > 1, a, 0), lambda a: np.where(a > 1, a, 0)),
    (lambda k: cr.where(k > 1, k, 0), lambda k: np.where(k > 1, k, 0)),
    (lambda a, b: cr.maximum(a, -b), lambda a, b: np.maximum(a, -b)),
    (lambda k: cr.minimum(k, 2), lambda k: np.minimum(k, 2)),
    (lambda k: cr.equal(k, 1), lambda k: np.equal(k, 1)),
    (lambda a: cr.gather(a, [2, 0, 0], axis=1), lambda a: np.take(a, [2, 0, 0], axis=1)),
    (lambda a: cr.cumsum(a, 0, reverse=True), lambda a: np.cumsum(a[::-1], 0)[::-1]),
    (lambda a: cr.matmul(a, a.T), lambda a: np.matmul(a, a.T)),
    (lambda a: a @ cr.eye(4), lambda a: a @ np.eye(4)),
]


@pytest.mark.parametrize(("ours", "numpys"), PAIRS)
def test_functions_that_have_numpys_name(ours, numpys):
    same_as_numpy(ours, numpys)


# --- what does not work, and what to write instead ------------------------------------------------------

X, Y, V, N = cr.input("x", ("m", 4)), cr.input("y", ("n", 4)), cr.input("v", (3,)), cr.input("i", (3,), dtype="int")
WRONG = {
    "a truth value": (lambda: bool(X > 0), DTypeError, ["no truth value", "greater: bool (m, 4)", "cr.where"]),
    "if": (lambda: 1 if V else 2, DTypeError, ["no truth value", "v: float (3,)"]),
    "and": (lambda: (V > 0) and (V < 1), DTypeError, ["no truth value", "cr.where"]),
    "a chained comparison": (lambda: 0 < V < 1, DTypeError, ["no truth value"]),
    "float": (lambda: float(V), DTypeError, ["no value yet", "cr.evaluate"]),
    "iterating over rows of unknown number": (lambda: list(X), ShapeError, ["known size", "x: float (m, 4)", "gather"]),
    "iterating over a number": (lambda: list(V[0]), ShapeError, ["known size"]),
    "a mask of nodes": (lambda: X[X > 0], DTypeError, ["whole numbers", "bool (m, 4)", "cr.where(condition, a, b)"]),
    "a mask of truth values": (lambda: V[[True, False, True]], DTypeError, ["whole numbers", "cr.where(condition"]),
    "True as an index": (lambda: V[True], DTypeError, ["truth value", "cr.where"]),
    "a fraction as an index": (lambda: V[1.5], DTypeError, ["not an index", "1.5", "a whole number, a slice, None"]),
    "a name as an index": (lambda: V["a"], DTypeError, ["not an index", "'a'"]),
    "fractions as indices": (lambda: V[[0.5]], DTypeError, ["whole numbers", "dtype='int'"]),
    "an index outside": (lambda: V[3], ShapeError, ["outside the axis", "3", "from -3 to 2"]),
    "an array index outside": (lambda: V[[0, 7]], ShapeError, ["outside the axis", "7", "below 3"]),
    "an array index outside, from the end": (lambda: V[[0, -4]], ShapeError, ["outside the axis", "-4"]),
    "too many indices": (lambda: V[0, 1], ShapeError, ["more indices than axes", "2 for", "at most 1"]),
    "two Ellipsis": (lambda: X[..., ...], ShapeError, ["more than one ..."]),
    "two arrays": (lambda: X[[0], [1]], ShapeError, ["only one axis", "one after the other"]),
    "a step over an unknown number": (lambda: X[::2], ShapeError, ["unknown size", "step 2", "step 1 or [::-1]"]),
    "shapes": (lambda: X + V, ShapeError, ["in add", "x (m, 4) and v (3,)", "equal sizes, or 1", "x[:, None]"]),
    "named sizes": (lambda: X * Y, ShapeError, ["in multiply", "x (m, 4) and y (n, 4)"]),
    "a product with a transpose missing": (lambda: X @ Y, ShapeError, ["matmul (a @ b)", "y (n, 4)", "y.T fits"]),
    "a product with a number": (lambda: X @ 2, ShapeError, ["matmul", "at least one axis", "use * to multiply"]),
    "an axis that is not": (lambda: X.sum(2), ShapeError, ["sum: there is no axis 2", "axes from -2 to 1"]),
    "an axis that is a fraction": (lambda: X.max(1.0), ShapeError, ["max: there is no axis 1.0"]),
    "an axis of a number": (lambda: V[0].mean(0), ShapeError, ["no axis 0", "it is a single number"]),
    "an axis twice": (lambda: X.sum((1, -1)), ShapeError, ["sum: an axis is named twice"]),
    "reshape": (lambda: V.reshape(2, 2), ShapeError, ["number of elements", "v (3,) to (2, 2)", "3 elements"]),
    "reshape with a remainder": (
        lambda: X.reshape(-1, 3),
        ShapeError,
        ["number of elements", "(-1, 3)", "4m elements"],
    ),
    "reshape with two unknown": (lambda: X.reshape(-1, -1), ShapeError, ["cannot be negative"]),
    "transpose": (lambda: X.transpose(0, 0), ShapeError, ["every axis once", "(0, 0)", "an order of 2 axes"]),
    "a kind of number that is none": (lambda: X.astype("flaot32"), DTypeError, ["'flaot32'", "did you mean 'float32'"]),
    "complex numbers": (lambda: X + 1j, DTypeError, ["not a node, a number", "complex: 1j"]),
    "text": (lambda: X * "two", DTypeError, ["not a node, a number", "str: two"]),
    "nothing": (lambda: X - None, DTypeError, ["not a node, a number", "NoneType"]),
    "a ragged list": (lambda: operator.add(X, [[1, 2], [3]]), DTypeError, ["not an array of numbers", "list"]),
    "setting an attribute": (lambda: setattr(X, "name", "z"), AttributeError, ["a node is immutable", "'name'"]),
    "adding an attribute": (lambda: setattr(X, "colour", "red"), AttributeError, ["a node is immutable"]),
    "deleting an attribute": (lambda: delattr(X, "name"), AttributeError, ["a node is immutable"]),
    "setting an element": (lambda: operator.setitem(X, 0, 1.0), TypeError, ["does not support item assignment"]),
    "a function of NumPy's": (lambda: np.exp(X), TypeError, ["does not support ufuncs"]),
}


@pytest.mark.parametrize(("call", "kind", "words"), WRONG.values(), ids=WRONG)
def test_what_does_not_work_is_an_error_that_says_why(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    if isinstance(caught.value, ChainruleError):
        assert re.search(r"^  (given|expected|hint):", message, re.MULTILINE), message


@pytest.mark.parametrize("key", [i_[1:5], i_[-3:], i_[:3], i_[2], i_[-3]], ids=str)
def test_a_slice_of_a_named_size_is_checked_when_the_size_is_known(key):
    """NumPy would cut it short; but the formula, a mean for instance, was derived for the size that was asked for."""
    y = cr.mean(X[key])
    assert cr.evaluate(y, {X: np.ones((9, 4))}) == 1
    for run in (cr.evaluate, lambda node, feeds: cr.compile(node)(feeds)):
        with pytest.raises(ShapeError, match=r"(?s)beyond the axis.*within 0:2"):
            run(y, {X: np.ones((2, 4))})


def test_two_nodes_are_equal_when_they_are_the_same_node():
    assert X == X
    assert cr.input("x", ("m", 4)) != X
    assert {X: 1}[X] == 1
    assert X in [Y, X]
    assert (X == 1) is False
