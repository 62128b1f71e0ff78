"""Going back to a step gives the numbers of that step, bit for bit: compared with what was watched in the training."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.data.lazy import Lazy
from chainrule.engine.xla import streaming as engine
from chainrule.errors import ConfigurationError, DataError, RunError
from chainrule.train import checkpoint_files as files

RNG = np.random.default_rng(0)
X = RNG.normal(size=(43, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
IMAGES, KINDS = RNG.normal(size=(30, 8, 8, 1)).astype(np.float32), RNG.integers(0, 3, 30)
SERIES = RNG.normal(size=(30, 7, 4)).astype(np.float32)
ENDS = {"min": np.min, "max": np.max}
"""Statistics that are numbers of the array itself, so that no order of summation stands between."""
OTHERS = ["activations", "sums", "parameters", "signals", "states"]


class Rows(Lazy):
    def __init__(self, array):
        self.array = array

    @property
    def shape(self):
        return self.array.shape

    def read(self, row):
        return self.array[row]


def normalised():
    layers = cr.Dense(8, "tanh"), cr.BatchNormalization(), cr.Dropout(0.3), cr.Dense(5, "relu"), cr.Dropout(0.2)
    return cr.Sequential(*layers, cr.Dense(1, "sigmoid"))


def adversaries():
    z, x = cr.input("z", ("m", 2)), cr.input("x", ("m", 3))
    G, D = cr.Sequential(cr.Dense(4, "tanh"), cr.Dense(3)), cr.Sequential(cr.Dense(4, "tanh"), cr.Dense(1, "sigmoid"))
    fake = G(z)
    real_is, fake_is = D(x), D(fake)
    costs = {"J_D": -cr.log(real_is) - cr.log(1 - fake_is), "J_G": -cr.log(fake_is)}
    objectives = [cr.Objective(costs["J_D"], D, "adam", name="J_D"), cr.Objective(costs["J_G"], G, "adam", name="J_G")]
    data = {"z": RNG.normal(size=(20, 2)), "x": RNG.normal(size=(20, 3))}
    return (cr.Model([z, x], fake), data), {"loss": objectives, "batch_size": 6}


TRAININGS = {
    "dropout and batch normalisation": lambda: ((normalised(), X, Y), {"batch_size": 8}),
    "early stopping": lambda: ((normalised(), X, Y), {"batch_size": 8, "validation_split": 0.2, "early_stopping": 9}),
    "weights of classes": lambda: ((normalised(), X, Y), {"batch_size": 8, "class_weight": {0: 1.0, 1: 3.0}}),
    "float64": lambda: ((normalised(), X, Y), {"batch_size": 8, "dtype": "float64"}),
    "whole batches in order": lambda: ((normalised(), X, Y), {"batch_size": None, "shuffle": False}),
    "convolution": lambda: (
        (
            cr.Sequential(
                cr.Conv2D(4, 3, activation="relu"),
                cr.MaxPool2D(2),
                cr.Flatten(),
                cr.Dropout(0.2),
                cr.Dense(3, "softmax"),
            ),
            IMAGES,
            KINDS,
        ),
        {"batch_size": 8},
    ),
    "recurrent": lambda: ((cr.Sequential(cr.LSTM(5), cr.Dense(1, "sigmoid")), SERIES, KINDS % 2), {"batch_size": 8}),
    "attention": lambda: (
        (cr.Sequential(cr.TransformerEncoder(8, 2), cr.Flatten(), cr.Dense(1, "sigmoid")), SERIES, KINDS % 2),
        {"batch_size": 8, "optimizer": cr.AdamW(cr.WarmUp(cr.CosineDecay(0.01, 20), 5), clip_norm=1.0)},
    ),
    "several objectives": adversaries,
    "streamed": lambda: ((normalised(), Rows(X), Y), {"batch_size": 8}),
}


def trained(kind, **options):
    what, own = TRAININGS[kind]()
    return cr.fit(*what, **{"epochs": 4, "seed": 3} | own | options)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(engine, "BLOCK_NUMBERS", 120)  # two batches


SEVERAL = ["dropout and batch normalisation", "recurrent", "several objectives", "streamed"]


@pytest.mark.parametrize(
    ("kind", "what"), [*((kind, "gradients") for kind in TRAININGS), *((kind, "others") for kind in SEVERAL)]
)
def test_every_number_of_a_step_has_the_bits_that_it_had(kind, what):
    run = trained(kind, watch={group: list(ENDS) for group in (["gradients"] if what == "gradients" else OTHERS)})
    steps = run.watched.steps_per_epoch
    assert len(run.watched) == run.history.epochs * steps
    for k in (0, 1, steps - 1, 2 * steps + 1, run.history.epochs * steps - 2):
        moment = run.at(step=k)
        for name, statistic in run.watched.keys:
            assert ENDS[statistic](moment[name]) == run.watched[name, statistic][k], (k, name, statistic)
        if run.history.best_epoch is None and k == len(run.watched) - 1:
            for name, value in run.parameters.items():
                np.testing.assert_array_equal(moment.updated[name], value)


@pytest.mark.parametrize("kind", ["dropout and batch normalisation", "several objectives", "streamed"])
def test_one_step_leads_to_the_next(kind):
    run = trained(kind)
    steps = run.at(0)._replay.steps
    for k in range(steps - 2, steps + 3):
        here, after = run.at(k), run.at(k + 1)
        for name in run.parameters:
            np.testing.assert_array_equal(here.updated[name], after.parameters[name])
        change = {name: here.updated[name] - here.parameters[name] for name in run.parameters}
        for name, difference in change.items():
            if f"Δ{name}" in here.quantities:
                np.testing.assert_allclose(here[f"Δ{name}"], difference, rtol=1e-3, atol=1e-6)
    assert [m.step for m in (here, after)] == [steps + 2, steps + 3]


def test_its_batch_and_its_draws_are_those_of_the_step():
    run = trained("early stopping")
    everything = np.concatenate([run.at(k).rows for k in range(5)])
    assert sorted(everything) == sorted(set(everything))  # every row once in an epoch, and none that was held out
    assert len(everything) == run.settings["rows"]
    moment = run.at(7)
    np.testing.assert_array_equal(moment.examples["X"], X[moment.rows])
    assert (moment.examples["Y"][:, 0] == Y[moment.rows]).all()
    masks = list(moment.draws.values())
    assert [sorted(set(m.ravel())) for m in masks] == [[0, 1], [0, 1]]
    assert any(not np.array_equal(a, b) for a, b in zip(masks, run.at(8).draws.values(), strict=True))
    np.testing.assert_array_equal(run.at(7).draws[next(iter(moment.draws))], masks[0])


def test_a_trace_of_it_has_its_numbers():
    run = trained("dropout and batch normalisation")
    moment = run.at(13)
    trace = moment.trace()
    assert float(trace["J"].value) == pytest.approx(moment.cost, rel=1e-6)
    for name, gradient in moment.gradients.items():
        np.testing.assert_allclose(trace[name].gradient, gradient, rtol=1e-4, atol=1e-6)
    row = moment.trace(row=5)
    np.testing.assert_array_equal(row["A1"].value, trace["A1"].value[5:6])
    parts = [moment.trace(row=k) for k in range(len(moment.rows))]
    for name, gradient in moment.gradients.items():  # every row's part, also through the statistics of the batch
        np.testing.assert_allclose(sum(p[name].gradient for p in parts), gradient, rtol=1e-4, atol=1e-6)
    assert "of the whole batch, for it belongs to no row" in str(row)


def test_it_is_watched_explained_and_asked_why():
    run = trained("dropout and batch normalisation", watch=["gradients"], every=1)
    moment = run.at(13)
    watched = moment.watch({"dW1": ["rms", "min"]})
    assert watched.steps.tolist() == [13]
    assert watched["dW1", "min"][0] == run.watched["dW1", "min"][13]
    assert watched["dW1", "rms"][0] == pytest.approx(run.watched["dW1", "rms"][13], rel=1e-6)
    assert str(moment.formulas()) == str(run.formulas())
    assert "could not run" in str(moment.why())
    with pytest.raises(ConfigurationError, match="no such quantity"):
        moment["dW9"]
    assert moment.run.history.epochs == 2
    np.testing.assert_array_equal(moment.run.parameters["W1"], moment.parameters["W1"])


def kept_in(folder):
    """A run whose training is kept in a folder, where it is saved too."""
    run = trained("early stopping", checkpoints=cr.Checkpoints(folder, every_steps=7, keep=2))
    run.save(folder)
    return run


def test_from_a_folder_it_is_the_same(tmp_path):
    run = kept_in(tmp_path / "RUN")
    loaded = cr.load(tmp_path / "RUN")
    with pytest.raises(DataError, match="does not hold what it was trained on"):
        loaded.at(3)
    with pytest.raises(DataError, match="has changed"):
        loaded.at(3, X + 1, Y)
    for k in (3, 15, 16):
        here, there = run.at(k), loaded.at(k, X, Y)
        for name in run.parameters:
            np.testing.assert_array_equal(there.parameters[name], here.parameters[name])
        for name, value in here.gradients.items():
            np.testing.assert_array_equal(there.gradients[name], value)
        for name, value in here.states.items():
            np.testing.assert_array_equal(there.states[name], value)
    trained("early stopping").save(tmp_path / "PLAIN")
    with pytest.raises(RunError, match="no training to go back to"):
        cr.load(tmp_path / "PLAIN").at(3, X, Y)


def test_without_the_checkpoint_before_the_first_step_it_goes_back_as_far_as_there_are_others(tmp_path):
    run = kept_in(tmp_path / "RUN")
    place = files.place_for(tmp_path / "RUN")
    steps = files.steps_in(place)
    (first,) = place.glob("step-0000000000*")
    first.write_bytes(first.read_bytes()[:-1])
    loaded = cr.load(tmp_path / "RUN")
    with pytest.raises(RunError, match=rf"(?s)before the first step is lost.*step 3.*a step from {steps[1]} on"):
        loaded.at(3, X, Y)
    np.testing.assert_array_equal(loaded.at(steps[1], X, Y).parameters["W1"], run.at(steps[1]).parameters["W1"])


def test_each_step_is_gone_through_with_as_many_devices_as_made_it(tmp_path):
    """Resumed on others, once within an epoch; the checkpoints at which it went over are gone."""
    folder, kept = tmp_path / "RUN", cr.Checkpoints(tmp_path / "RUN", every_steps=5, keep=1)
    watched = {"batch_size": 8, "epochs": 3, "watch": {"gradients": ["min", "max"]}}
    trained("convolution", checkpoints=kept, devices=1, **watched)
    cr.resume(folder, IMAGES, KINDS, epochs=6, devices=4)
    run = cr.resume(folder, IMAGES, KINDS, epochs=8, devices=2)
    assert run.settings["shared"] == [(0, 1), (12, 4), (24, 2)]
    run.save(folder)
    one = trained("convolution", devices=1, **watched | {"epochs": 8})
    first = np.flatnonzero(run.watched["dW1", "max"] != one.watched["dW1", "max"])[0]
    assert 12 <= first <= 24, "another number of devices has other last bits"
    for again, data in ((run, ()), (cr.load(folder), (IMAGES, KINDS))):
        for step in (31, 2, 13, 23, 24):
            found = again.at(step, *data).watch(watched["watch"])
            for key in run.watched.keys:
                assert found[key][0] == run.watched[key][step], (step, key)


def test_examples_that_were_changed_in_place_are_noticed(tmp_path):
    mine = X.copy()
    run = cr.fit(normalised(), mine, Y, epochs=4, batch_size=8)
    kept = cr.fit(normalised(), mine, Y, epochs=4, batch_size=8, checkpoints=tmp_path / "RUN")
    mine[3] += 0.01
    with pytest.warns(cr.TrainingWarning, match="gone through again, epoch 1 has the loss .* where it had") as told:
        run.at(8)
    assert [w.filename for w in told] == [__file__]
    run.at(13)  # said once
    with pytest.raises(DataError, match="has changed"):
        kept.at(8)


def test_a_run_knows_what_it_was_trained_on():
    run = trained("float64")
    cost = run.at(3).cost
    with pytest.raises(DataError, match=r"(?i)x has changed"):
        run.at(3, X * 2, Y)
    assert run.at(3).cost == cost
    assert run.at(3, X.copy(), Y.copy()).cost == cost


def test_the_step_of_the_first_bad_number():
    spoilt = X.copy()
    spoilt[17, 2] = 1e30
    with pytest.warns(cr.TrainingWarning):
        run = cr.fit(cr.Sequential(cr.Dense(4), cr.Dense(1)), spoilt, X[:, 0], batch_size=8, seed=3, watch=["J"])
    moment = run.at()
    assert (moment.epoch, moment.batch) == (run.first_bad.epoch, run.first_bad.batch)
    assert 17 in moment.rows
    assert not np.isfinite(moment.cost)
    assert np.isfinite(moment.parameters["W1"]).all()
    table = {line.split()[0]: line for line in str(moment).splitlines()[3:]}  # without a warning of NumPy
    assert table["J"].endswith("1 of 1 not finite")
    assert "finite" not in table["W1"]
    Z1 = moment["Z1"].astype(np.float64)
    finite = Z1[np.isfinite(Z1)]
    assert f"{finite.mean():>12.4g}{np.sqrt((finite**2).mean()):>12.4g}" in table["Z1"]
    with pytest.raises(ConfigurationError, match="every number of this training was finite"):
        trained("float64").at()


@pytest.mark.parametrize("step", [-1, 24, 1.5, True])
def test_steps_that_there_are_not(step):
    run = trained("float64")
    with pytest.raises(ConfigurationError, match=r"made no such step[\s\S]*0 to 23"):
        run.at(step)


def test_a_run_that_is_handed_on_leaves_its_examples_behind():
    run = trained("float64")
    assert run.__getstate__()["origin"] is None
    np.testing.assert_array_equal(run.at(5, X, Y).parameters["W1"], run.at(5).parameters["W1"])
