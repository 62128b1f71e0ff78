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
