"""Numerical differences on functions with a known slope, and the gradient check that is built on them."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.calculus import central_difference, compare
from chainrule.errors import DerivativeError
from chainrule.graph.op import REGISTRY, VOCABULARY, function
from chainrule.ops.elementwise import elementwise


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: x**3, lambda x: 3 * x**2),
        (np.sin, np.cos),
        (np.exp, np.exp),
        (lambda x: 1e6 * x + 1e9, lambda x: 1e6 + 0 * x),
        (lambda x: 1e-6 * np.tanh(50 * x), lambda x: 5e-5 * (1 - np.tanh(50 * x) ** 2)),
    ],
    ids=["cube", "sine", "exponential", "steep and far from zero", "flat and bent"],
)
@pytest.mark.parametrize("x", [-1.5, 0.0, 0.2, 8.0])
def test_a_smooth_function_has_its_slope_and_no_kink(f, slope, x):
    found = central_difference(f, x)
    assert not found.kink
    assert found.value == pytest.approx(slope(x), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(
    ("f", "left", "right"),
    [
        (abs, -1, 1),
        (lambda x: max(x, 0.0), 0, 1),
        (lambda x: max(2 * x, -3 * x) + np.sin(x), -2, 3),
        (lambda x: 1e-2 * abs(x), -1e-2, 1e-2),
    ],
    ids=["abs", "relu", "two slopes on a curve", "a small kink"],
)
def test_a_kink_is_found_with_the_slopes_on_both_sides(f, left, right):
    found = central_difference(f, 0.0)
    assert found.kink
    assert (found.left, found.right) == (pytest.approx(left, abs=1e-3), pytest.approx(right, abs=1e-3))


def test_a_kink_beside_the_point_does_not_spoil_the_slope():
    found = central_difference(lambda x: abs(x - 1e-6), 0.0)
    assert not found.kink
    assert found.value == pytest.approx(-1)


def test_entries_of_a_large_array_are_drawn_once_each_and_the_same_every_time():
    at = np.arange(100.0).reshape(10, 10)
    first, again = (compare(lambda a: float((a**2).sum()), at, 2 * at, entries=7) for _ in range(2))
    indices = [index for index, _, _ in first]
    assert len(set(indices)) == 7
    assert indices == [index for index, _, _ in again]
    assert all(derived == pytest.approx(d.value, rel=1e-4, abs=1e-4) for _, derived, d in first)


# --- the gradient check -------------------------------------------------------------------------------


@pytest.fixture(name="wrong")
def _wrong():
    """The exponential function with a derivative that is 1 % too large; gone from the registry afterwards."""
    op = elementwise("wrong_exp", "y = e^x", lambda xp, x: xp.exp(x), lambda y, x: 1.01 * y, function("wrong"), np.exp)
    yield op
    del REGISTRY["wrong_exp"], VOCABULARY["wrong_exp"]


def test_a_wrong_derivative_is_caught_and_named(wrong):
    w, c = cr.parameter("w", (2, 3)), cr.parameter("c", (3,))
    J = cr.sum(wrong(w)) + cr.sum(c**2)
    numbers = {w: np.full((2, 3), 0.5), c: np.ones(3)}
    cr.check_gradient(J, c, numbers)
    with pytest.raises(DerivativeError, match=r"(?s)by w\[0, 0\] is wrong.*derived 1\.665.*1\.648\d* by central diff"):
        cr.check_gradient(J, [c, w], numbers)


def test_a_gradient_of_the_users_own_is_checked():
    w = cr.parameter("w", (3,))
    J, numbers = cr.sum(w**3), {w: [1.0, 2.0, 3.0]}
    cr.check_gradient(J, w, numbers, gradients=[3 * w**2])
    with pytest.raises(DerivativeError, match=r"by w\[1\] is wrong"):
        cr.check_gradient(J, w, numbers, gradients=[3 * w])


def test_not_a_number_is_not_right():
    w = cr.parameter("w", ())
    with pytest.raises(DerivativeError, match=r"derived nan"):
        cr.check_gradient(w**2, w, {w: 1.0}, gradients=[cr.log(w - 2)])


@pytest.mark.parametrize(
    ("formula", "at", "kinks"),
    [
        (lambda w: cr.sum(cr.relu(w)), [0.0, 1.0, -1.0], 1),
        (lambda w: cr.sum(abs(w) * 3), [0.0, 0.0, 2.0], 2),
        (lambda w: cr.max(w), [2.0, 2.0, 1.0], 2),
        (lambda w: cr.sum(cr.maximum(w, 1.0)), [1.0, 0.0, 2.0], 1),
        (lambda w: cr.sum(cr.tanh(w)), [0.0, 1.0, -1.0], 0),
    ],
    ids=["relu", "abs", "max", "maximum", "no kink"],
)
def test_at_a_kink_any_slope_between_both_sides_is_right(formula, at, kinks):
    w = cr.parameter("w", (3,))
    ((name, shape, entries, found, error),) = cr.check_gradient(formula(w), w, {w: at}).rows
    assert (name, shape, entries, found) == ("w", "(3,)", 3, kinks)
    assert error < 1e-6


def test_beyond_both_sides_of_a_kink_it_is_wrong():
    w = cr.parameter("w", ())
    with pytest.raises(DerivativeError, match=r"derived 1\.5"):
        cr.check_gradient(cr.relu(w), w, {w: 0.0}, gradients=[0 * w + 1.5])


def test_it_computes_in_float64_whatever_is_fed():
    w = cr.parameter("w", (4,))
    fed = np.linspace(0.1, 0.9, 4, dtype=np.float32)
    assert cr.check_gradient(cr.sum(cr.sin(cr.exp(w))), w, {w: fed}).largest_error < 1e-8
    assert cr.check_gradient(cr.sum(w**2), w, {"w": [1, 2, 3, 4]}).largest_error < 1e-8


def test_the_result_reads_as_a_table():
    w, b = cr.parameter("w", (30, 20)), cr.parameter("b", ())
    numbers = {w: np.ones((30, 20)), b: 0.0}
    head, first, second = str(cr.check_gradient(cr.sum(w**2) + abs(b), [w, b], numbers, entries=50)).splitlines()
    assert head.split() == ["by", "shape", "entries", "kinks", "largest", "relative", "error"]
    assert first.split()[:5] == ["w", "(30,", "20)", "50", "0"]
    assert second.split()[:4] == ["b", "()", "1", "1"]


def test_parameters_of_layers_go_by_the_names_that_formulas_show():
    x, y = cr.input("x", ("m", 2)), cr.input("y", ("m", 1))
    model = cr.Model(x, cr.Dense(1)(cr.Dense(3, "tanh")(x)))
    rng = np.random.default_rng(0)
    feeds = {n: rng.normal(size=n.shape) for n in model.parameters} | {x: np.ones((4, 2)), y: np.ones((4, 1))}
    table = cr.check_gradient(cr.mean((model.output - y) ** 2), model.parameters, feeds)
    assert [row[0] for row in table.rows] == ["W1", "b1", "W2", "b2"]
