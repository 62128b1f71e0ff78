"""Random numbers from a counter: the bits of another implementation, the same in both engines, of the right law."""

import numpy as np
import pytest
import scipy.stats
from jax.extend.random import threefry_2x32

import chainrule as cr
from chainrule.engine.draws import threefry
from chainrule.errors import ConfigurationError

LAWS = {
    "uniform": scipy.stats.uniform(),
    "normal": scipy.stats.norm(),
    "gumbel": scipy.stats.gumbel_r(),
}


def test_the_bits_are_those_of_jax():
    key, counts = np.array([123, 456], np.uint32), np.arange(20, dtype=np.uint32)
    expected = np.asarray(threefry_2x32(key, counts))
    x, y = threefry(np, (key[:1], key[1:]), (counts[:10], counts[10:]))
    np.testing.assert_array_equal(np.concatenate([x, y]), expected)


def test_the_bits_are_those_of_the_paper():
    """The known answers that come with Random123, for 20 rounds."""
    zero, ones = np.zeros(1, np.uint32), np.full(1, 0xFFFFFFFF, np.uint32)
    assert [int(v[0]) for v in threefry(np, (zero, zero), (zero, zero))] == [0x6B200159, 0x99BA4EFE]
    assert [int(v[0]) for v in threefry(np, (ones, ones), (ones, ones))] == [0x1CB996FC, 0xBB002BE7]


@pytest.mark.parametrize("law", LAWS)
def test_numbers_follow_their_law(law):
    numbers = cr.evaluate(cr.draw(law, (20000,)), seed=3)
    assert scipy.stats.kstest(numbers, LAWS[law].cdf).pvalue > 0.01
    assert np.isfinite(numbers).all()


def test_a_bernoulli_draw_is_one_as_often_as_it_should():
    for p in (0.0, 0.1, 0.8, 1.0):
        mask = cr.evaluate(cr.draw("bernoulli", (100, 100), probability=p), seed=1)
        assert set(np.unique(mask)) <= {0.0, 1.0}
        assert scipy.stats.binomtest(int(mask.sum()), 10000, p).pvalue > 0.01


def test_a_permutation_has_every_number_once():
    order = cr.evaluate(cr.draw("permutation", ("m",)), sizes={"m": 1000}, seed=2)
    assert sorted(order) == list(range(1000))
    assert abs(scipy.stats.spearmanr(order, np.arange(1000)).statistic) < 0.1


def test_draws_seeds_and_steps_are_independent_and_repeatable():
    a, b = cr.draw("normal", (5000,)), cr.draw("normal", (5000,))
    first = cr.evaluate([a, b], seed=1, step=1)
    again = cr.evaluate([a, b], seed=1, step=1)
    np.testing.assert_array_equal(first, again)
    others = [cr.evaluate(a, seed=2, step=1), cr.evaluate(a, seed=1, step=2), first[1]]
    for other in others:
        assert abs(np.corrcoef(first[0], other)[0, 1]) < 0.05


@pytest.mark.parametrize("law", [*LAWS, "bernoulli", "permutation"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_engines_draw_the_same(law, dtype):
    draw = cr.draw(law, (7,) if law == "permutation" else (7, 3))
    x = cr.input("x", draw.shape)
    y = cr.cast(draw, "float") * x
    found = cr.compile(y, dtype=dtype)({x: np.ones(draw.shape)}, seed=2**40 + 5, step=9)
    expected = cr.evaluate(y, {x: np.ones(draw.shape)}, dtype=dtype, seed=2**40 + 5, step=9)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_a_draw_can_be_fed():
    x, mask = cr.input("x", (3,)), cr.draw("bernoulli", (3,), name="mask")
    for key in (mask, "mask"):
        np.testing.assert_array_equal(cr.evaluate(mask * x, {x: [1.0, 2.0, 3.0], key: [1.0, 0.0, 1.0]}), [1, 0, 3])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: cr.draw("norml", (3,)), "no such distribution.*did you mean 'normal'"),
        (lambda: cr.draw("bernoulli", (3,), probability=1.5), "between 0 and 1.*1.5"),
        (lambda: cr.draw("permutation", (3, 3)), r"one axis.*\(3, 3\)"),
    ],
)
def test_what_cannot_be_drawn(make, says):
    with pytest.raises(ConfigurationError, match=f"(?s){says}"):
        make()
