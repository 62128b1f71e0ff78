"""A training that is stopped, however, goes on with the same bits; what is wrong with its files or data is said."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, ConfigurationError, DataError, RunError
from chainrule.train import checkpoint_files as files
from chainrule.train.checkpoints import Keeper, fingerprint
from chainrule.train.table import table_dataset

SRC = Path(__file__).parents[2] / "src"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(43, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def network():
    return cr.Sequential(cr.Dense(8, "tanh"), cr.BatchNormalization(), cr.Dropout(0.3), cr.Dense(1, "sigmoid"))


def train(**options):
    return cr.fit(network(), X, Y, **{"epochs": 9, "batch_size": 8, "seed": 3} | options)


def same(a, b):
    for name, value in a.parameters.items():
        np.testing.assert_array_equal(b.parameters[name], value)
    for name, value in a.states.items():
        np.testing.assert_array_equal(b.states[name], value)
    np.testing.assert_array_equal(b.history.table, a.history.table)
    assert (b.history.best_epoch, b.history.stopped) == (a.history.best_epoch, a.history.stopped)
    if a.watched is not None:
        for key in a.watched.keys:
            np.testing.assert_array_equal(b.watched[key], a.watched[key])


def stopped_at(folder, step, **options):
    """The folder of a training that was killed right after its checkpoint at a step: later ones are taken away."""
    train(checkpoints=cr.Checkpoints(folder, keep=1000, **options.pop("often")), **options)
    place = files.place_for(folder)
    steps = files.steps_in(place)
    assert step in steps
    files.remove(place, [s for s in steps if s > step])
    return folder


STOPPING = cr.EarlyStopping(3, min_delta=0.001)
CASES = {
    "between epochs": ({"every_epochs": 1}, 12, {}),
    "within an epoch": ({"every_steps": 5}, 20, {}),
    "before the first step": ({"every_steps": 5}, 0, {}),
    "with early stopping": (
        {"every_steps": 4},
        16,
        {"validation_split": 0.2, "early_stopping": STOPPING, "epochs": 40},
    ),
    "watched": ({"every_steps": 4}, 8, {"watch": True, "every": 3}),
    "a schedule": ({"every_steps": 7}, 21, {"optimizer": cr.AdamW(cr.WarmUp(cr.CosineDecay(0.1, 30), 5), clip_norm=1)}),
    "float64, weights": ({"every_steps": 7}, 7, {"dtype": "float64", "class_weight": "balanced"}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_goes_on_as_if_it_had_never_stopped(tmp_path, case):
    often, step, options = CASES[case]
    whole = train(**options)
    stopped_at(tmp_path / "RUN", step, often=often, **options)
    resumed = cr.resume(tmp_path / "RUN", X, Y)
    same(whole, resumed)
    ended = cr.Checkpoints(tmp_path / "RUN", resume=True, **often)
    same(whole, train(checkpoints=ended, **options))


def test_keeping_it_changes_nothing_and_only_the_last_ones_stay(tmp_path):
    kept = train(checkpoints=cr.Checkpoints(tmp_path / "RUN", every_steps=4, keep=2))
    same(train(), kept)
    assert files.steps_in(files.place_for(tmp_path / "RUN")) == [0, 52, 54]


def test_a_training_that_ended_goes_on_for_more_epochs(tmp_path):
    train(checkpoints=tmp_path / "RUN", epochs=4)
    same(train(epochs=9), cr.resume(tmp_path / "RUN", X, Y, epochs=9))
    assert cr.resume(tmp_path / "RUN", X, Y).history.epochs == 9  # the number of epochs is remembered


@pytest.mark.parametrize("epochs", [0, -3, 2.5, "x", True])
def test_epochs_that_cannot_be_leave_the_folder_as_it_is(tmp_path, epochs):
    whole = train(checkpoints=tmp_path / "RUN", epochs=4)
    with pytest.raises(ConfigurationError, match="epochs"):
        cr.resume(tmp_path / "RUN", X, Y, epochs=epochs)
    same(whole, cr.resume(tmp_path / "RUN", X, Y))


def test_ctrl_c_within_an_epoch_ends_it_there_and_no_bit_is_lost(tmp_path, monkeypatch):
    after = Keeper.after

    def at_step_20(keeper):
        after(keeper)
        if keeper.trainer.position == 20:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Keeper, "after", at_step_20)
    run = train(checkpoints=cr.Checkpoints(tmp_path / "RUN", every_steps=5))
    assert run.history.stopped == "interrupted in epoch 4, after step 20"
    assert run.history.epochs == 3
    assert files.steps_in(files.place_for(tmp_path / "RUN"))[-1] == 20
    monkeypatch.undo()
    same(train(), cr.resume(tmp_path / "RUN", X, Y))


def test_fewer_epochs_than_are_done_are_refused(tmp_path):
    stopped_at(tmp_path / "RUN", 24, often={"every_epochs": 1})
    with pytest.raises(ConfigurationError, match=r"(?s)more epochs are done.*epochs=2.*at least 4"):
        cr.resume(tmp_path / "RUN", X, Y, epochs=2)
    same(train(), cr.resume(tmp_path / "RUN", X, Y))  # and the goal is not forgotten


def test_where_it_stopped_early_nothing_is_left_to_train_and_that_is_said(tmp_path):
    usual = {"validation_split": 0.2, "early_stopping": STOPPING, "epochs": 40}
    whole = train(checkpoints=tmp_path / "RUN", **usual)
    assert whole.history.stopped
    with pytest.warns(cr.TrainingWarning, match="nothing was left to train: stopped after"):
        same(whole, cr.resume(tmp_path / "RUN", X, Y, epochs=500))


def test_labels_and_weights_that_are_missing_or_too_many_are_told(tmp_path):
    train(checkpoints=tmp_path / "RUN")
    with pytest.raises(DataError, match="labels are missing"):
        cr.resume(tmp_path / "RUN", X, epochs=12)
    with pytest.raises(ConfigurationError, match="without weights"):
        cr.resume(tmp_path / "RUN", X, Y, epochs=12, sample_weight=np.ones(43))
    train(checkpoints=tmp_path / "WEIGHTED", sample_weight=np.ones(43))
    with pytest.raises(ConfigurationError, match=r"(?s)with weights.*sample_weight"):
        cr.resume(tmp_path / "WEIGHTED", X, Y, epochs=12)


def test_the_same_numbers_in_another_precision_are_the_same_data(tmp_path):
    folder = stopped_at(tmp_path / "RUN", 24, often={"every_epochs": 1})
    same(train(), cr.resume(folder, X.astype(float), Y))


def test_saving_the_run_keeps_its_checkpoints_and_those_of_another_go(tmp_path):
    run = train(checkpoints=tmp_path / "RUN")
    run.save(tmp_path / "RUN")
    assert cr.resume(tmp_path / "RUN", X, Y, epochs=10).history.epochs == 10
    train().save(tmp_path / "RUN")
    assert not (tmp_path / "RUN" / "checkpoints").exists()


# killed

SCRIPT = """
import sys, numpy as np, chainrule as cr
rng = np.random.default_rng(0)
X = rng.normal(size=(43, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
layers = cr.Dense(8, "tanh"), cr.BatchNormalization(), cr.Dropout(0.3), cr.Dense(1, "sigmoid")
kept = cr.Checkpoints(sys.argv[1], every_steps=7, resume=True)
def begun(run): print(run.history.epochs, flush=True)
run = cr.fit(cr.Sequential(*layers), X, Y, epochs=1300, batch_size=8, seed=3, validation_split=0.2, watch=["J"],
             every=50, early_stopping=cr.EarlyStopping(2000), callbacks=[begun], checkpoints=kept)
np.savez(sys.argv[2], table=run.history.table, J=run.watched["J", "mean"], **run.parameters)
print("done", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_at_twenty_random_moments_it_ends_with_the_same_bits(tmp_path):
    whole = cr.fit(
        network(),
        X,
        Y,
        epochs=1300,
        batch_size=8,
        seed=3,
        validation_split=0.2,
        watch=["J"],
        every=50,
        early_stopping=cr.EarlyStopping(2000),
    )
    chance, reached = random.Random(0), []
    script = [sys.executable, "-c", SCRIPT, str(tmp_path / "RUN"), str(tmp_path / "end.npz")]
    surroundings = {**os.environ, "PYTHONPATH": str(SRC)}
    for kill in range(21):
        # Killed a moment after so many epochs of its own, so that it gets on however slow the machine is.
        epochs, wait = chance.randint(1, 60), chance.uniform(0, 0.02)
        process = subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env=surroundings)
        for count, line in enumerate(process.stdout, 1):
            if kill < 20 and count == epochs:
                time.sleep(wait)
                process.send_signal(signal.SIGKILL)
                break
            reached.append(line)
        process.stdout.close()
        assert process.wait() == (-signal.SIGKILL if kill < 20 else 0)
    assert reached[-1] == "done\n"
    end = np.load(tmp_path / "end.npz")
    for name, value in whole.parameters.items():
        np.testing.assert_array_equal(end[name], value)
    np.testing.assert_array_equal(end["table"], whole.history.table)
    np.testing.assert_array_equal(end["J"], whole.watched["J", "mean"])


# files that are not as they were


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-100])


def emptied(file):
    file.write_bytes(b"")


def one_bit_turned(file):
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def another_step_in_its_header(file):
    file.write_bytes(file.read_bytes().replace(b'\\"step\\": 20', b'\\"step\\": 25', 1))


@pytest.mark.parametrize("spoil", [cut_short, emptied, one_bit_turned, another_step_in_its_header])
def test_a_spoilt_checkpoint_is_passed_over_with_a_word(tmp_path, spoil):
    folder = stopped_at(tmp_path / "RUN", 20, often={"every_steps": 5})
    spoil(files.file_of(files.place_for(folder), 20))
    with pytest.warns(cr.TrainingWarning, match=r"step-0000000020.*altered or cut short; the one at step 15 is used"):
        resumed = cr.resume(folder, X, Y)
    same(train(), resumed)


def test_where_all_are_spoilt_it_is_an_error(tmp_path):
    folder = stopped_at(tmp_path / "RUN", 5, often={"every_steps": 5})
    for step in (0, 5):
        cut_short(files.file_of(files.place_for(folder), step))
    with pytest.raises(RunError, match="altered or cut short"):
        cr.resume(folder, X, Y)


def test_a_checkpoint_from_another_folder_is_another_training_s(tmp_path):
    here = stopped_at(tmp_path / "HERE", 5, often={"every_steps": 5})
    train(seed=4, checkpoints=cr.Checkpoints(tmp_path / "THERE", every_steps=5, keep=99))
    shutil.copy(files.file_of(files.place_for(tmp_path / "THERE"), 10), files.place_for(here))
    with pytest.warns(cr.TrainingWarning, match="another training; the one at step 5 is used"):
        same(train(), cr.resume(here, X, Y))


def test_nothing_is_executed_and_others_can_read_it(tmp_path):
    from safetensors.numpy import load_file

    run = train(checkpoints=tmp_path / "RUN")
    place = tmp_path / "RUN" / "checkpoints"
    assert {p.suffix for p in place.iterdir()} == {".json", ".safetensors"}
    np.testing.assert_array_equal(load_file(files.file_of(place, 54))["now W1"], run.parameters["W1"])
    assert json.loads((place / "training.json").read_text())["settings"]["batch_size"] == 8


def test_where_the_description_is_cut_short_it_is_said_how_to_get_it_back(tmp_path):
    """From the same training begun elsewhere; then it goes on with the same bits."""
    folder = stopped_at(tmp_path / "RUN", 20, often={"every_steps": 5})
    file = files.place_for(folder) / "training.json"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(RunError, match=r"(?s)which says what is trained, cannot be read.*begin the same training"):
        cr.resume(folder, X, Y)
    with pytest.raises(ZeroDivisionError):
        train(checkpoints=cr.Checkpoints(tmp_path / "OTHER", every_steps=5, keep=1000), callbacks=[lambda run: 1 / 0])
    shutil.copy(files.place_for(tmp_path / "OTHER") / "training.json", file)
    same(train(), cr.resume(folder, X, Y))


# places that cannot be written to


def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_trained():
    with pytest.raises(RunError, match="cannot be written there"):
        train(checkpoints=Path("/proc/RUN"))  # read-only for everybody, root too


def test_a_folder_of_something_else_is_left_as_it_is(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="not a run"):
        train(checkpoints=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


FULL = """
import resource, sys, warnings, numpy as np, chainrule as cr
from chainrule.train import checkpoint_files as files
X = np.random.default_rng(0).normal(size=(40, 6)); Y = X[:, 0]
def fill(run):  # from now on no file may be longer than 100 bytes, as on a disk that is full
    if run.history.epochs == 3: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = cr.fit(cr.Sequential(cr.Dense(4), cr.Dense(1)), X, Y, epochs=9, callbacks=[fill],
                 checkpoints=cr.Checkpoints(sys.argv[1], every_epochs=1))
said = [str(w.message) for w in caught if issubclass(w.category, cr.TrainingWarning)]
place = files.place_for(sys.argv[1])
assert len(said) == 1 and "could not be written" in said[0] and "at step 6, is kept" in said[0], said
assert run.history.epochs == 9 and files.steps_in(place) == [0, 2, 4, 6], files.steps_in(place)
assert not [p for p in place.iterdir() if p.name.startswith(".")]
try: run.save(sys.argv[1])
except cr.errors.RunError as error: assert "its checkpoints are kept" in str(error), error
else: raise AssertionError
assert files.steps_in(place) == [0, 2, 4, 6]
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no such limit")
def test_on_a_full_disk_training_goes_on_and_what_was_there_stays(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "RUN")],
        env={**os.environ, "PYTHONPATH": str(SRC), "CHAINRULE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    data = np.random.default_rng(0).normal(size=(40, 6))
    assert cr.resume(tmp_path / "RUN", data, data[:, 0]).history.epochs == 9


# what ends a training


def test_an_error_in_a_callback_keeps_what_was_trained(tmp_path):
    def broken(run):
        if run.history.epochs == 4:
            raise OSError("the printer is on fire")

    with pytest.raises(OSError, match="printer"):
        train(callbacks=[broken], checkpoints=tmp_path / "RUN")
    assert files.steps_in(files.place_for(tmp_path / "RUN")) == [0, 24]
    same(train(), cr.resume(tmp_path / "RUN", X, Y))


def test_a_training_ended_from_outside_goes_on_but_one_that_diverged_does_not(tmp_path):
    train(callbacks=[lambda run: run.history.epochs == 4], checkpoints=tmp_path / "RUN")
    same(train(), cr.resume(tmp_path / "RUN", X, Y))
    with pytest.warns(cr.TrainingWarning):
        bad = train(optimizer=cr.GradientDescent(1e30), checkpoints=tmp_path / "BAD")
    with pytest.warns(cr.TrainingWarning):
        again = cr.resume(tmp_path / "BAD", X, Y, epochs=99)
    same(bad, again)
    assert str(again.first_bad) == str(bad.first_bad)


# another network, other settings, other data


def test_an_unfinished_training_is_not_overwritten_by_another(tmp_path):
    folder = stopped_at(tmp_path / "RUN", 20, often={"every_steps": 5})
    with pytest.raises(RunError, match=r"has not come to its end[\s\S]*step 20, epoch 4[\s\S]*cr.resume"):
        train(checkpoints=folder)
    same(train(), cr.resume(folder, X, Y))


def test_a_folder_is_one_training_s_at_a_time(tmp_path):
    """Neither another training nor another run that is saved there takes it away; when it has ended it is free."""
    other, seen = train(epochs=1), []

    def begin_another(run):
        for at_once in (lambda: train(checkpoints=tmp_path / "RUN"), lambda: other.save(tmp_path / "RUN")):
            with pytest.raises(RunError, match="another training is at work in the folder") as error:
                at_once()
            seen.append(error)
        with pytest.raises(RunError, match="another training is at work"):
            cr.resume(tmp_path / "RUN", X, Y)
        run.save(tmp_path / "RUN")  # its own

    with pytest.raises(ZeroDivisionError):  # however it ends
        train(
            callbacks=[begin_another, lambda run: None if run.history.epochs < 2 else 1 / 0],
            checkpoints=tmp_path / "RUN",
        )
    assert len(seen) == 4
    same(train(), cr.resume(tmp_path / "RUN", X, Y))
    other.save(tmp_path / "RUN")


def test_rows_that_are_held_out_may_not_change_either(tmp_path):
    """They are measured on, and no part of what is trained on."""
    table = {"a": X[:, 0], "b": X[:, 1], "y": X[:, 0] + X[:, 1]}
    kept = cr.Checkpoints(tmp_path / "RUN", resume=True)
    settings = {"epochs": 3, "layers": (4,), "progress": False}
    score = cr.fit_table(table, "y", checkpoints=kept, **settings).scores["network"]
    assert cr.fit_table(table, "y", checkpoints=kept, **settings).scores["network"] == score
    prepared = table_dataset(table, "y")
    (row,) = np.flatnonzero(np.isclose(table["y"], prepared.target.decode(prepared.y_test)[0]))[:1]
    changed = table | {"y": np.where(np.arange(len(X)) == row, 9.5, table["y"])}
    with pytest.raises(DataError, match="held-out Y has changed"):
        cr.fit_table(changed, "y", checkpoints=kept, **settings)


OTHERS = {
    "the network": (lambda: cr.Sequential(cr.Dense(9, "tanh"), cr.Dense(1, "sigmoid")), {}),
    "the loss, the optimizer": (network, {"optimizer": cr.Adam(0.5)}),
    "batch size": (network, {"batch_size": 9}),
    "seed": (network, {"seed": 4}),
    "validation split": (network, {"class_weight": "balanced"}),
    "early stopping": (network, {"early_stopping": cr.EarlyStopping(3, "loss")}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_network_or_other_settings_are_refused(tmp_path, what):
    folder = stopped_at(tmp_path / "RUN", 20, often={"every_steps": 5})
    make, options = OTHERS[what]
    settings = {"epochs": 9, "batch_size": 8, "seed": 3} | options
    with pytest.raises(RunError, match="another training"):
        cr.fit(make(), X, Y, checkpoints=cr.Checkpoints(folder, resume=True, every_steps=5), **settings)
    same(train(), cr.resume(folder, X, Y))  # nothing is lost


@pytest.mark.parametrize(
    ("other", "given", "expected"),
    [
        (
            lambda: cr.Sequential(cr.Dense(4), cr.Dense(1)),
            "W (2, 4), b (4), W (4, 1), b (1)",
            "W (2, 3), b (3), W (3, 1), b (1)",
        ),
        (lambda: cr.Sequential(cr.Dense(3), cr.Dense(1), cr.Dense(1)), "W (1, 1), b (1)", "nothing more"),
        (lambda: cr.Sequential(cr.Dense(3, "tanh"), cr.Dense(1)), "tanh", "nothing more"),
        (lambda: cr.Sequential(cr.Dense(3, name="first"), cr.Dense(1)), "name: first", "name: None"),
    ],
)
def test_the_error_tells_in_what_the_networks_differ(tmp_path, other, given, expected):
    X, Y = np.ones((8, 2)), np.ones(8)
    kept = cr.Checkpoints(tmp_path, resume=True)
    cr.fit(cr.Sequential(cr.Dense(3), cr.Dense(1)), X, Y, epochs=1, checkpoints=kept)
    with pytest.raises(RunError, match="the network, or the formula of its loss differs") as refused:
        cr.fit(other(), X, Y, epochs=1, checkpoints=kept)
    assert (refused.value.given, refused.value.expected) == (given, expected)


def changed(row, column):
    x = X.copy()
    x[row, column] += 1
    return x


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (changed(40, 5), Y, "X has changed"),
        (X[:-1], Y[:-1], "42 × 6"),
        (X.astype(np.float64), Y, None),
        (X, 1 - Y, "Y has changed"),
        (X[::-1], Y[::-1], "X has changed"),
    ],
)
def test_data_that_have_changed_are_recognised(tmp_path, x, y, words):
    folder = stopped_at(tmp_path / "RUN", 20, often={"every_steps": 5})
    if words is not None:
        with pytest.raises(DataError, match=words):
            cr.resume(folder, x, y)
    same(train(), cr.resume(folder, X, Y))


def test_what_it_was_begun_with_is_asked_for(tmp_path):
    held_out = X[:7], Y[:7]
    train(checkpoints=tmp_path / "RUN", validation_data=held_out)
    with pytest.raises(ChainruleError, match="validation"):
        cr.resume(tmp_path / "RUN", X, Y, epochs=12)
    whole = train(epochs=12, validation_data=held_out)
    same(whole, cr.resume(tmp_path / "RUN", X, Y, epochs=12, validation_data=held_out))


def test_a_metric_of_one_s_own_is_asked_for(tmp_path):
    def off(y_hat, y):
        return cr.abs(y_hat - y)

    metrics = [off, "accuracy"]
    train(checkpoints=tmp_path / "RUN", metrics=metrics)
    with pytest.raises(ConfigurationError, match=r"metric of your own[\s\S]*metrics="):
        cr.resume(tmp_path / "RUN", X, Y, epochs=12)
    same(train(epochs=12, metrics=metrics), cr.resume(tmp_path / "RUN", X, Y, epochs=12, metrics=[off]))


@pytest.mark.parametrize("wrong", [{"every_epochs": 0}, {"every_steps": 1.5}, {"every_minutes": -1}, {"keep": 0}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ConfigurationError):
        cr.Checkpoints("RUN", **wrong)


def test_there_is_nothing_to_go_on_with(tmp_path):
    with pytest.raises(RunError, match="no training to go back to"):
        cr.resume(tmp_path / "RUN", X, Y)
    stopped_at(tmp_path / "RUN", 5, often={"every_steps": 5})
    with pytest.raises(RunError, match="did not come to its end"):
        cr.load(tmp_path / "RUN")


def test_a_fingerprint_tells_arrays_apart():
    assert fingerprint(X) == fingerprint(X.copy())
    assert len({fingerprint(a) for a in (X, X.T, X.reshape(6, 43), X.astype(int), changed(3, 3))}) == 5
    assert fingerprint(X) == fingerprint(X.astype(float))


def test_what_a_killed_process_left_half_written_is_taken_away(tmp_path):
    folder = stopped_at(tmp_path / "RUN", 20, often={"every_steps": 5})
    place = files.place_for(folder)
    for name in (".step-0000000025.safetensors.4711", ".training.json.4711"):
        (place / name).write_bytes(b"half")
    cr.resume(folder, X, Y)
    assert [f.name for f in place.iterdir() if f.name.startswith(".")] == []


@pytest.mark.parametrize("setting", [{"seed": 4}, {"validation_split": 0.4}], ids=["seed", "validation split"])
def test_a_setting_that_divides_the_rows_otherwise_is_told_as_such(tmp_path, setting):
    """Other rows are held out by it: that is no change of the data."""
    options = {"validation_split": 0.2}
    folder = stopped_at(tmp_path / "RUN", 20, often={"every_steps": 5}, **options)
    again = cr.Checkpoints(folder, resume=True, every_steps=5)
    name, value = next(iter(setting.items()))
    with pytest.raises(RunError, match=f"another training: {name.replace('_', ' ')} differs") as error:
        train(checkpoints=again, **options | setting)
    assert error.value.given == value
    with pytest.raises(DataError, match="X has changed"):
        cr.fit(network(), X + 1, Y, checkpoints=again, epochs=9, batch_size=8, seed=3, **options)


@pytest.mark.parametrize("spoilt", [b"{", b'{"format": 99}'], ids=["damaged", "newer"])
def test_a_training_that_cannot_be_read_is_not_overwritten_by_another(tmp_path, spoilt):
    folder = stopped_at(tmp_path / "RUN", 20, often={"every_steps": 5})
    place = files.place_for(folder)
    (place / files.TRAINING).write_bytes(spoilt)
    before = {f.name: f.read_bytes() for f in place.iterdir()}
    with pytest.raises(RunError, match=r"cannot be read|newer format"):
        train(checkpoints=folder)
    assert {f.name: f.read_bytes() for f in place.iterdir()} == before
