"""Optimizers, losses, and one network per example: against closed forms and hand-written NumPy."""

import math

import numpy as np
import pytest

from chainrule.errors import ConfigurationError, DataError
from chainrule.explain.compare import compare_losses, compare_optimizers, compare_per_example
from chainrule.explain.compare.losses import after_sigmoid
from chainrule.explain.compare.optimizers import VALLEYS, walks
from chainrule.explain.compare.per_example import (
    ALL,
    LINEAR,
    LINEAR_VOTES,
    Stack,
    Trained,
    matched,
    reordered,
    train_stack,
)
from chainrule.nn.losses import LOSSES
from chainrule.optimize import OPTIMIZERS

# --- optimizers -----------------------------------------------------------------------------------------

VALLEY, ROSENBROCK = VALLEYS


def test_gradient_descent_walks_as_by_hand():
    """The valley ¼ (x + y)² + 12.5 (y − x)² is ½ wᵀ H w: every step multiplies w by I − α H."""
    H = np.array([[25.5, -24.5], [-24.5, 25.5]])
    for walk in walks("gradient_descent", VALLEY, (0.003, 0.01), 50, 1e-3):
        place = np.array(VALLEY.start)
        for found, height in zip(walk.path, walk.heights, strict=True):
            assert found == pytest.approx(place, rel=1e-9)
            assert height == pytest.approx(place @ H @ place / 2, rel=1e-9)
            place = place - walk.learning_rate * H @ place


def test_momentum_on_rosenbrock_walks_as_by_hand():
    (walk,) = walks("momentum", ROSENBROCK, (0.0003,), 40, 1e-3)
    w, v = np.array(ROSENBROCK.start), np.zeros(2)
    for found in walk.path:
        assert found == pytest.approx(w, rel=1e-9)
        x, y = w
        v = 0.9 * v + np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])
        w = w - 0.0003 * v


def test_a_rate_that_is_too_large_loses_its_own_walk_alone():
    small, large = walks("gradient_descent", ROSENBROCK, (0.0003, 1.0), 200, 1e-3)
    assert np.isfinite(small.path).all()
    assert np.isfinite(large.path).all()
    assert small.heights[-1] < small.heights[0] / 5
    assert np.abs(large.path).max() > 1e3


def test_a_walk_ends_where_it_first_arrives():
    (walk,) = walks("momentum", VALLEY, (0.01,), 300, 1e-3)
    assert walk.steps == len(walk.path) - 1
    assert walk.heights[-1] < 1e-3 <= walk.heights[:-1].min()


def test_optimizers_are_compared_and_printed():
    found = compare_optimizers(["gradient_descent", "adam"], quick=True)
    text = str(found)
    assert "adam" in text
    assert found.answer in text
    walked = {name: walk.steps for name, walk in found.valleys["quadratic valley"].items()}
    first = min((n for n in walked if walked[n] is not None), key=lambda n: walked[n])
    assert f"quadratic valley: {first} arrives first ({walked[first]} steps)" in found.answer
    assert set(found.figures()) == {"paths", "learning"}
    assert [r["optimizer"] for r in found.records()] == ["gradient_descent", "adam"]
    assert all(learned.accuracy.mean > 0.9 for learned in found.learning.values())


def test_an_optimizer_that_there_is_not_is_told_with_near_ones():
    with pytest.raises(ConfigurationError, match="'adam'"):
        compare_optimizers(["adan"])
    assert len(OPTIMIZERS) >= 7


# --- losses ---------------------------------------------------------------------------------------------


def test_squared_error_after_a_sigmoid_bends_down_below_ln_one_half():
    """L = (σ − 1)², L″ = −2 σ (1 − σ)² (1 − 3σ): negative where σ < 1/3."""
    found = after_sigmoid("squared_error")
    assert found.convexity.verdict == "not convex"
    assert found.negative[1] == pytest.approx(math.log(0.5), abs=1e-3)
    z, loss, slope, bend = found.curve
    s = 1 / (1 + np.exp(-z))
    assert loss == pytest.approx((s - 1) ** 2, abs=1e-12)
    assert slope == pytest.approx(-2 * s * (1 - s) ** 2, abs=1e-12)
    assert bend == pytest.approx(-2 * s * (1 - s) ** 2 * (1 - 3 * s), abs=1e-12)


def test_cross_entropy_is_convex_and_pulls_where_the_prediction_is_wrong():
    found = after_sigmoid("binary_cross_entropy")
    assert found.convexity
    assert found.negative is None
    assert found.gradient == "σ(z) − y"
    assert found.wrong == pytest.approx({z: 1 / (1 + math.exp(-z)) - 1 for z in found.wrong})
    squared = after_sigmoid("squared_error").wrong[-10.0]
    s = 1 / (1 + math.exp(10))
    assert squared == pytest.approx(-2 * s * (1 - s) ** 2)


@pytest.fixture(scope="module")
def losses():
    return compare_losses(quick=True, seeds=1)


def test_losses_are_compared_and_the_words_follow(losses):
    text = str(losses)
    assert losses.answer in text
    assert "squared_error is not convex in z: its curvature is negative up to z = −0.693, where ŷ = 0.333" in text
    assert "binary_cross_entropy is convex in z" in text
    by = {(t.loss, t.start): t.curve[0] for t in losses.trained}  # after the first epoch
    assert by["squared_error", "wrong start"] < 0.7 < 0.9 < by["binary_cross_entropy", "wrong start"]
    grown = {w.loss: w.errors[0.2].mean / w.errors[0.0].mean for w in losses.with_outliers}
    assert grown["absolute_error"] < grown["squared_error"]
    assert f"{grown['absolute_error']:.2f}-fold with absolute_error" in losses.answer
    assert {w.loss: w.pull for w in losses.with_outliers} == pytest.approx(
        {"squared_error": 20, "absolute_error": 1, "huber": 1, "log_cosh": math.tanh(10)}
    )
    assert set(losses.figures()) == {"sigmoid", "learning", "outliers"}
    assert {r["loss"] for r in losses.records()} <= set(LOSSES)


def test_losses_after_a_sigmoid_take_two_classes():
    X = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(ConfigurationError, match="two classes"):
        compare_losses(classification=(X, np.arange(30) % 3))


# --- one network per example ----------------------------------------------------------------------------

X = np.linspace(-1, 1, 6)[:, None]
Y = np.exp(X)


def test_the_networks_of_a_stack_are_trained_as_each_would_be_alone():
    """Adam by hand, for the third network on its own example."""
    trained = train_stack(X, Y, 1, 3, seed=0, epochs=30)
    start = Stack(6, 1, 3).starts(0, common=False)
    p = {name: v[2].astype(float) for name, v in start.items()}
    m = {n: np.zeros_like(v) for n, v in p.items()}
    v = {n: np.zeros_like(a) for n, a in p.items()}
    x, y = X[2], Y[2]
    for t in range(1, 31):
        a = np.tanh(x @ p["W1"] + p["b1"])
        d = 2 * (a @ p["W2"] + p["b2"] - y) / 6  # 1/m of the cost of all six
        back = (d @ p["W2"].T) * (1 - a**2)
        g = {"W1": np.outer(x, back), "b1": back, "W2": np.outer(a, d), "b2": d}
        for n in p:
            m[n] = 0.9 * m[n] + 0.1 * g[n]
            v[n] = 0.999 * v[n] + 0.001 * g[n] ** 2
            p[n] = p[n] - 0.01 * (m[n] / (1 - 0.9**t)) / (np.sqrt(v[n] / (1 - 0.999**t)) + 1e-8)
    for n in p:
        assert trained.values[n][2] == pytest.approx(p[n], rel=1e-7, abs=1e-9), n


def test_a_reordered_network_is_the_same_function_and_is_put_back_in_order():
    a = train_stack(X, Y, 6, 5, seed=0, epochs=200)
    order, signs = np.array([3, 0, 4, 1, 2]), np.array([1, -1, -1, 1, 1.0])
    copy = reordered(a, order, signs)
    assert copy.predictions(X) == pytest.approx(a.predictions(X), abs=1e-12)
    assert not np.allclose(copy.values["W1"], a.values["W1"])
    back = matched(copy, a, X)
    for name, value in a.values.items():
        assert back.values[name] == pytest.approx(value), name


def test_averaged_parameters_of_linear_models_are_averaged_predictions_and_of_networks_are_not():
    linear = train_stack(X, Y, 1, 0, seed=0, epochs=50)
    assert linear.average().predictions(X)[0] == pytest.approx(linear.predictions(X).mean(axis=0), abs=1e-12)
    network = train_stack(X, Y, 1, 4, seed=0, epochs=200)
    assert np.abs(network.average().predictions(X)[0] - network.predictions(X).mean(axis=0)).max() > 0.05


def test_a_common_start_is_common():
    start = Stack(3, 2, 4).starts(5, common=True)
    assert all((v == v[0]).all() for v in start.values())
    own = Stack(3, 2, 4).starts(5, common=False)
    assert not np.allclose(own["W1"][0], own["W1"][1])


def test_predictions_of_a_stack_are_those_of_numpy():
    start = Stack(3, 1, 4).starts(5, common=False)
    found = Trained(Stack(3, 1, 4), Stack(3, 1, 4).model(start), start).predictions(X)
    for k in range(3):
        p = {n: v[k] for n, v in start.items()}
        expected = np.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        assert found[k] == pytest.approx(expected[:, 0])


def test_the_experiment_and_its_words():
    found = compare_per_example(quick=True)
    text = str(found)
    assert found.answer in text
    assert found.gradients < 1e-12
    assert found.linear_difference < 1e-12
    assert found.symmetry.alike < 1e-12
    assert found.symmetry.ways == 10_321_920
    assert found.own.mean < 0.05 < found.others.mean
    assert found.ways[LINEAR].test.values == pytest.approx(found.ways[LINEAR_VOTES].test.values)
    assert f"{found.ways[ALL].test.mean:.2f} for one network on all" in found.answer
    assert [r["way"] for r in found.records()] == list(found.ways)
    assert set(found.figures()) == {"curve", "groups"}


def test_too_few_examples_are_refused():
    with pytest.raises(DataError, match="too few examples"):
        compare_per_example(regression=(np.arange(20.0)[:, None], np.arange(20.0)))
