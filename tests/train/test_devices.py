"""Several devices share the rows of a batch: the same training as on one, and a choice that can be seen."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.sharing import Load, load, shares
from chainrule.errors import ConfigurationError

RNG = np.random.default_rng(0)
ROWS = 52  # in batches of 16: three whole ones and a last one of 4


def examples(*shape):
    Y = RNG.integers(0, 3, ROWS)
    return RNG.normal(size=(ROWS, *shape)) + Y.reshape(-1, *[1] * len(shape)), Y


NETWORKS = {
    "dense": ((5,), [cr.Dense(8, "tanh")]),
    "chance and states": ((5,), [cr.Dense(8), cr.BatchNormalization(), cr.Dropout(0.3), cr.Dense(8, "relu")]),
    "convolution": ((6, 6, 1), [cr.Conv2D(4, 3, activation="relu"), cr.MaxPool2D(2), cr.Flatten()]),
    "recurrent": ((7, 3), [cr.Bidirectional(cr.LSTM(4, return_sequences=True)), cr.GRU(4)]),
    "attention": ((6, 8), [cr.TransformerEncoder(16, 2), cr.GlobalAveragePool1D()]),
}


def fitted(name, devices, **settings):
    shape, layers = NETWORKS[name]
    rng = np.random.default_rng(1)
    Y = rng.integers(0, 3, ROWS)
    X = rng.normal(size=(ROWS, *shape)) + Y.reshape(-1, *[1] * len(shape))
    network = cr.Sequential(*layers, cr.Dense(3, "softmax"))
    settings = {"epochs": 3, "batch_size": 16, "dtype": "float64", "validation_split": 0.25} | settings
    return cr.fit(network, X, Y, devices=devices, **settings)


@pytest.mark.parametrize("name", NETWORKS)
def test_four_devices_train_as_one_does(name):
    one, four = fitted(name, 1), fitted(name, 4)
    assert (one.settings["devices"], four.settings["devices"]) == (1, 4)
    for column in one.history.columns:
        np.testing.assert_allclose(four.history[column], one.history[column], rtol=1e-9)
    for p, value in one.parameters.items():
        np.testing.assert_allclose(four.parameters[p], value, rtol=1e-7, atol=1e-10, err_msg=p)
    for s, value in one.states.items():
        np.testing.assert_allclose(four.states[s], value, rtol=1e-7, atol=1e-10, err_msg=s)


def test_the_rows_are_divided_indeed():
    """What XLA made of the program has a quarter of the batch in it, and adds up between devices."""
    shape, layers = NETWORKS["dense"]
    X, Y = examples(*shape)
    trainer = cr.Trainer(cr.Sequential(*layers, cr.Dense(3, "softmax")), X, Y, batch_size=16, devices=4)
    text = trainer.lowered().compile().as_text()
    assert "all-reduce" in text
    gathered = [line for line in text.splitlines() if " all-gather(" in line]
    assert all("= s32[" in line for line in gathered), "only the order of the rows, once in an epoch"
    assert "f32[4,8]" in text, "four rows of eight units on each device"
    assert "f32[16,8]" not in text


def test_what_is_streamed_is_divided_too(tmp_path):
    X, Y = examples(5)
    np.save(tmp_path / "X.npy", X.astype("float32"))
    network = cr.Sequential(cr.Dense(4, "tanh"), cr.Dense(3, "softmax"))
    one, four = (
        cr.fit(network, np.load(tmp_path / "X.npy", mmap_mode="r"), Y, epochs=2, batch_size=16, devices=d)
        for d in (1, 4)
    )
    np.testing.assert_allclose(four.history["loss"], one.history["loss"], rtol=1e-5)


def test_a_training_that_diverges_is_found_on_several_devices():
    X, Y = examples(5)
    with pytest.warns(cr.TrainingWarning, match="no longer finite"):
        run = cr.fit(
            cr.Sequential(cr.Dense(1)), X, Y * 1e18, optimizer="gradient_descent", learning_rate=1e18, devices=2
        )
    assert all(np.isfinite(v).all() for v in run.parameters.values())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"devices": 3}, ["16 rows, 3 devices", "batch_size=15", "devices=2"]),
        ({"devices": 64, "batch_size": 64, "validation_split": 0.0}, ["52 rows, 64 devices"]),
        ({"devices": 16}, ["more devices than there are", "at most", "jax_num_cpu_devices"]),
        ({"devices": 0}, ["at least 1"]),
        ({"devices": "all"}, ["at least 1", "'all'"]),
    ],
)
def test_what_cannot_be_divided_is_said(settings, words):
    with pytest.raises(ConfigurationError) as error:
        fitted("dense", **{"devices": 1} | settings)
    for word in words:
        assert word in str(error.value)


def test_it_pays_where_work_is_elementwise_or_in_loops_and_not_where_it_is_one_product():
    """The three networks of the benchmark and large dense ones; what they gain is measured in ``benchmarks``."""
    rows = 64

    def chosen(network, *shape):
        X, Y = np.zeros((rows, *shape), np.float32), np.arange(rows) % 3
        trainer = cr.Trainer(cr.Sequential(*network, cr.Dense(3, "softmax")), X, Y, batch_size=rows)
        plan = trainer.epochs.plan
        outputs = [n for turn in plan.turns for n in (*turn.carry.values(), *turn.outputs)]
        return shares(load(outputs, plan.carry, {"m": rows}), rows, 2)

    assert chosen([cr.LSTM(128)], 50, 32) == 2
    assert chosen([cr.TransformerEncoder(512, 4), cr.GlobalAveragePool1D()], 64, 128) == 2
    assert chosen([cr.LSTM(8)], 10, 4) == 1
    assert chosen([cr.Dense(64, "relu")], 64) == 1
    assert chosen([cr.Dense(2048, "relu")], 2048) == 1


def test_rows_that_do_not_divide_stay_on_one():
    much = Load(numbers=10**9, looped=0, products=1, looped_products=0, operations=1, carried=1, multiply_adds=0)
    assert [shares(much, rows, 4) for rows in (64, 62, 63, 61)] == [4, 2, 3, 1]


def test_the_length_of_a_step_is_guessed_from_its_products():
    network = cr.Sequential(cr.Dense(64, "relu"), cr.Dense(10, "softmax"))
    Y = RNG.integers(0, 10, 96)
    trainer = cr.Trainer(network, RNG.normal(size=(96, 64)), Y, batch_size=32)
    forwards, back = 32 * (64 * 64 + 64 * 10), 32 * 64 * 10  # nothing flows back to the examples
    assert trainer.load.multiply_adds == 2 * forwards + back
    assert trainer.seconds == pytest.approx(3 * trainer.load.seconds)
    recurrent = cr.Sequential(cr.LSTM(8), cr.Dense(10, "softmax"))
    longer = cr.Trainer(recurrent, RNG.normal(size=(96, 50, 4)), Y, batch_size=32)
    assert longer.load.seconds > 10 * trainer.load.seconds
