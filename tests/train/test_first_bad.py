"""Planted numbers that are not finite: the run names the batch, the quantity, its operands, and what to do."""

import warnings

import numpy as np
import pytest

import chainrule as cr

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Y = np.abs(X[:, :1]) + 1


def fit(last, X=X, Y=Y, **options):
    options = {"epochs": 5, "batch_size": 5, "shuffle": False} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cr.TrainingWarning)
        return cr.fit(cr.Sequential(cr.Dense(4, "relu"), cr.Dense(1, last)), X, Y, **options)


def planted(row, value):
    """The inputs, with one number that is too large."""
    x = X.copy()
    x[row, 1] = value
    return x


CASES = {
    "a square that overflows": (
        lambda: fit(None, planted(13, 1e30)),
        (1, 3, "(Z2 − Y)²", "inf at [3, 0] of (5, 1)"),
        ["Z2 − Y", "Z2", "Y"],
        "scale the inputs",
    ),
    "an exponential that overflows": (
        lambda: fit(lambda z: cr.exp(z * z), planted(6, 1e3)),
        (1, 2, "A2 = exp(Z2²)", "inf at [1, 0] of (5, 1)"),
        ["Z2²", "Z2"],
        "exponential of a number above 88",
    ),
    "the logarithm of 0": (
        lambda: fit("relu", planted(17, -1e9), loss=lambda p, y: -y * cr.log(p + 0 * cr.sum(p))),
        None,
        None,
        "the logarithm needs a number above 0",
    ),
    "a division by 0": (
        lambda: fit(lambda z: 1 / (z - z * 1.0 + cr.relu(z) * 0)),
        None,
        None,
        "nothing can be divided by 0",
    ),
    "steps that are too long": (
        lambda: fit(None, optimizer=cr.GradientDescent(1e4)),
        None,
        None,
        "the steps were too long: try a smaller learning rate (0.1 instead of 10000)",
    ),
    "a validation that overflows": (
        lambda: fit(None, validation_data=(planted(2, 1e30), Y)),
        (1, None, "(Z2 − Y)²", "inf at [2, 0] of (20, 1)"),
        ["Z2 − Y", "Z2", "Y"],
        "scale the inputs",
    ),
}


@pytest.mark.parametrize(("train", "place", "operands", "advice"), CASES.values(), ids=CASES)
def test_the_first_bad_number_is_found(train, place, operands, advice):
    run = train()
    bad = run.first_bad
    if place is not None:
        assert (bad.epoch, bad.batch, bad.quantity, bad.value) == place
        assert [name for name, _ in bad.operands] == operands
    assert bad.epoch == run.history.diverged
    assert advice in bad.advice


def test_the_operands_are_those_of_the_planted_example():
    bad = fit(None, planted(13, 1e30), optimizer=cr.GradientDescent(1e-30)).first_bad
    start = cr.Trainer(cr.Sequential(cr.Dense(4, "relu"), cr.Dense(1)), X, Y).run()  # no step changes it by a bit
    z = float(start.predict(planted(13, 1e30)[13:14])[0, 0])
    shown = {name: float(value.replace("−", "-")) for name, value in bad.operands}
    assert shown["Z2"] == pytest.approx(z, rel=1e-4)
    assert shown["Y"] == pytest.approx(Y[13, 0], rel=1e-4)
    assert shown["Z2 − Y"] == pytest.approx(z - Y[13, 0], rel=1e-4)


def test_what_grew_is_named_with_its_numbers():
    bad = fit(None, optimizer=cr.GradientDescent(1e4)).first_bad
    assert "had grown from" in bad.growth


def test_it_is_found_in_a_later_epoch_and_in_any_order():
    rate = cr.optimize.StepDecay(1e-3, 10, rate=1e6)  # tenfold steps of a million from the third epoch on
    run = fit(None, optimizer=cr.GradientDescent(rate), shuffle=True)
    assert run.history.diverged == run.first_bad.epoch > 2
    assert "the steps were too long" in run.first_bad.advice


def test_the_warning_tells_it_and_the_run_folder_keeps_it(tmp_path):
    with pytest.warns(cr.TrainingWarning, match=r"(?s)stopped in epoch 1.*first number that was not finite.*batch 3"):
        run = cr.fit(cr.Sequential(cr.Dense(1)), planted(13, 1e30), Y, batch_size=5, shuffle=False)
    assert cr.load(run.save(tmp_path / "run")).first_bad == run.first_bad


def test_a_training_that_went_well_has_none(tmp_path):
    run = fit(None)
    assert run.first_bad is None
    assert cr.load(run.save(tmp_path / "run")).first_bad is None
