"""How parameters start: the declared distribution, orthogonality, and streams that depend on seed and place alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from chainrule import nn
from chainrule.errors import ConfigurationError

SHAPE = (200, 300)
FIELD = (3, 5, 20, 80)  # a window of 3 × 5, from 20 channels to 80


def draw(chosen, shape=SHAPE, seed=0, index=0):
    return nn.initial_value(shape, chosen, seed, index)


def normal(deviation):
    return stats.norm(0, deviation)


def uniform(low, high):
    return stats.uniform(low, high - low)


def even(deviation):
    """Uniform around 0 with this standard deviation."""
    return uniform(-np.sqrt(3) * deviation, np.sqrt(3) * deviation)


# --- distributions ------------------------------------------------------------------------------------

DISTRIBUTIONS = {
    "normal": ("normal", SHAPE, normal(0.05)),
    "normal × scale": (nn.Normal(2.5), SHAPE, normal(2.5)),
    "uniform": ("uniform", SHAPE, uniform(-0.05, 0.05)),
    "uniform between bounds": (nn.Uniform(1, 3), SHAPE, uniform(1, 3)),
    # Glorot and Bengio 2010: Var W = 2 / (fan_in + fan_out)
    "glorot_normal": ("glorot_normal", SHAPE, normal(np.sqrt(2 / 500))),
    "glorot_uniform": ("glorot_uniform", SHAPE, uniform(-np.sqrt(6 / 500), np.sqrt(6 / 500))),
    "glorot_uniform of a window": ("glorot_uniform", FIELD, even(np.sqrt(2 / (15 * 20 + 15 * 80)))),
    # He et al. 2015: Var W = 2 / fan_in
    "he_normal": ("he_normal", SHAPE, normal(np.sqrt(2 / 200))),
    "he_uniform": ("he_uniform", SHAPE, uniform(-np.sqrt(6 / 200), np.sqrt(6 / 200))),
    "he_normal of a window": ("he_normal", FIELD, normal(np.sqrt(2 / (15 * 20)))),
    # LeCun et al. 1998: Var W = 1 / fan_in
    "lecun_normal": ("lecun_normal", SHAPE, normal(np.sqrt(1 / 200))),
    "lecun_uniform": ("lecun_uniform", SHAPE, uniform(-np.sqrt(3 / 200), np.sqrt(3 / 200))),
    "the default of a matrix": (None, SHAPE, uniform(-np.sqrt(6 / 500), np.sqrt(6 / 500))),
}
EVERY = pytest.mark.parametrize(("chosen", "shape", "law"), DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())


@EVERY
def test_the_numbers_follow_the_distribution(chosen, shape, law):
    values = draw(chosen, shape)
    assert values.shape == shape
    # Kolmogorov and Smirnov: of samples that do follow the law, one in a thousand lies further off.
    assert stats.kstest(values.ravel(), law.cdf).statistic < 1.95 / np.sqrt(values.size)
    low, high = law.support()
    assert low <= values.min() <= values.max() <= high


@EVERY
def test_mean_and_variance_are_the_formula(chosen, shape, law):
    values = draw(chosen, shape)
    mean, variance, _, excess = law.stats("mvsk")
    assert abs(values.mean() - mean) < 4 * np.sqrt(variance / values.size)
    assert abs(values.var() / variance - 1) < 4 * np.sqrt((2 + excess) / values.size)


@pytest.mark.parametrize(
    ("chosen", "value"),
    [("zeros", 0), ("ones", 1), (nn.Constant(0.3), 0.3), (0.3, 0.3), (np.float32(0.5), 0.5), (2, 2), ("constant", 0)],
)
def test_constants(chosen, value):
    assert (draw(chosen, (3, 2)) == value).all()


@pytest.mark.parametrize("shape", [(), (4,)])
def test_the_default_of_anything_but_a_matrix_is_zero(shape):
    assert draw(None, shape).tolist() == np.zeros(shape).tolist()


@pytest.mark.parametrize("shape", [(), (7,), (1, 1)])
@pytest.mark.parametrize("name", [n for n in nn.INITIALIZERS if n != "orthogonal"])
def test_small_shapes_are_filled_too(name, shape):
    values = draw(name, shape)
    assert values.shape == shape
    assert np.isfinite(values).all()


# --- orthogonal ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "gain"), [((60, 40), 1.0), ((40, 60), 1.0), ((50, 50), 1.5), ((3, 5, 4, 20), 1.0)])
def test_the_shorter_side_of_an_orthogonal_start_is_orthonormal(shape, gain):
    w = draw(nn.Orthogonal(gain), shape).reshape(-1, shape[-1])
    short = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(short, gain**2 * np.eye(len(short)), atol=1e-12)


def test_an_orthogonal_start_has_no_preferred_direction():
    # An entry of a uniformly random n × n orthogonal matrix has mean 0 and variance 1/n (Mezzadri 2007). Without the
    # signs of R's diagonal those of the QR algorithm remain, and its first column is never positive at the top.
    corners = np.array([draw("orthogonal", (4, 4), index=i)[0, 0] for i in range(2000)])
    assert abs(corners.mean()) < 4 * np.sqrt(1 / 4 / 2000)
    assert abs(corners.var() * 4 - 1) < 4 * np.sqrt(2 / 2000)


def test_an_orthogonal_start_needs_a_matrix():
    with pytest.raises(ConfigurationError, match=r"(?s)needs a matrix.*at least two axes"):
        draw("orthogonal", (4,))


# --- streams ------------------------------------------------------------------------------------------

RANDOM = [n for n in nn.INITIALIZERS if n not in ("zeros", "ones", "constant")]


@pytest.mark.parametrize("name", RANDOM)
def test_the_same_seed_gives_the_same_bits_and_another_seed_or_parameter_others(name):
    first = draw(name, (5, 4), seed=7, index=3)
    assert first.tobytes() == draw(name, (5, 4), seed=7, index=3).tobytes()
    others = [draw(name, (5, 4), seed=8, index=3), draw(name, (5, 4), seed=7, index=4)]
    for other in others:
        assert not np.intersect1d(first, other).size


def test_a_parameter_does_not_depend_on_those_drawn_before_it():
    alone = draw("normal", (3,), index=2)
    for index in range(2):
        draw("normal", (100,), index=index)
    assert draw("normal", (3,), index=2).tobytes() == alone.tobytes()


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_any_whole_number_is_a_seed(seed):
    assert np.isfinite(draw("normal", (3,), seed=seed)).all()


def test_numbers_are_drawn_in_double_precision_and_rounded_by_the_run():
    assert all(draw(name, (3, 3)).dtype == np.float64 for name in nn.INITIALIZERS)


def test_nothing_is_compiled_to_start_a_network():
    program = """
import sys
from chainrule import nn
for name in nn.INITIALIZERS:
    nn.initial_value((30, 20), name, 0, 0)
assert "jax" not in sys.modules
"""
    environment = os.environ | {"PYTHONPATH": str(Path(nn.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


# --- of one's own, and what is refused ----------------------------------------------------------------


def test_a_function_of_generator_and_shape_is_an_initializer():
    values = draw(lambda rng, shape: rng.integers(1, 3, shape), (50,))
    assert set(values.tolist()) == {1.0, 2.0}
    assert values.dtype == np.float64


def test_a_function_that_returns_another_shape_is_refused():
    with pytest.raises(ConfigurationError, match=r"(?s)another shape.*given: +\(2,\).*expected: +\(3, 2\)"):
        draw(lambda rng, shape: np.ones(2), (3, 2))


@pytest.mark.parametrize("name", nn.INITIALIZERS)
def test_an_initializer_is_known_by_its_name_and_as_an_object(name):
    assert nn.initializer(name) is nn.INITIALIZERS[name]
    assert nn.initializer(nn.INITIALIZERS[name]) is nn.INITIALIZERS[name]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("glorot_unifrom", "did you mean 'glorot_uniform'"),
        ("nothing like it", "(?s)no such initializer.*given: +'nothing like it'.*expected: zeros, ones, "),
        ([1.0], r"(?s)not an initializer.*given: +\[1.0\].*a name, a number or a function"),
    ],
)
def test_an_unknown_initializer_is_refused_and_near_names_are_named(value, message):
    with pytest.raises(ConfigurationError, match=message):
        nn.initializer(value)
