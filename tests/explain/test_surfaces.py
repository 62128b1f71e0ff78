"""The cost as a surface: against closed forms and ``evaluate``; directions, paths, figures, errors."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError, ShapeError

RNG = np.random.default_rng(0)
x = np.linspace(-1, 1, 30)
y = 3 * x + 1


@pytest.fixture(scope="module")
def line():
    """ŷ = w x + b, with the path of its two parameters."""
    path = cr.Path()
    run = cr.fit(
        cr.Sequential(cr.Dense(1)), x, y, optimizer=cr.Momentum(0.05), epochs=12, batch_size=None, callbacks=[path]
    )
    return run, path


@pytest.fixture(scope="module")
def deep():
    paths = [cr.Path(), cr.Path("mine")]
    X = RNG.normal(size=(40, 3))
    kinds = X.argmax(axis=1)
    network = cr.Sequential(cr.Dense(6, "tanh"), cr.Dense(3, "softmax"))
    for path, rule in zip(paths, (cr.GradientDescent(0.1), cr.Adam(0.02)), strict=True):
        run = cr.fit(network, X, kinds, optimizer=rule, epochs=15, callbacks=[path])
    return run, X, kinds, paths


# --- heights ----------------------------------------------------------------------------------------------


def test_over_the_parameters_of_a_line_it_is_the_parabola(line):
    run, _ = line
    found = run.surface(x, y, ("W1[0, 0]", "b1[0]"), span=((0, 6), (-2, 4)), points=25)
    w, b = np.meshgrid(np.linspace(0, 6, 25), np.linspace(-2, 4, 25))
    parabola = ((w[..., None] * x + b[..., None] - y) ** 2).mean(axis=-1)
    np.testing.assert_allclose(found.loss, parabola, rtol=1e-10, atol=1e-12)
    assert found.names == ("W1[0, 0]", "b1[0]")
    assert found.centre == pytest.approx((run.parameters["W1"][0, 0], run.parameters["b1"][0]))


@pytest.mark.parametrize("along", ["random", "path", ("W2[3, 1]", ("b1", 2)), None])
def test_in_the_middle_it_is_the_cost_of_the_run(deep, along):
    run, X, kinds, paths = deep
    found = cr.surface(run, X, kinds, along, paths=paths, points=5, span=(-1, 1))
    loss = run.evaluate(X, kinds)["loss"]
    assert found.centre_loss == pytest.approx(loss, rel=1e-10)
    if found.centre == (0.0, 0.0):
        assert found.loss[2, 2] == pytest.approx(loss, rel=1e-10)


def test_along_given_directions(deep):
    run, X, kinds, _ = deep
    U = {"W1": RNG.normal(size=(3, 6)), "b2": RNG.normal(size=3)}
    V = {"W2": RNG.normal(size=(6, 3))}
    found = cr.surface(run, X, kinds, (U, V), span=((0, 1), (-1, 0)), points=3)
    p = {name: value.astype(float) for name, value in run.parameters.items()}
    a, b = 0.5, -1.0
    Z2 = np.tanh(X @ (p["W1"] + a * U["W1"]) + p["b1"]) @ (p["W2"] + b * V["W2"]) + p["b2"] + a * U["b2"]
    loss = np.mean(np.log(np.exp(Z2).sum(axis=1)) - Z2[np.arange(40), kinds])
    assert found.loss[0, 1] == pytest.approx(loss, rel=1e-10)


def test_weights_of_examples_do_not_count_as_in_evaluate():
    run = cr.fit(cr.Sequential(cr.Dense(1)), x, y, sample_weight=np.arange(30) + 1.0, epochs=2)
    found = run.surface(x, y, ("W1[0, 0]", "b1[0]"), points=3)
    assert found.centre_loss == pytest.approx(run.evaluate(x, y)["loss"], rel=1e-10)


def test_a_sum_over_all_examples():
    run = cr.fit(cr.Sequential(cr.Dense(1)), x, y, loss="sum_of_squared_residuals", learning_rate=0.001, epochs=2)
    found = run.surface(x, y, ("W1[0, 0]", "b1[0]"), points=3)
    assert found.centre_loss == pytest.approx(run.evaluate(x, y)["loss"], rel=1e-10)


# --- directions -------------------------------------------------------------------------------------------


def test_random_directions_are_as_long_as_the_weights_of_each_unit(deep):
    from chainrule.explain.directions import directions_of

    run = deep[0]
    _, directions, origin = directions_of(run, "random", [], 0)
    for direction in directions:
        for name in ("W1", "W2"):
            own = np.linalg.norm(run.parameters[name].astype(float), axis=0)
            np.testing.assert_allclose(np.linalg.norm(direction[name], axis=0), own)
        assert not direction["b1"].any()
    assert abs(np.vdot(directions[0]["W1"], directions[1]["W1"])) < 0.9 * np.vdot(*2 * [directions[0]["W1"]])
    np.testing.assert_array_equal(origin, 0)


def test_principal_directions_hold_as_much_of_the_paths_as_two_can(deep):
    run, X, kinds, paths = deep
    found = cr.surface(run, X, kinds, paths=paths, points=3)
    names = list(run.parameters)
    walks = np.concatenate([np.column_stack([p[n].reshape(len(p), -1) for n in names]) for p in paths])
    steps = walks - np.concatenate([run.parameters[n].ravel() for n in names])
    spread = np.linalg.svd(steps, compute_uv=False) ** 2
    shares = [f"({s:.0%})" for s in spread[:2] / spread.sum()]
    assert [share in name for share, name in zip(shares, found.names, strict=True)] == [True, True]
    assert found.tracks[1].share > 0.8


# --- paths ------------------------------------------------------------------------------------------------


def test_a_path_goes_from_the_start_to_the_end(line):
    run, path = line
    assert (len(path), path.name) == (13, "Momentum")
    np.testing.assert_array_equal(path["W1"][-1], run.parameters["W1"])
    w, b = float(path["W1"][0, 0, 0]), 0.0
    dw, db = np.mean(2 * (w * x + b - y) * x), np.mean(2 * (w * x + b - y))
    assert float(path["W1"][1, 0, 0]) == pytest.approx(w - 0.05 * dw, rel=1e-5)
    assert float(path["b1"][1, 0]) == pytest.approx(b - 0.05 * db, rel=1e-5)


def test_where_there_are_two_parameters_the_path_lies_in_the_plane(line):
    run, path = line
    found = run.surface(x, y, ("W1[0, 0]", "b1[0]"), paths=path, points=9)
    (track,) = found.tracks
    np.testing.assert_allclose(track.places, np.column_stack([path["W1"][:, 0, 0], path["b1"][:, 0]]), atol=1e-6)
    w, b = track.places.T
    np.testing.assert_allclose(track.loss, ((np.outer(w, x) + b[:, None] - y) ** 2).mean(axis=1), rtol=1e-6)
    assert track.share == pytest.approx(1)
    assert found.x[0] < w.min() < w.max() < found.x[-1]
    assert found.y[0] < b.min() < b.max() < found.y[-1]


def test_paths_from_one_seed_begin_at_one_place(deep):
    first, second = deep[3]
    assert (first.name, second.name) == ("GradientDescent", "mine")
    np.testing.assert_array_equal(first["W1"][0], second["W1"][0])
    assert (first["W1"][-1] != second["W1"][-1]).all()


# --- figures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relief", [False, True])
def test_its_figure(line, relief):
    run, path = line
    found = run.surface(x, y, ("W1[0, 0]", "b1[0]"), paths=[path], points=9)
    axes = found.figure(relief=relief).axes[0]
    assert axes.get_xlabel() == "$W^{[1]}_{0,0}$"
    assert "Momentum" in [drawn.get_label() for drawn in axes.lines]
    assert found._repr_png_().startswith(b"\x89PNG")


def test_its_data_and_words(line):
    run, path = line
    found = run.surface(x, y, ("W1[0, 0]", "b1[0]"), paths=[path], points=9)
    assert {k: v.shape for k, v in found.data.items()} == {
        "W1[0, 0]": (9,), "b1[0]": (9,), "J": (9, 9), "Momentum": (13, 2),
    }  # fmt: skip
    assert "Momentum, 12 epochs" in str(found)
    assert "100% of the way in the plane" in str(found)


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("along", "parts"),
    [
        (("W1[0, 0]", "B1[0]"), ["no such parameter", "did you mean 'b1'", "W1 (1, 1)"]),
        (("W1[0, 1]", "b1[0]"), ["no such entry", "W1[0, 0] to W1[0, 0]"]),
        (("W1", "b1[0]"), ["no such entry"]),
        (("b1[-1]", "W1[0, 0]"), ["no such entry"]),
        (("b1[0]", "b1[0]"), ["span no plane"]),
        ("pca", ["two parameters or directions"]),
        (("W1[0, 0]",), ["two parameters or directions"]),
        ("path", ["no path"]),
        (({"W9": [1]}, "b1[0]"), ["given by parameter", "W1, b1"]),
    ],
)
def test_directions_that_there_are_not(line, along, parts):
    with pytest.raises(ConfigurationError) as error:
        line[0].surface(x, y, along)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"points": 1}, "at least 2"),
        ({"span": (1, 1)}, "smaller to a larger"),
        ({"span": 3}, "pair"),
        ({"paths": [cr.Path()]}, "empty"),
        ({"paths": [3]}, "recorded"),
    ],
)
def test_settings_that_make_no_sense(line, settings, part):
    with pytest.raises(ConfigurationError, match=part):
        line[0].surface(x, y, ("W1[0, 0]", "b1[0]"), **settings)


def test_the_path_of_another_network(line, deep):
    with pytest.raises(ConfigurationError, match="another network"):
        line[0].surface(x, y, paths=deep[3])


def test_shapes_that_do_not_fit(line):
    with pytest.raises(ShapeError, match="does not have its shape"):
        line[0].surface(x, y, ({"W1": [1.0]}, "b1[0]"))
    with pytest.raises(ShapeError, match="differ in number"):
        line[0].surface(x, y[:-1], ("W1[0, 0]", "b1[0]"))


def test_a_parameter_that_no_path_has(line):
    with pytest.raises(ConfigurationError, match="did you mean 'W1'"):
        line[1]["W2"]
    with pytest.raises(ConfigurationError, match="nothing yet"):
        cr.Path()["W1"]


def test_a_cost_of_one_s_own_that_needs_no_labels():
    X = cr.input("X", ("m", 1))
    w, b = cr.parameter("w", (1,)), cr.parameter("b", (1,))
    run = cr.fit(cr.Model(X, X * w + b), x, loss=cr.mean((X * w + b - 3 * X) ** 2), epochs=2)
    found = cr.surface(run, x, along=("w[0]", "b[0]"), span=((2, 4), (-1, 1)), points=3)
    np.testing.assert_allclose(found.loss[:, 1], [1, 0, 1], atol=1e-12)
    np.testing.assert_allclose(found.loss[1], [np.mean(x**2), 0, np.mean(x**2)], atol=1e-12)
