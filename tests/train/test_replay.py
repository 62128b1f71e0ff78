"""Going back to a step gives the numbers of that step, bit for bit: compared with what was watched in the training."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.data.lazy import Lazy
from chainrule.engine.xla import epochs as engine

RNG = np.random.default_rng(0)
X = RNG.normal(size=(43, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
IMAGES, KINDS = RNG.normal(size=(30, 8, 8, 1)).astype(np.float32), RNG.integers(0, 3, 30)
SERIES = RNG.normal(size=(30, 7, 4)).astype(np.float32)
ENDS = {"min": np.min, "max": np.max}
"""Statistics that are numbers of the array itself, so that no order of summation stands between."""
GROUPS = ["activations", "sums", "parameters", "gradients", "signals", "updates", "states"]


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


@pytest.mark.parametrize("what", ["gradients", "others"])
@pytest.mark.parametrize("kind", TRAININGS)
def test_every_number_of_a_step_has_the_bits_that_it_had(kind, what):
    groups = ["gradients"] if what == "gradients" else [g for g in GROUPS if g != "gradients"]
    run = trained(kind, watch={group: list(ENDS) for group in groups})
    assert len(run.watched) == run.history.epochs * run.watched.steps_per_epoch
    wrong = []
    for k in range(0, len(run.watched), 3):
        moment = run.at(step=k)
        for name, statistic in run.watched.keys:
            got = ENDS[statistic](moment.gradients[name[1:]] if what == "gradients" else moment[name])
            if got != run.watched[name, statistic][k]:
                wrong.append((k, name, statistic, float(got - run.watched[name, statistic][k])))
    assert not wrong


@pytest.mark.parametrize("kind", TRAININGS)
def test_it_is_the_training_that_was_not_watched(kind):
    run = trained(kind)
    steps = run.at(step=0)._replay.trainer.epochs.steps
    last = run.at(step=run.history.epochs * steps - 1)
    for name, value in run.parameters.items():
        if run.history.best_epoch is None:
            np.testing.assert_array_equal(last.updated[name], value)
    here = run.at(step=steps + 1)
    after = run.at(step=steps + 2)
    for name in run.parameters:
        np.testing.assert_array_equal(here.updated[name], after.parameters[name])
