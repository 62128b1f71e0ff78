"""Products and sums as they are handed to XLA: the numbers of NumPy, in the form that is fast on the CPU."""

import re

import numpy as np
import pytest

import chainrule as cr

jax = pytest.importorskip("jax")
from chainrule.engine.program import Program  # noqa: E402
from chainrule.engine.xla.compile import kinds_for, trace  # noqa: E402
from chainrule.engine.xla.products import FEW, FEW_COLUMNS, SMALL_PRODUCT, contraction, side_by_side, total  # noqa: E402

RNG = np.random.default_rng(0)
SIZES = [
    (1, 1, 1),
    (8, 5, 3),
    (32, 20, 32),
    (32, 64, 10),
    (64, 100, 1),
    (512, 8, 8),
    (128, 784, 16),
    (3, 2, 0),
    (0, 2, 3),
]


@pytest.mark.parametrize(("rows", "left", "right"), SIZES)
@pytest.mark.parametrize("spec", ["ri,rj->ij", "ri,rj->ji", "ir,rj->ij", "ir,jr->ij", "ri,jr->ij", "ri,jr->ji"])
def test_a_product_has_the_numbers_of_numpy(spec, rows, left, right):
    size = {"r": rows, "i": left, "j": right}
    a, b = (RNG.normal(size=[size[c] for c in word]).astype(np.float32) for word in spec.split("->")[0].split(","))
    exact = np.einsum(spec, a.astype(np.float64), b.astype(np.float64))
    found = np.asarray(jax.jit(lambda a, b: contraction(spec, a, b))(a, b))
    assert found.dtype == np.float32
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-6 * max(rows, 1))


@pytest.mark.parametrize("spec", ["bri,brj->bij", "rij,rk->ijk", "i,j->ij", "i,i->"])
def test_other_contractions_too(spec):
    size = {"b": 3, "r": 8, "i": 5, "j": 4, "k": 2}
    a, b = (RNG.normal(size=[size[c] for c in word]).astype(np.float32) for word in spec.split("->")[0].split(","))
    found = np.asarray(jax.jit(lambda a, b: contraction(spec, a, b))(a, b))
    np.testing.assert_allclose(found, np.einsum(spec, a, b), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="operands are turned for the CPU")
@pytest.mark.parametrize(("rows", "left", "right"), [(32, 20, 32), (32, 64, 10), (512, 8, 8)])
def test_a_small_gradient_of_weights_is_no_product_with_a_transpose_inside(rows, left, right):
    assert rows * left * right <= SMALL_PRODUCT
    a, b = RNG.normal(size=(rows, left)).astype(np.float32), RNG.normal(size=(rows, right)).astype(np.float32)
    plain = jax.jit(lambda a, b: a.T @ b).lower(a, b).compile().as_text()
    ours = jax.jit(lambda a, b: contraction("ri,rj->ij", a, b)).lower(a, b).compile().as_text()
    turned = re.compile(r"dot\(.*lhs_contracting_dims=\{0\}")
    assert turned.search(plain)  # what XLA makes of it by itself, and the reason for all this
    assert not turned.search(ours)


@pytest.mark.parametrize("shape", [(), (5,), (1, 1), (32, 64), (64, 1), (2, 3, 4), (0, 3), (64, FEW // 64)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_a_sum_has_the_numbers_of_numpy(shape, keepdims):
    x = RNG.normal(size=shape).astype(np.float32)
    found = np.asarray(jax.jit(lambda x: total(x, keepdims, x.dtype))(x))
    exact = x.astype(np.float64).sum(keepdims=keepdims)
    assert found.dtype == np.float32
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)


def test_sums_of_whole_numbers_and_of_truths_stay_what_they_are():
    x = cr.input("x", (6, 7), dtype="int")
    numbers = RNG.integers(-9, 9, (6, 7))
    assert cr.compile(cr.sum(x))({x: numbers}) == numbers.sum()
    b = cr.input("b", (6, 7))
    truths = cr.cast(b > 0, "float")
    values = RNG.normal(size=(6, 7))
    assert cr.compile(cr.sum(truths))({b: values}) == (values > 0).sum()


@pytest.mark.parametrize("shape", [(32, 10), (32, FEW_COLUMNS), (FEW, 10), (2, 3), (32, 1), (0, 3), (4, 5, 6)])
@pytest.mark.parametrize("axis", [0, -1])
def test_rows_of_few_numbers_that_lie_column_by_column_are_the_same(shape, axis):
    x = RNG.normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(jax.jit(lambda x: side_by_side(x, axis))(x), x)
    one_by_one = jax.jit(jax.vmap(lambda x: side_by_side(x, axis)))
    np.testing.assert_array_equal(one_by_one(x[None].repeat(2, 0)), x[None].repeat(2, 0))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="laid out for the CPU")
def test_a_softmax_of_few_classes_adds_up_many_rows_at_once():
    z = cr.input("z", ("m", 10))
    text = jax.jit(lambda x: z_of(cr.softmax(z), z, x)).lower(np.zeros((32, 10), np.float32)).compile().as_text()
    assert "f32[32,10]{0,1}" in text
    wide = jax.jit(lambda x: z_of(cr.softmax(z), z, x)).lower(np.zeros((FEW, 10), np.float32)).compile().as_text()
    assert f"f32[{FEW},10]{{0,1}}" not in wide  # many rows fill the vectors anyhow


def z_of(output, leaf, array):
    return trace(Program([output]), {leaf: array}, kinds_for("float32"))[0]
