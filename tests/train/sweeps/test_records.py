"""A sweep in a folder: killed and started again it goes on with what is missing, and ends as if never stopped."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import RunError
from chainrule.train.sweeps import programs
from chainrule.train.sweeps.sweep import _plain

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, size=(60, 1))
Y = np.sin(2 * X[:, 0])
MADE = """
import sys, numpy as np, chainrule as cr
rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, size=(60, 1))
def network(width):
    return cr.Sequential(cr.Dense(width, "tanh"), cr.Dense(1))
cr.sweep(network, X, np.sin(2 * X[:, 0]), {"width": [2, 3, 4, 5], "learning_rate": [0.003, 0.01]}, folds=3,
         epochs=400, folder=sys.argv[1], workers=1, progress=False)
"""
CHOICES = {"width": [2, 3, 4, 5], "learning_rate": [0.003, 0.01]}


def network(width=3):
    return cr.Sequential(cr.Dense(width, "tanh"), cr.Dense(1))


def sweep(folder, choices=CHOICES, epochs=400, **settings):
    return cr.sweep(network, X, Y, choices, folds=3, epochs=epochs, folder=folder, workers=1, **settings)


@pytest.fixture
def trained(monkeypatch):
    """The trainings that were really made."""
    made = []
    end = programs.Together.end
    monkeypatch.setattr(programs.Together, "end", lambda self, t: (made.append((t.candidate, t.fold)), end(self, t))[1])
    return made


def test_killed_and_started_again_it_trains_what_is_missing(tmp_path, trained):
    folder = tmp_path / "sweep"
    process = subprocess.Popen([sys.executable, "-c", MADE, str(folder)], env=os.environ | {"PYTHONPATH": "src"})
    lines = folder / "trainings.jsonl"
    deadline = time.monotonic() + 120
    while not (lines.exists() and lines.read_bytes().count(b"\n") >= 4) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = lines.read_bytes().count(b"\n")
    assert 4 <= done < 24
    found = sweep(folder)
    assert len(trained) == 24 - done
    whole = sweep(tmp_path / "other")
    assert str(found).split("\n")[2].split()[:6] == str(whole).split("\n")[2].split()[:6]
    for row in whole.candidates:
        # What was missing trains beside fewer others, in a program of another size: the last bits may differ.
        again = found[row.name]
        np.testing.assert_allclose(again.scores, row.scores, rtol=1e-5)
        for run, other in zip(again.runs, row.runs, strict=True):
            np.testing.assert_allclose(run.parameters["W1"], other.parameters["W1"], rtol=1e-4, atol=1e-6)


def test_more_candidates_are_added_to_what_is_there(tmp_path, trained):
    sweep(tmp_path / "s", {"width": [2, 3]}, epochs=3)
    assert len(trained) == 6
    found = sweep(tmp_path / "s", {"width": [2, 3, 4]}, epochs=3)
    assert len(trained) == 9
    assert len(found) == 3


def test_a_line_that_was_cut_short_and_numbers_that_were_altered_are_trained_again(tmp_path, trained):
    folder = tmp_path / "s"
    first = sweep(folder, {"width": [2]}, epochs=3)
    lines = folder / "trainings.jsonl"
    whole = lines.read_bytes().split(b"\n")
    lines.write_bytes(b"\n".join([*whole[:2], whole[2][:40]]))
    altered = folder / "numbers" / f"{json.loads(whole[0])['sha256']}.safetensors"
    altered.write_bytes(altered.read_bytes()[:-4] + b"oops")
    trained.clear()
    again = sweep(folder, {"width": [2]}, epochs=3)
    assert len(trained) == 2
    np.testing.assert_array_equal(again.candidates[0].scores, first.candidates[0].scores)
    assert len(sweep(folder, {"width": [2]}, epochs=3)) == 1
    assert len(trained) == 2


def test_halving_goes_on_as_it_would_have(tmp_path, trained):
    choices = {"learning_rate": [float(r) for r in np.geomspace(1e-5, 0.03, 9)]}
    first = sweep(tmp_path / "s", choices, epochs=18, halving=3)
    lines = tmp_path / "s" / "trainings.jsonl"
    kept = lines.read_bytes().split(b"\n")[:15]
    lines.write_bytes(b"\n".join(kept) + b"\n")
    trained.clear()
    again = sweep(tmp_path / "s", choices, epochs=18, halving=3)
    assert len(trained) == 27 - 15
    assert [(c.name, c.epochs) for c in again.candidates] == [(c.name, c.epochs) for c in first.candidates]


def test_what_failed_is_noted_with_its_reason(tmp_path):
    for _ in range(2):
        choices = {"learning_rate": [0.01], "loss": ["squared_error", "nonsense"]}
        found = sweep(tmp_path / "s", choices, epochs=2, metrics=["absolute_error"], monitor="absolute_error")
        assert found.candidates[1].failed.startswith("no such loss")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"epochs": 4}, "epochs"),
        ({"batch_size": 7}, "settings"),
        ({"Y": Y + 1e-9}, "examples"),
        ({"folds": 4}, "examples"),
    ],
)
def test_another_sweep_in_the_folder_is_refused(tmp_path, change, names):
    given = {"epochs": 3, "folds": 3, "Y": Y} | change
    sweep(tmp_path / "s", {"width": [2]}, epochs=3)
    with pytest.raises(RunError, match=rf"(?s)(another sweep.*{names}|other {names})"):
        cr.sweep(network, X, given.pop("Y"), {"width": [2]}, folder=tmp_path / "s", **given)


def test_another_network_in_the_folder_is_refused(tmp_path, trained):
    given = {"choices": {"width": [2, 3]}, "epochs": 2, "folds": 3, "folder": tmp_path / "s", "workers": 1}
    cr.sweep(network, X, Y, **given)
    assert len(trained) == 6
    with pytest.raises(RunError, match=r"(?s)another sweep.*another network for width 2"):
        cr.sweep(lambda width: cr.Sequential(cr.Dense(width, "relu"), cr.Dense(1)), X, Y, **given)
    with pytest.raises(RunError, match="another network"):
        cr.sweep(lambda width: network(10 * width), X, Y, **given)
    cr.sweep(lambda width: network(width), X, Y, **given)  # the same formula, whoever makes it
    assert len(trained) == 6


def test_another_value_behind_the_same_name_is_trained_with_that_value(tmp_path, trained):
    sweep(tmp_path / "s", {"learning_rate": {"fast": 0.01}}, epochs=2)
    found = sweep(tmp_path / "s", {"learning_rate": {"fast": 0.02}}, epochs=2)
    assert len(trained) == 6
    alone = cr.sweep(network, X, Y, {"learning_rate": [0.02]}, folds=3, epochs=2)
    trained.clear()
    np.testing.assert_allclose(found.candidates[0].scores, alone.candidates[0].scores, rtol=1e-5)
    sweep(tmp_path / "s", {"learning_rate": {"quick": 0.02, "fast": 0.02}}, epochs=2)
    assert len(trained) == 3


def test_other_weights_in_the_folder_are_refused(tmp_path):
    x = RNG.normal(size=(3000, 1))  # so many that NumPy prints three at either end
    weights = np.ones(3000)
    given = {"epochs": 1, "folder": tmp_path / "s", "workers": 1}
    cr.sweep(network, x, x[:, 0], sample_weight=weights, **given)
    with pytest.raises(RunError, match=r"(?s)another sweep.*sample_weight"):
        cr.sweep(network, x, x[:, 0], sample_weight=np.where(np.arange(3000) == 1500, 9, weights), **given)


def test_a_function_with_arguments_is_written_down_the_same_in_every_process():
    def loss(y_hat, y, power):
        return cr.mean(cr.abs(y_hat - y) ** power, axis=1)

    partly = functools.partial(loss, power=3)
    assert _plain(partly) == _plain(functools.partial(copy_of(loss), power=3))
    assert _plain(partly) != _plain(functools.partial(loss, power=2))


def copy_of(function):
    """The same at another address, as in another process."""
    return types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(RunError, match="cannot be written"):
        sweep(tmp_path / "file", {"width": [2]}, epochs=2)
