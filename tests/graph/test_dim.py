"""Symbolic sizes: their arithmetic is that of whole numbers, and what cannot fit is an error when a node is made."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ShapeError
from chainrule.graph import Dim, as_shape, broadcast, show
from chainrule.graph.dim import as_size, bind, definite, product, quotient, resolve

m, n, k = Dim("m"), Dim("n"), Dim("k")
NUMBERS = {"m": 5, "n": 7, "k": 11}


@st.composite
def polynomials(draw):
    """A size, and the same worked out in whole numbers."""
    leaves = st.one_of(st.sampled_from([(m, 5), (n, 7), (k, 11)]), st.integers(-4, 4).map(lambda i: (i, i)))
    size, number = draw(leaves)
    for _ in range(draw(st.integers(0, 6))):
        operation = draw(st.sampled_from([operator.add, operator.sub, operator.mul]))
        other = draw(leaves)
        pair = [(size, number), other] if draw(st.booleans()) else [other, (size, number)]
        size, number = (operation(a, b) for a, b in zip(*pair, strict=True))
    return size, number


# --- arithmetic -------------------------------------------------------------------------------------------


@given(polynomials())
def test_arithmetic_is_that_of_whole_numbers(pair):
    size, number = pair
    assert resolve(size, NUMBERS) == number


@given(polynomials(), polynomials(), polynomials())
def test_equal_sizes_are_equal_and_hash_alike_however_they_are_written(a, b, c):
    (a, _), (b, _), (c, _) = a, b, c
    for one, other in [((a + b) * c, c * b + c * a), (a - b, -b + a), (a * b * c, c * (b * a)), (a + 0 * b, a * 1)]:
        assert one == other
        assert hash(one) == hash(other)


@given(polynomials())
def test_what_holds_no_name_is_an_integer(pair):
    size, _ = pair
    assert type(size - size) is int
    assert isinstance(size, int) or size.names


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (m, "m"),
        (m + n, "m + n"),
        (n + m, "m + n"),
        (3 + 2 * m, "2m + 3"),
        (m - 1, "m - 1"),
        (1 - m, "-m + 1"),
        (-m, "-m"),
        (m * n, "m n"),
        (-2 * m * n - k, "-2m n - k"),
        ((m + 1) * (m - 1), "m m - 1"),
    ],
)
def test_a_size_is_written_as_a_polynomial(size, text):
    assert str(size) == text


@given(polynomials(), st.sampled_from([2, -3, m, 2 * m, m * n]))
def test_a_product_divided_by_a_factor_is_the_other_factor(pair, factor):
    size, _ = pair
    assert quotient(size * factor, factor) == size


@pytest.mark.parametrize(("total", "part"), [(m, 2), (m, n), (m + 1, m), (2 * m, 4), (5, 2), (3, 0), (m * n + 1, n)])
def test_what_does_not_divide_has_no_quotient(total, part):
    assert quotient(total, part) is None


def test_the_number_of_elements():
    assert product((m, 2, n, 3)) == 6 * m * n
    assert product(()) == 1
    assert product((m, 0)) == 0


@pytest.mark.parametrize("other", [1.5, "n", None])
def test_only_whole_numbers_and_sizes_are_added_and_multiplied(other):
    for operation in (operator.add, operator.mul, operator.sub):
        with pytest.raises(TypeError):
            operation(m, other)


# --- what is a size ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (3, (3,)),
        ("m", (m,)),
        (m, (m,)),
        (("m", 2), (m, 2)),
        ([m + 1, np.int64(2)], (m + 1, 2)),
        (np.array([2, 3]), (2, 3)),
        ((), ()),
    ],
    ids=str,
)
def test_a_shape_is_given_in_many_ways(given, shape):
    found = as_shape(given)
    assert found == shape
    assert {type(size) for size in found} <= {int, Dim}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: as_size(-1), ["negative", "-1"]),
        (lambda: as_size(2.0), ["not a size", "2.0", "a whole number"]),
        (lambda: as_size(None), ["not a size", "None"]),
        (lambda: as_size("2m"), ["cannot have this name", "'2m'", "such as 'm'"]),
        (lambda: as_size(""), ["cannot have this name", "''"]),
        (lambda: Dim("two words"), ["cannot have this name", "'two words'"]),
        (lambda: Dim(3), ["cannot have this name", "3"]),
        (lambda: as_shape(None), ["not a shape", "None", "('m', 2)"]),
        (lambda: as_shape(2.5), ["not a shape", "2.5"]),
        (lambda: cr.input("x", ("m", -2)), ["negative", "-2"]),
        (lambda: definite((2, m)), ["the size m is not known", "sizes={'m'"]),
        (lambda: resolve(m * n, {"m": 2}), ["the size n is not known", "whose shape contains n"]),
    ],
)
def test_what_is_not_a_size_is_an_error_that_says_what_is(make, words):
    with pytest.raises(ShapeError) as caught:
        make()
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_parameter_has_no_size_that_is_known_later():
    with pytest.raises(ValueError, match=r"(?s)parameter W has a size.*\(m, 2\).*same shape for every batch"):
        cr.parameter("W", ("m", 2))


@pytest.mark.parametrize(("shape", "text"), [((), "()"), ((3,), "(3,)"), ((m,), "(m,)"), ((m, 2 * n), "(m, 2n)")])
def test_a_shape_is_written_as_a_tuple(shape, text):
    assert show(shape) == text


# --- sizes that fit each other ----------------------------------------------------------------------------

SIZES = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@given(st.lists(SIZES, max_size=3))
def test_numbers_broadcast_as_in_numpy(shapes):
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        expected = None
    assert broadcast(*shapes) == expected


@pytest.mark.parametrize(
    ("shapes", "result"),
    [
        ([(m, 1), (3,)], (m, 3)),
        ([(m, 2), (m, 2)], (m, 2)),
        ([(m, 1), (n,)], (m, n)),
        ([(1,), (m,), (1, 1)], (1, m)),
        ([(2 * m,), (m + m,)], (2 * m,)),
        ([(m,), (n,)], None),
        ([(m,), (2,)], None),
        ([(m,), (m + 1,)], None),
    ],
)
def test_a_named_size_fits_itself_and_one(shapes, result):
    assert broadcast(*shapes) == result
    assert broadcast(*reversed(shapes)) == result


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda a, b: cr.concatenate([a, a, b]), (2 * m + n, 2)),
        (lambda a, b: cr.stack([a, a]), (2, m, 2)),
        (lambda a, b: a.reshape(-1), (2 * m,)),
        (lambda a, b: cr.concatenate([a, a]).reshape(2, -1), (2, 2 * m)),
        (lambda a, b: cr.outer(a[:, 0], b[:, 0]).reshape(-1, n), (m, n)),
        (lambda a, b: cr.pad(a, [(1, 2), (0, 0)]), (m + 3, 2)),
        (lambda a, b: a[1:], (m - 1, 2)),
        (lambda a, b: a @ b.T, (m, n)),
    ],
)
def test_a_result_s_size_is_worked_out_in_names(make, shape):
    a, b = cr.input("a", ("m", 2)), cr.input("b", ("n", 2))
    node = make(a, b)
    assert node.shape == shape
    value = cr.evaluate(node, {a: np.ones((5, 2)), b: np.ones((7, 2))})
    assert value.shape == tuple(resolve(size, NUMBERS) for size in shape)


# --- sizes learnt from arrays -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "actual", "known", "learnt"),
    [
        ((m, 2), (5, 2), {}, {"m": 5}),
        ((m, n), (5, 7), {"m": 5}, {"m": 5, "n": 7}),
        ((m, m), (5, 5), {}, {"m": 5}),
        ((m, m + 1), (5, 6), {}, {"m": 5}),
        ((2 * m,), (10,), {"m": 5}, {"m": 5}),
        ((m, 2), (0, 2), {}, {"m": 0}),
        ((), (), {}, {}),
    ],
)
def test_names_are_learnt_from_an_array(shape, actual, known, learnt):
    bind(shape, actual, known, "x")
    assert known == learnt


@pytest.mark.parametrize(
    ("shape", "actual", "known", "words"),
    [
        ((m, 2), (5, 3), {}, ["(5, 3)", "(m, 2)"]),
        ((m, 2), (5,), {}, ["(5,)", "(m, 2)"]),
        ((), (1,), {}, ["(1,)", "()"]),
        ((m, 2), (5, 2), {"m": 4}, ["(5, 2)", "(m, 2)", "m = 4"]),
        ((m, m), (5, 6), {}, ["(5, 6)", "(m, m)", "m = 5"]),
        ((m, m + 1), (5, 5), {}, ["(m, m + 1)", "m = 5"]),
        ((2 * m,), (9,), {"m": 5}, ["(9,)", "(2m,)", "m = 5"]),
    ],
)
def test_an_array_that_does_not_fit_is_refused_by_name(shape, actual, known, words):
    with pytest.raises(ShapeError, match="the array for x has the wrong shape") as caught:
        bind(shape, actual, known, "x")
    assert [word for word in words if word not in str(caught.value)] == []
