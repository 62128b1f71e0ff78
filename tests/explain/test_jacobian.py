"""Jacobians against closed forms, NumPy and central differences: formulas, numbers, structure, products."""

from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, ShapeError

x, y, z = (cr.input(name, ()) for name in "xyz")
v = cr.input("v", (3,))
V = np.array([0.2, -1.0, 1.5])


def central(function, at, h=1e-6):
    """The Jacobian of a NumPy function by central differences."""
    columns = []
    for index in np.ndindex(*at.shape):
        step = np.zeros(at.shape)
        step[index] = h
        columns.append(np.ravel(function(at + step) - function(at - step)) / (2 * h))
    return np.stack(columns, axis=1)


SEVEN_LEAVES = [cr.input(f"u{k}", ()) for k in range(7)]
SEVEN = [cr.exp(sum(SEVEN_LEAVES) * k) for k in range(7)]

# --- functions of several variables ---------------------------------------------------------------------


def test_the_entries_are_formulas_with_names_for_rows_and_columns():
    J = cr.jacobian([x**2 * y, cr.sin(x)], [x, y])
    assert str(J).split("\n")[0].split() == ["x", "y"]
    assert (str(J[0, 1]), str(J[1, 0])) == ("x²", "cos(x)")
    at = {x: 1.5, y: -2.0}
    np.testing.assert_allclose(J.at(at).array, [[2 * 1.5 * -2.0, 1.5**2], [np.cos(1.5), 0]], rtol=1e-14)
    assert J.at(at).rows == ["x² · y", "sin(x)"]
    assert J.latex().startswith(r"\begin{pmatrix}")


def test_the_determinant_is_a_formula_and_a_number():
    # polar coordinates: det ∂(r cos t, r sin t)/∂(r, t) = r
    r, t = cr.input("r", ()), cr.input("t", ())
    J = cr.jacobian([r * cr.cos(t), r * cr.sin(t)], [r, t])
    for at in ({r: 2.0, t: 0.3}, {r: 0.5, t: 4.0}):
        assert float(cr.evaluate(J.determinant(), at)) == pytest.approx(at[r], rel=1e-14)
        assert J.at(at).determinant() == pytest.approx(at[r], rel=1e-14)


def test_a_determinant_of_three_by_three_is_that_of_numpy():
    J = cr.jacobian([x * y * z, cr.exp(x) + y, cr.sin(z) * x], [x, y, z])
    at = {x: 0.3, y: 1.2, z: -0.7}
    assert float(cr.evaluate(J.determinant(), at)) == pytest.approx(np.linalg.det(J.at(at).array), rel=1e-12)


@pytest.mark.parametrize(
    ("outputs", "structure"),
    [
        ([x, y], "identity"),
        ([x**2, cr.sin(y)], "diagonal"),
        ([cr.sin(y), x**2], "permuted"),
        ([x * y, y], "dense"),
        ([cr.constant(3.0) + 0 * x, cr.constant(1.0)], "zero"),
    ],
)
def test_the_structure_is_found_in_the_formulas_and_in_the_numbers(outputs, structure):
    J = cr.jacobian(outputs, [x, y])
    assert J.structure == structure
    assert J.at({x: 0.7, y: 1.3}).structure == structure


# --- layers and tensors ------------------------------------------------------------------------------------


def test_softmax_is_written_as_in_the_textbook_and_computed_so():
    J = cr.jacobian(cr.softmax(v).named("s"), v)
    assert "sᵢ(δᵢⱼ − sⱼ)" in str(J)
    s = np.exp(V) / np.exp(V).sum()
    np.testing.assert_allclose(J.at({v: V}).array, np.diag(s) - np.outer(s, s), atol=1e-15)
    assert J.at({v: V}).determinant() == pytest.approx(0, abs=1e-16)  # its rows add up to 0


def test_a_chain_of_layers_is_the_product_of_local_jacobians():
    first, second = cr.Dense(3, "tanh"), cr.Dense(2, "sigmoid")
    X = cr.input("X", ("m", 4))
    A1 = first(X)
    J = cr.jacobian(second(A1), X)
    assert str(J).startswith("∂A2/∂X = diag(A2 ∘ (1 − A2)) W2ᵀ diag(1 − A1²) W1ᵀ   dense")
    rng = np.random.default_rng(0)
    W1, b1, W2, b2 = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=(3, 2)), rng.normal(size=2)
    row = rng.normal(size=(1, 4))
    feeds = {X: row, first["W"]: W1, first["b"]: b1, second["W"]: W2, second["b"]: b2}
    a1 = np.tanh(row @ W1 + b1)[0]
    a2 = 1 / (1 + np.exp(-(a1 @ W2 + b2)))
    by_hand = np.diag(a2 * (1 - a2)) @ W2.T @ np.diag(1 - a1**2) @ W1.T
    np.testing.assert_allclose(J.at(feeds).array, by_hand, rtol=1e-12)


def test_examples_do_not_touch_each_other():
    X = cr.input("X", ("m", 4))
    layer = cr.Dense(3, "tanh")
    M = cr.jacobian(layer(X), X).at({X: np.ones((5, 4)), layer["W"]: np.ones((4, 3)), layer["b"]: np.zeros(3)})
    assert M.structure == "block diagonal, 5 blocks"
    assert M.tensor().shape == (5, 3, 5, 4)


@pytest.mark.parametrize(
    ("made", "function", "formula", "structure"),
    [
        (lambda a: cr.tanh(a), np.tanh, "diag(1 − tanh(A)²)", "diagonal"),
        (lambda a: a.T, lambda a: a.T, "P", "permuted"),
        (lambda a: a @ a.T, lambda a: a @ a.T, None, "dense"),
        (lambda a: 2 * a + 1, lambda a: 2 * a + 1, "diag(2)", "diagonal"),
        (lambda a: a.sum(axis=1), lambda a: a.sum(axis=1), "1ᵀ", None),
        (lambda a: cr.reshape(a, (6,)), lambda a: a.reshape(6), "I", "identity"),
        (lambda a: cr.flip(a, 0), lambda a: a[::-1], "P", "permuted"),
        (lambda a: cr.tanh(a) + a, lambda a: np.tanh(a) + a, "I + diag(1 − tanh(A)²)", "diagonal"),
        (lambda a: cr.softmax(a, axis=1), lambda a: np.exp(a) / np.exp(a).sum(1, keepdims=True), None, None),
    ],
)
def test_tensors_by_tensors(made, function, formula, structure):
    A = cr.input("A", (2, 3))
    at = np.random.default_rng(0).normal(size=(2, 3))
    J = cr.jacobian(made(A), A)
    M = J.at({A: at})
    np.testing.assert_allclose(M.array, central(function, at), atol=1e-8)
    np.testing.assert_allclose(np.asarray(M), M.array)
    assert formula is None or f"= {formula} " in str(J)
    assert structure is None or (J.structure, M.structure) == (structure, structure)


def test_a_node_in_the_middle_can_be_differentiated_by():
    h = (3 * v).named("h")
    np.testing.assert_allclose(cr.jacobian(cr.exp(h), h).at({v: V}).array, np.diag(np.exp(3 * V)), rtol=1e-14)


def test_argmax_has_no_useful_derivative_and_it_says_why():
    J = cr.jacobian(cr.argmax(v), v)
    assert J.structure == "zero"
    assert "Train with softmax, decide with argmax" in str(J)
    assert not J.at({v: V}).array.any()


# --- the product of local Jacobians, and what is kept -------------------------------------------------------


def network(units):
    """A chain of layers on two examples, with numbers for everything."""
    rng = np.random.default_rng(1)
    X = cr.input("X", ("m", 4))
    layers = [cr.Dense(n, g) for n, g in units]
    out = X
    for layer in layers:
        out = layer(out)
    feeds = {X: rng.normal(size=(2, 4))}
    return out, X, layers, feeds | {layer[k]: rng.normal(size=layer[k].shape) for layer in layers for k in "Wb"}


def test_every_factor_of_a_chain_of_layers_is_at_hand_and_their_product_is_the_whole():
    out, X, layers, feeds = network([(3, "tanh"), (5, "relu"), (4, "softmax")])
    J = cr.jacobian(out, X)
    titles = ["∂A3/∂Z3", "∂Z3/∂A2", "∂A2/∂Z2", "∂Z2/∂A1", "∂A1/∂Z1", "∂Z1/∂X"]
    assert [f.title for f in J.factors] == titles
    assert [f.formula for f in J.factors] == [
        *("A3ᵢ(δᵢⱼ − A3ⱼ)", "W3ᵀ", "diag([Z2 > 0])", "W2ᵀ", "diag(1 − A1²)", "W1ᵀ"),
    ]
    chain = J.chain(feeds)
    by_hand = np.eye(8)
    for matrix in chain.matrices:
        by_hand = by_hand @ matrix.array
    np.testing.assert_allclose(by_hand, J.at(feeds).array, atol=1e-14)
    np.testing.assert_allclose(chain.product.array, by_hand, atol=1e-14)
    assert chain.error < 1e-14
    # of one example the factor of a layer is its transposed weights, and of the others it has no number
    np.testing.assert_array_equal(chain.matrices[-1].tensor()[0, :, 0], feeds[layers[0]["W"]].T)
    assert not chain.matrices[-1].tensor()[0, :, 1].any()
    text = str(chain)
    assert text.startswith(f"∂A3/∂X = {' · '.join(titles)}")
    assert "  ∂A1/∂Z1 = diag(1 − A1²)    6 × 6     diagonal" in text


def test_a_wrong_factor_would_be_seen():
    out, X, _, feeds = network([(3, "tanh"), (2, "sigmoid")])
    chain = cr.jacobian(out, X).chain(feeds)
    wrong = replace(chain.product, entries=-chain.product.entries)
    assert replace(chain, product=wrong).error > 0.1


def test_two_ways_to_an_output_are_one_factor():
    h = cr.tanh(v).named("h")
    J = cr.jacobian(cr.exp(h + cr.sin(h)).named("y"), v)
    assert [f.title for f in J.factors] == ["∂y/∂h", "∂h/∂v"]
    assert J.structure == "diagonal"
    assert J.chain({v: V}).error < 1e-15


@pytest.mark.parametrize("structure", ["identity", "diagonal", "permuted"])
def test_of_one_number_in_a_row_only_that_is_kept(structure):
    size = 100_000  # the whole matrix would have 80 GB
    a = cr.input("a", ("n",))
    made = {"identity": a * 1.0 + 2, "diagonal": cr.tanh(a), "permuted": cr.flip(cr.sin(a), 0)}[structure]
    at = np.random.default_rng(0).normal(size=size)
    at[7] = np.pi / 2  # where the slope of the sine is all but 0
    M = cr.jacobian(made, a).at({a: at})
    assert (M.structure, M.shape) == (structure, (size, size))
    assert M.entries.shape == (size,)
    true = {"identity": np.ones(size), "diagonal": 1 - np.tanh(at) ** 2, "permuted": np.cos(at)[::-1]}[structure]
    np.testing.assert_allclose(M.entries, true, atol=1e-12)
    np.testing.assert_array_equal(M.places, np.arange(size)[:: -1 if structure == "permuted" else 1])
    other = np.random.default_rng(1).normal(size=size)
    moved = other[::-1] if structure == "permuted" else other
    np.testing.assert_allclose(M @ other, true * moved, atol=1e-12)
    with pytest.raises(ShapeError, match=r"too large to be built"):
        M.array  # noqa: B018


def test_what_is_kept_is_the_whole_matrix_in_small():
    A = cr.input("A", (2, 3))
    at = np.array([[0.5, 0.0, -1.0], [2.0, -0.3, 0.0]])
    J = cr.jacobian((3 * A.T) ** 2, A)
    M = J.at({A: at})
    assert M.places is not None
    np.testing.assert_allclose(M.array, central(lambda a: (3 * a.T) ** 2, at), atol=1e-7)
    full = replace(M, entries=M.array, places=None)
    assert M.determinant() == full.determinant() == 0  # two of the numbers are 0
    M = J.at({A: at + 1.5})
    assert M.determinant() == pytest.approx(np.linalg.det(M.array), rel=1e-12)
    for left in (M, full):
        for right in (M, replace(M, entries=np.random.default_rng(0).normal(size=(6, 6)), places=None)):
            np.testing.assert_allclose((left @ right).array, left.array @ right.array, atol=1e-12)


# --- products and second derivatives ------------------------------------------------------------------------


def test_products_without_the_matrix_are_those_with_it():
    J = cr.jacobian(cr.softmax(v), v)
    u, t = cr.input("u", (3,)), cr.input("t", (3,))
    U, T = np.array([1.0, 0.5, -2.0]), np.array([0.3, 0.1, 0.9])
    M = J.at({v: V}).array
    np.testing.assert_allclose(cr.evaluate(J.times(t)[0], {v: V, t: T}), M @ T, rtol=1e-12)
    np.testing.assert_allclose(cr.evaluate(J.transposed_times(u)[0], {v: V, u: U}), U @ M, rtol=1e-12)


def test_second_derivatives():
    H = cr.hessian(x**2 * y, [x, y])
    assert [[str(H[i, j]) for j in (0, 1)] for i in (0, 1)] == [["2 · y", "2 · x"], ["2 · x", "0"]]
    A = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 4.0]])
    form = 0.5 * cr.einsum("i,ij,j->", v, cr.constant(A), v)
    M = cr.hessian(form, v).at({v: V})
    np.testing.assert_allclose(M.array, A, atol=1e-14)
    assert M.rows == M.columns == ["v[0]", "v[1]", "v[2]"]
    t = cr.input("t", (3,))
    np.testing.assert_allclose(cr.evaluate(cr.hessian_vector(form, v, t), {v: V, t: V}), A @ V, rtol=1e-14)


# --- bad input ------------------------------------------------------------------------------------------------


def test_a_matrix_that_is_too_large_says_its_size_and_offers_the_products():
    big = cr.input("big", ("n",))
    J = cr.jacobian(cr.softmax(big), big)
    with pytest.raises(ShapeError, match=r"(?s)too large.*10,000 × 10,000 = 100,000,000 numbers.*times\(v\)"):
        J.at({big: np.zeros(10_000)})


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: cr.jacobian([x, y], [x])[2, 0], r"no such entry.*\[2, 0\].*2 × 1"),
        (lambda: cr.jacobian([x, y], [x]).determinant(), "only a square.*2 × 1"),
        (lambda: cr.jacobian(SEVEN, SEVEN_LEAVES).determinant(), "too many terms.*5,040 products"),
        (lambda: cr.jacobian([x, y], [x]).factors, "one output by one node.*2 outputs by 1"),
        (lambda: cr.jacobian(v, v).entries, r"\(3,\) by \(3,\)"),
        (lambda: cr.jacobian(3.0, x), "an output is not a node.*float"),
        (lambda: cr.jacobian([x, 3.0], x), "an output is not a node.*3.0"),
        (lambda: cr.jacobian(x, cr.input("k", (), dtype="int")), "whole numbers"),
        (lambda: cr.jacobian(v, v).times(v, v), "one vector for every node"),
    ],
)
def test_what_cannot_be_asked(ask, says):
    with pytest.raises(ChainruleError, match=f"(?s){says}"):
        ask()
