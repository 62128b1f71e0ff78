"""Column notation: the course's formula sheet, and that each turned formula has the transposed value."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.node import ancestors
from chainrule.notation import unique_names
from chainrule.notation.columns import turned, turned_shape

X, W, A = cr.input("X", ("m", 3)), cr.parameter("W", (3, 2)), cr.input("A", ("m", 2))
b, w, e, s = cr.parameter("b", (2,)), cr.parameter("w", (3,)), cr.input("e", ("m",)), cr.input("s", ())
K = cr.input("K", ("m",), dtype="int")
images, F = cr.input("I", ("m", 4, 3, 2)), cr.parameter("F", (2, 2, 2, 2))
S, D = cr.input("S", ("m", 4, 3)), cr.input("D", ("m", 4, 2))
RNG = np.random.default_rng(0)
NUMBERS = {
    "X": RNG.normal(size=(5, 3)),
    "W": RNG.normal(size=(3, 2)),
    "A": RNG.normal(size=(5, 2)),
    "b": RNG.normal(size=2),
    "w": RNG.normal(size=3),
    "e": RNG.normal(size=5),
    "s": 0.7,
    "K": np.array([0, 1, 1, 0, 1]),
    "I": RNG.normal(size=(5, 4, 3, 2)),
    "F": RNG.normal(size=(2, 2, 2, 2)),
    "S": RNG.normal(size=(5, 4, 3)),
    "D": RNG.normal(size=(5, 4, 2)),
}


def upright(array, shape):
    """The numbers of a node as they stand in column notation."""
    array = np.asarray(array)
    if array.ndim == 1:
        return array[:, None] if isinstance(shape[0], int) else array[None, :]
    return array.T if array.ndim == 2 else array


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (X @ W + b, "W X + b"),
        (X.T @ A, "A Xᵀ"),
        (A @ W.T, "Wᵀ A"),
        (A @ W.T * (1 - X**2), "Wᵀ A ∘ (1 − X²)"),
        (A.sum(axis=0), "Σ A"),
        (cr.mean(A), None),
        (X @ w, "wᵀ X"),
        (X @ w + s - e, "wᵀ X + s − e"),
        (X.T @ e, "X eᵀ"),
        (cr.softmax(A, axis=-1), None),
        (cr.one_hot(K, 2) * A, None),
        (cr.where(A > 0, A, s * A), None),
        (cr.cumsum(A, axis=1), None),
        (cr.concatenate([A, X], axis=1), None),
        (A[:, 0] * e, None),
        (cr.max(A, axis=1, keepdims=True) * A, None),
        (cr.broadcast_to(b, A.shape) * A, None),
        (A * np.array([[1.0, 2.0]]), None),
        (A * np.array([1.0, 2.0]), None),
        (S @ W + b, "S Wᵀ + b"),
        (cr.einsum("mtn,kn->mtk", D, W), "D W"),
        (cr.einsum("mtk,mtn->kn", S, D), "Dᵀ S"),
        (cr.einsum("mtk,mtn->nk", S, D), "Sᵀ D"),
        (cr.einsum("mtk,msk->mts", S, S), "S Sᵀ"),
        ((X.T @ A).T @ cr.transpose(W.T), None),
        (cr.convolution(images, F) + b, "I ∗ F + b"),
        (cr.max_pool(images) * b, None),
        (cr.sum(images, axis=(0, 1, 2)), None),
        (cr.reshape(images, ("m", 24))[:, :3] @ W, None),
    ],
    ids=str,
)
def test_a_turned_formula_has_the_transposed_value(node, text):
    (node,) = cr.simplify(node).outputs
    names = unique_names(n for n in ancestors(node) if n.op.name in ("input", "parameter"))
    formula, symbols = turned(node, names)
    assert formula.shape == turned_shape(node.shape)
    by_name = {symbol.text: n for n, symbol in names.items()}
    feeds = {n: upright(NUMBERS[s.text], by_name[s.text].shape) for n, s in symbols.items()}
    rows = cr.evaluate(node, {n: NUMBERS[s.text] for n, s in names.items()}, as_written=True)
    np.testing.assert_allclose(cr.evaluate(formula, feeds, as_written=True), upright(rows, node.shape), rtol=1e-14)
    assert text is None or str(formula) == text
