"""Learning curves and what was watched, as figures: the lines are the numbers."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigurationError
from chainrule.train.watch import EDGES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))


@pytest.fixture(scope="module")
def run():
    return cr.fit(
        cr.Sequential(cr.Dense(5, "relu"), cr.Dense(1, "sigmoid")),
        X,
        (X[:, 0] > 0) * 1,
        epochs=8,
        validation_split=0.2,
        early_stopping=5,
        watch={"A1": ["rms", "dead", "histogram"], "gradients": ["rms"]},
        every=2,
    )


def test_learning_curves(run):
    figure = run.history.figure()
    loss, accuracy = figure.axes
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), run.history["loss"])
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), run.history["validation_loss"])
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), run.history["accuracy"])
    assert loss.lines[2].get_xdata() == [run.history.best_epoch] * 2
    assert [axes.get_ylabel() for axes in figure.axes] == ["cost $J$", "accuracy"]
    assert run.history._repr_png_().startswith(b"\x89PNG")


def test_a_loss_that_falls_far_is_shown_by_factors():
    x = np.linspace(-1, 1, 20)
    far = cr.fit(cr.Sequential(cr.Dense(1)), x, x, optimizer=cr.GradientDescent(0.3), epochs=40, seed=1)
    assert far.history["loss"][0] > 30 * far.history["loss"][-1]
    assert far.history.figure().axes[0].get_yscale() == "log"


def test_nothing_was_run():
    with pytest.raises(ConfigurationError, match="no epoch"):
        cr.History(["loss"]).figure()
    assert cr.History(["loss"])._repr_png_() is None


def test_what_was_watched_is_grouped_by_what_it_is(run):
    axes = {a.get_title(): a for a in run.watched.figure().axes}
    np.testing.assert_array_equal(axes["root mean square of $A$"].lines[0].get_ydata(), run.watched["A1", "rms"])
    of_weights = [line.get_ydata() for line in axes["root mean square of $dW$"].lines]
    np.testing.assert_array_equal(of_weights, [run.watched["dW1", "rms"], run.watched["dW2", "rms"]])
    np.testing.assert_array_equal(axes["share of dead units"].lines[0].get_xdata(), run.watched.steps)


def test_a_histogram_is_an_image_over_time(run):
    figure = run.watched.figure(("A1", "histogram"))
    axes = figure.axes[0]
    shown = np.asarray(axes.images[0].get_array())
    table = run.watched["A1", "histogram"].T
    low, high = axes.images[0].get_extent()[2:]
    np.testing.assert_array_equal(shown, table[int(low) : int(high)])
    assert shown.sum(axis=0) == pytest.approx(1)
    zero = EDGES.index(0.0) + 1  # the row of [0, 1e-6), where a ReLU's zeros are counted
    ticks = dict(zip(axes.get_yticks(), [t.get_text() for t in axes.get_yticklabels()], strict=True))
    assert ticks[zero] == "0"
    assert shown[zero - int(low)].max() > 0.2


@pytest.mark.parametrize(("names", "count"), [(["A1"], 3), (["rms"], 3), ([("dW1", "rms")], 1), (["dW1", "dW2"], 1)])
def test_a_choice_of_what_was_watched(run, names, count):
    panels = [axes for axes in run.watched.figure(*names).axes if axes.get_title()]
    assert len(panels) == count


def test_what_was_not_watched(run):
    with pytest.raises(ConfigurationError, match="did you mean 'rms'"):
        run.watched.figure("rmse")
    with pytest.raises(ConfigurationError, match="was not watched"):
        run.watched.figure(("A1", "max"))


# --- a training that ended in NaN or infinity --------------------------------------------------------------


def diverged(network=None, rate=0.35, **options):
    labels = X @ np.array([1.0, 2.0, 3.0]) + 10
    network = network or cr.Sequential(cr.Dense(4, "relu"), cr.Dense(1))
    optimizer = cr.GradientDescent(rate)
    with pytest.warns(cr.TrainingWarning):
        return cr.fit(network, X, labels, optimizer=optimizer, epochs=30, **options)


def words(axes):
    return [text.get_text() for text in axes.texts]


def test_the_end_of_a_diverged_training_is_marked():
    run = diverged(validation_split=0.2, seed=1)
    assert run.history.diverged > 1
    (axes,) = run.history.figure().axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), run.history["loss"])
    assert axes.lines[-1].get_xdata() == [run.history.diverged] * 2
    assert words(axes) == ["NaN or infinity"]
    first = diverged(cr.Sequential(cr.Dense(4, "relu"), cr.Dense(4, lambda z: cr.log(-cr.abs(z))), cr.Dense(1)))
    assert first.history.diverged == 1
    (axes,) = first.history.figure().axes
    assert words(axes) == ["no finite number"]


def test_what_was_watched_is_shown_up_to_where_it_was_finite():
    run = diverged(rate=5.0, batch_size=10, watch=True, every=1)
    watched = run.watched
    ended = watched.steps[~np.isfinite(watched["J", "mean"])][0]
    assert 0 < ended < watched.steps[-1]
    figure = watched.figure()
    figure.canvas.draw()
    axes = {a.get_title(): a for a in figure.axes}
    for panel in axes.values():
        assert "NaN or infinity" in words(panel)
        assert panel.lines[-1].get_xdata() == [ended] * 2
    dead = axes["share of dead units"].lines[0].get_ydata()
    np.testing.assert_array_equal(np.isfinite(dead), watched.steps < ended)
    np.testing.assert_array_equal(axes["root mean square of $dZ$"].lines[0].get_ydata()[watched.steps > ended], np.nan)
    cost = axes["mean of $J$"]  # its label is where its last finite number is, on a scale of factors
    (label,) = [t for t in cost.texts if t.get_text() == "$J$"]
    last = float(watched["J", "mean"][watched.steps < ended][-1])
    low, high = np.log(cost.get_ylim())
    assert label.xyann[1] == pytest.approx((np.log(last) - low) / (high - low))


def test_a_histogram_ends_with_what_was_finite():
    run = diverged(rate=5.0, batch_size=10, watch={"W1": ["histogram", "rms"], "dW2": ["histogram", "rms"]}, every=1)
    panels = {a.get_title(): a for a in run.watched.figure().axes}
    picture = panels["histogram of $W^{[1]}$"].images[0].get_array()
    bad = ~np.isfinite(run.watched["dW2", "rms"])
    assert bad.any()
    assert not picture[:, bad].any()
    np.testing.assert_allclose(picture[:, ~bad].sum(axis=0), 1)
    log = cr.Sequential(cr.Dense(4, "relu"), cr.Dense(4, lambda z: cr.log(-cr.abs(z))), cr.Dense(1))
    (panel, *_) = diverged(log, watch={"dW1": ["histogram", "rms"]}).watched.figure("histogram").axes
    assert words(panel) == ["no finite number"]
