"""Decision boundaries: lines on which two classes are equally likely, against the closed form and the decisions."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2))
SIDES = (X @ [1.0, 2.0] > 0.5) * 1
THREE = np.where(X[:, 0] > 0.6, "right", np.where(X[:, 1] > 0, "upper", "lower"))


@pytest.fixture(scope="module")
def line():
    return cr.fit(cr.Sequential(cr.Dense(1, "sigmoid")), X, SIDES, epochs=100, learning_rate=0.05)


@pytest.fixture(scope="module")
def three():
    network = cr.Sequential(cr.Dense(8, "tanh"), cr.Dense(3, "softmax"))
    return cr.fit(network, X, THREE, epochs=200, learning_rate=0.02)


def test_a_single_unit_parts_the_plane_by_w_x_plus_b(line):
    found, p = line.boundary(X, SIDES), line.parameters
    assert len(found.lines) == 1
    np.testing.assert_allclose(found.lines[0] @ p["W1"][:, 0] + p["b1"][0], 0, atol=0.02)
    np.testing.assert_allclose(line.predict(found.lines[0]), 0.5, atol=5e-3)
    assert len(found.lines[0]) > 100


def test_on_a_boundary_the_two_likeliest_classes_are_equal(three):
    found = cr.boundary(three, X, THREE)
    points = np.concatenate(found.lines)
    inside = np.sort(three.predict(points), axis=1)
    difference = inside[:, 2] - inside[:, 1]
    assert np.quantile(difference, 0.95) < 0.01  # where three meet, a line ends within a cell
    assert found.classes == ("lower", "right", "upper")


def test_what_is_decided_and_what_is_wrong(three):
    found = cr.boundary(three, X, THREE, points=31)
    decided = np.asarray(found.classes)[found.decided].ravel()
    np.testing.assert_array_equal(decided, three.decide(found.cut.rows))
    np.testing.assert_array_equal(found.wrong, three.decide(X) != THREE)
    np.testing.assert_allclose(found.scores.reshape(-1, 3), three.predict(found.cut.rows), atol=1e-6)
    assert f"{found.wrong.sum()} of 120 examples" in str(found)


@pytest.mark.parametrize(
    ("last", "loss", "labels"),
    [
        ("tanh", "hinge", 2 * SIDES - 1),
        ("sigmoid", None, np.where(SIDES, "yes", "no")),
        ("softmax", None, np.eye(2)[SIDES]),
    ],
)
def test_every_kind_of_labels(last, loss, labels):
    units = 2 if last == "softmax" else 1
    run = cr.fit(cr.Sequential(cr.Dense(units, last)), X, labels, loss=loss, epochs=60, learning_rate=0.05)
    found = cr.boundary(run, X, labels)
    truth = labels.argmax(axis=1) if labels.ndim == 2 else labels
    np.testing.assert_array_equal(found.wrong, run.decide(X) != truth)
    assert found.wrong.mean() < 0.1
    decided = np.asarray(found.classes)[found.decided].ravel()
    np.testing.assert_array_equal(decided, run.decide(found.cut.rows))


def test_its_figure(three):
    found = cr.boundary(three, X, THREE)
    (axes,) = found.figure().axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$x_{0}$", "$x_{1}$")
    labels = [line.get_label() for line in axes.lines]
    assert {"lower", "right", "upper", "decision changes"} <= set(labels)
    markers = {line.get_marker() for line in axes.lines if line.get_label() in found.classes}
    assert len(markers) == 3
    assert found._repr_png_().startswith(b"\x89PNG")
    assert cr.boundary(three, span=(-2, 2)).figure().axes


def test_a_cut_through_more_inputs():
    many = RNG.normal(size=(80, 4))
    run = cr.fit(cr.Sequential(cr.Dense(1, "sigmoid")), many, (many[:, 2] > 0) * 1, epochs=3)
    found = cr.boundary(run, many, vary=(0, 2), at=[0, 1, 0, -1])
    assert found.cut.elsewhere == "x[1] = 1, x[3] = −1"
    with pytest.raises(ConfigurationError, match="6 two-dimensional cuts"):
        cr.boundary(run, many)
    with pytest.raises(ConfigurationError, match="2 columns"):
        cr.boundary(run, many, vary=0)


def test_a_network_that_predicts_numbers_has_none():
    run = cr.fit(cr.Sequential(cr.Dense(1)), X, X[:, 0], epochs=1)
    with pytest.raises(ConfigurationError, match="makes no decisions"):
        cr.boundary(run, X)
