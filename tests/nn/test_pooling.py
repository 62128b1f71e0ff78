"""Global pooling of sequences of different lengths: padding is left out."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError

rng = np.random.default_rng(0)
LENGTHS = np.array([5, 1, 3, 0])
VALUES = rng.normal(size=(4, 5, 2)) - 3  # so that a padding of zeros would be the largest
THERE = np.arange(5) < LENGTHS[:, None]
POOLINGS = [(cr.GlobalAveragePool1D, np.mean), (cr.GlobalMaxPool1D, np.max)]


def one_by_one(of):
    """Each sequence pooled by itself, without its padding; 0 where there is nothing."""
    return np.array([of(v[:n], axis=0) if n else np.zeros(2) for v, n in zip(VALUES, LENGTHS, strict=True)])


@pytest.mark.parametrize(("layer", "of"), POOLINGS)
@pytest.mark.parametrize("how", [{"mask": THERE}, {"mask": THERE.astype(int)}, {"lengths": LENGTHS}])
@pytest.mark.parametrize("keepdims", [False, True])
def test_only_what_counts_is_pooled(layer, of, how, keepdims):
    x = cr.input("x", (4, 5, 2))
    found = layer(keepdims)(x, **how)
    expected = one_by_one(of)[:, None] if keepdims else one_by_one(of)
    for values in (cr.evaluate(found, {x: VALUES}), cr.compile(found)({x: VALUES})):
        np.testing.assert_allclose(values, expected, rtol=1e-6)
    cr.check_gradient(cr.sum(found**3), x, {x: VALUES})


@pytest.mark.parametrize(("layer", "of"), POOLINGS)
def test_the_padding_that_an_embedding_notes_is_left_out(layer, of):
    X = np.where(THERE, rng.integers(1, 9, (4, 5)), 0)
    x = cr.input("x", ("m", 5), dtype="int")
    embedding = cr.Embedding(9, 2, mask_zero=True)
    table = rng.normal(size=(9, 2))
    found = cr.evaluate(layer()(embedding(x)), {x: X, "W": table})
    expected = [of(table[row[:n]], axis=0) if n else np.zeros(2) for row, n in zip(X, LENGTHS, strict=True)]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("layer", "of"), [(cr.GlobalAveragePool2D, np.mean), (cr.GlobalMaxPool2D, np.max)])
def test_a_mask_of_an_image(layer, of):
    image, mask = rng.normal(size=(1, 3, 4, 2)) - 3, rng.random((1, 3, 4)) < 0.5
    x = cr.input("x", (1, 3, 4, 2))
    np.testing.assert_allclose(cr.evaluate(layer()(x, mask), {x: image})[0], of(image[0][mask[0]], axis=0))


def test_without_a_mask_everything_counts_and_the_formula_is_the_plain_one():
    x = cr.input("x", ("m", 5, 2))
    assert str(cr.GlobalMaxPool1D()(x)) == "max₁(x)"
    np.testing.assert_allclose(cr.evaluate(cr.GlobalAveragePool1D()(x), {x: VALUES}), VALUES.mean(axis=1))


@pytest.mark.parametrize(
    ("layer", "shape", "how", "says"),
    [
        (cr.GlobalMaxPool1D, (4, 5, 2), {"mask": np.ones((4, 6))}, r"mask does not fit.*\(4, 6\).*\(4, 5\)"),
        (cr.GlobalMaxPool1D, (4, 5, 2), {"lengths": np.ones(5)}, r"one length for each.*\(5,\).*\(4,\)"),
        (cr.GlobalMaxPool1D, (4, 5, 2), {"lengths": np.ones(4), "mask": THERE}, "a mask, or lengths"),
        (cr.GlobalMaxPool2D, (4, 5, 5, 2), {"lengths": np.ones(4)}, "lengths are of sequences.*mask="),
    ],
)
def test_masks_that_do_not_fit(layer, shape, how, says):
    with pytest.raises(ChainruleError, match=f"(?s){says}"):
        layer()(cr.input("x", shape), **how)
