"""Convexity: what is known to be convex is, what is known not to be has a witness, and the witness is checked."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError

X, Y = cr.input("X", ("m", 3)), cr.input("Y", ("m", 1))
W, b = cr.parameter("W", (3, 1)), cr.parameter("b", (1,))
Z = X @ W + b
RNG = np.random.default_rng(0)
DATA = {X: RNG.normal(size=(20, 3)), Y: RNG.integers(0, 2, (20, 1)) * 1.0}
w, BIG = cr.parameter("w", ()), cr.parameter("big", (9, 9))


@pytest.mark.parametrize(
    "cost",
    [
        cr.mean(cr.binary_cross_entropy(cr.sigmoid(Z), Y)),
        cr.mean(cr.squared_error(Z, Y)),
        cr.mean(cr.absolute_error(Z, Y)),
        cr.mean(cr.hinge(Z, Y)),
        cr.mean(cr.squared_error(Z, Y)) + 0.1 * cr.sum(W**2),
        cr.sum(cr.logsumexp(Z * cr.constant([[1.0, 2.0]]), axis=1)) - cr.sum(Z),
    ],
    ids=["cross-entropy after sigmoid", "least squares", "absolute", "hinge", "ridge", "log-sum-exp"],
)
def test_what_is_convex_is_proved_by_rules(cost):
    found = cr.convexity(cost, [W, b], feeds=DATA)
    assert found
    assert found.verdict == "convex"
    assert "keeps it so" in found.why


def test_squared_error_after_a_sigmoid_is_not_and_the_witness_is_one():
    cost = cr.mean(cr.squared_error(cr.sigmoid(Z), Y))
    found = cr.convexity(cost, [W, b], feeds=DATA)
    assert found.verdict == "not convex"
    assert not found
    values = [
        float(cr.evaluate(cost, DATA | {n: found.witness[n] + h * found.direction[n] for n in (W, b)}))
        for h in (-1e-3, 0.0, 1e-3)
    ]
    curvature = (values[0] - 2 * values[1] + values[2]) / 1e-6
    assert curvature == pytest.approx(found.curvature, abs=1e-5)
    assert curvature < 0


def test_a_network_is_not_convex_in_its_weights():
    h = cr.tanh(X @ W + b)
    v = cr.parameter("v", (1, 1))
    assert cr.convexity(cr.mean((h @ v - Y) ** 2), [W, v], feeds=DATA | {b: np.zeros(1)}).verdict == "not convex"


def test_on_an_interval_and_at_a_point():
    assert cr.convexity(cr.sin(w), w, (0.1, 3.0)).verdict == "not convex"
    assert cr.convexity(cr.sin(w), w, {w: np.array(4.0)}).verdict == "convex"
    assert cr.convexity(cr.sin(w), w, {w: np.array(1.0)}).curvature == pytest.approx(-np.sin(1.0))


CONVEX_THERE = {
    "sine": (cr.sin(w), (3.3, 6.1), lambda v: -np.sin(v)),
    "cosine": (cr.cos(w), (1.6, 4.7), lambda v: -np.cos(v)),
    "cube": (w**3, (0.0, 2.0), lambda v: 6 * v),
    "inverse": (1 / w, (0.5, 2.0), lambda v: 2 / v**3),
    "quartic": (w**4 - w**2, (0.5, 3.0), lambda v: 12 * v**2 - 2),
    "tanh on the left": (cr.tanh(w), (-4.0, 0.0), lambda v: -2 * np.tanh(v) * (1 - np.tanh(v) ** 2)),
    "product": (w * cr.exp(w), (-2.0, 1.0), lambda v: (v + 2) * np.exp(v)),
    "x log x": (w * cr.log(w), (0.1, 5.0), lambda v: 1 / v),
}


@pytest.mark.parametrize(("cost", "region", "second"), CONVEX_THERE.values(), ids=CONVEX_THERE)
def test_convex_on_an_interval_is_proved_for_every_number_of_it(cost, region, second):
    found = cr.convexity(cost, w, region)
    assert found.verdict == "convex", found
    assert "interval arithmetic" in found.why
    least = second(np.linspace(*region, 100_001)).min()
    assert least - 0.05 * max(1, abs(least)) < found.curvature <= least + 1e-12  # what is proved holds at every point


@pytest.mark.parametrize("region", [(3.0, 6.1), (3.3, 6.4)])
def test_a_little_further_it_is_not(region):
    assert cr.convexity(cr.sin(w), w, region).verdict == "not convex"


def test_it_says_when_it_does_not_know():
    u = cr.parameter("u", ())
    found = cr.convexity(cr.exp(w) * cr.exp(u) + cr.cos(w) * 0.1 + u**2, [w, u], (0.0, 0.1))  # no rule says so
    assert found.verdict == "undecided"
    assert "no rule proves it" in repr(found)


def test_what_does_not_depend_on_it_is_convex_in_it():
    assert "does not depend" in str(cr.convexity(cr.sum(Z), w, feeds=DATA))


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: cr.convexity(Z, W, feeds=DATA), "single number"),
        (lambda: cr.convexity(cr.sum(Z), Z, feeds=DATA), "input or a parameter"),
        (lambda: cr.convexity(cr.sin(w), w, (2.0, 1.0)), "from low to high"),
        (lambda: cr.convexity(cr.sin(w), w, {}), "says nothing of w"),
        (lambda: cr.convexity(cr.sum(cr.sin(BIG)), BIG), "too many numbers.*81.*at most 64"),
    ],
)
def test_what_cannot_be_asked(ask, says):
    with pytest.raises(ChainruleError, match=f"(?s){says}"):
        ask()
