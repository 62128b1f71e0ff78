"""Capsules against a transcription of the paper's procedure, and on a task."""

import numpy as np
import pytest
from scipy.special import softmax

import chainrule as cr
from chainrule.errors import ConfigurationError

RNG = np.random.default_rng(0)


def squashed(s):
    """Equation 1 of Sabour et al. 2017, vector by vector."""
    out = np.zeros_like(s)
    for at in np.ndindex(s.shape[:-1]):
        length = np.sqrt((s[at] ** 2).sum())
        out[at] = length**2 / (1 + length**2) * s[at] / length
    return out


def routed(u, W, rounds):
    """Procedure 1, example by example: votes û (I, J, d), then rounds of agreement."""
    found, couplings = [], []
    for example in u:
        votes = np.array([[example[i] @ W[i, j] for j in range(W.shape[1])] for i in range(W.shape[0])])
        b = np.zeros(votes.shape[:2])
        for _ in range(rounds):
            c = softmax(b, axis=1)
            v = squashed(np.array([sum(c[i, j] * votes[i, j] for i in range(len(b))) for j in range(b.shape[1])]))
            b = b + np.array([[votes[i, j] @ v[j] for j in range(b.shape[1])] for i in range(len(b))])
        found.append(v)
        couplings.append(c)
    return np.array(found), np.array(couplings)


def test_squash_keeps_the_direction_and_brings_the_length_below_one():
    s = RNG.normal(size=(5, 3)) * np.array([[1e-3], [0.1], [1], [10], [1e3]])
    node = cr.input("s", s.shape)
    v = cr.squash(node)
    np.testing.assert_allclose(cr.evaluate(v, {node: s})[1:], squashed(s)[1:], rtol=1e-4)
    np.testing.assert_allclose(cr.evaluate(v, {node: s}), squashed(s), atol=1e-6)
    lengths = cr.evaluate(cr.capsule_lengths(v), {node: s})
    assert (np.diff(lengths) > 0).all()
    assert lengths[-1] < 1


def test_squash_has_a_derivative_at_nothing():
    s = cr.input("s", (2, 3))
    slope = cr.gradient(cr.sum(cr.squash(s) + cr.squash(s) ** 2), s)
    for dtype in ("float32", "float64"):
        assert np.isfinite(cr.evaluate(slope, {s: np.zeros((2, 3))}, dtype=dtype)).all()


@pytest.mark.parametrize("rounds", [1, 2, 3, 5])
def test_routing_is_the_procedure_of_the_paper(rounds):
    layer, u = cr.Capsule(3, 4, routings=rounds), cr.input("u", ("m", 5, 2))
    v = layer(u)
    U, W = RNG.normal(size=(6, 5, 2)), RNG.normal(size=(5, 3, 2, 4))
    expected, couplings = routed(U, W, rounds)
    for found in (cr.evaluate, lambda o, f: cr.compile(o, dtype="float64")(f)):
        v_, c = found([v, layer.openness], {u: U, layer["W"]: W})
        np.testing.assert_allclose(v_, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(c, couplings, rtol=1e-5, atol=1e-7)


def test_capsules_of_a_kind_share_their_matrix_at_every_place():
    layer, u = cr.Capsule(3, 4, kinds=2), cr.input("u", ("m", 6, 5))
    v = layer(u)
    U, W = RNG.normal(size=(4, 6, 5)), RNG.normal(size=(2, 3, 5, 4))
    expected, _ = routed(U, np.concatenate([W, W, W]), 3)
    np.testing.assert_allclose(cr.evaluate(v, {u: U, layer["W"]: W}), expected, rtol=1e-5)
    moved = U.reshape(4, 3, 2, 5)[:, [1, 2, 0]].reshape(U.shape)
    np.testing.assert_allclose(cr.evaluate(v, {u: moved, layer["W"]: W}), expected, rtol=1e-5)
    at = {u: U, layer["W"]: W}
    cr.check_gradient(cr.sum(v**2), [u, layer["W"]], at)


def test_capsules_that_cannot_be_parted_into_kinds_are_refused():
    with pytest.raises(ConfigurationError, match=r"6 capsules of .*, 4 kinds"):
        cr.Capsule(3, 4, kinds=4)(cr.input("u", ("m", 6, 5)))


def test_capsules_are_parts_of_the_channels():
    x = cr.input("x", ("m", 2, 3, 8))
    u = cr.PrimaryCapsules(4)(x)
    X = RNG.normal(size=(5, 2, 3, 8))
    assert u.shape == (cr.Dim("m"), 12, 4)
    np.testing.assert_allclose(cr.evaluate(u, {x: X}), squashed(X.reshape(5, 12, 4)), rtol=1e-5)


def test_every_matrix_starts_as_if_it_were_alone():
    layer = cr.Capsule(3, 4)
    layer(cr.input("u", ("m", 50, 2)))
    W = cr.nn.initial_value(layer["W"].shape, layer["W"].attrs["initializer"], 0, 0)
    assert W.var() == pytest.approx(2 / (2 + 4), rel=0.1)  # Glorot, of 2 inputs and 4 outputs


def test_things_are_told_apart_by_the_agreement_of_their_parts():
    """Two parts, each a direction; they belong together when they point the same way."""
    angle = RNG.uniform(0, 2 * np.pi, size=(400, 2))
    same = RNG.random(400) < 0.5
    angle[same, 1] = angle[same, 0]
    X = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(400, 4)
    keep = same | (np.abs(np.sin((angle[:, 0] - angle[:, 1]) / 2)) > 0.5)
    X, Y = X[keep], same[keep].astype(int)
    network = cr.Sequential(cr.PrimaryCapsules(2), cr.Capsule(2, 4), cr.capsule_lengths, cr.softmax)
    run = cr.fit(network, X, Y, loss="categorical_cross_entropy", epochs=150, learning_rate=0.02, seed=1)
    line = cr.fit(cr.Sequential(cr.Dense(2, "softmax")), X, Y, epochs=150, learning_rate=0.02)
    assert run.evaluate(X, Y)["accuracy"] > 0.95
    assert line.evaluate(X, Y)["accuracy"] < 0.75
