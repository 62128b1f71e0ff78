"""The numbers of the epochs, as arrays and as a table to read."""

import numpy as np
import pytest

from chainrule.errors import ConfigurationError
from chainrule.train import History


def history(epochs, **noted):
    numbers = np.column_stack([1 / np.arange(1, epochs + 1), np.arange(epochs)])
    return History(["loss", "validation_loss"], numbers, **noted)


def test_a_column_is_an_array():
    h = history(4)
    np.testing.assert_array_equal(h["loss"], [1, 1 / 2, 1 / 3, 1 / 4])
    assert list(h) == list(h.keys()) == ["loss", "validation_loss"]
    assert len(h) == h.epochs == 4
    assert "loss" in h
    assert "accuracy" not in h


def test_epochs_are_counted_from_one():
    h = history(4)
    assert h.row(1) == {"loss": 1.0, "validation_loss": 0.0}
    assert h.row(4) == h.row(-1) == {"loss": 0.25, "validation_loss": 3.0}


def test_further_epochs_are_added_behind():
    h = History(["loss"])
    for chunk in ([3.0, 2.0], [1.0], []):
        h.extend(np.array(chunk))
    assert h["loss"].tolist() == [3, 2, 1]


def test_a_column_that_is_not_there_suggests_a_near_one():
    with pytest.raises(ConfigurationError, match=r"(?s)'val_loss'.*did you mean 'validation_loss'"):
        history(1)["val_loss"]


def test_the_table_shows_the_first_epochs_the_best_and_the_last():
    lines = str(history(100, best_epoch=37, stopped="stopped after epoch 100")).split("\n")
    assert lines[0].split() == ["epoch", "loss", "validation_loss"]
    assert [int(line.split()[0]) for line in lines[1:-1]] == [1, 2, 5, 10, 25, 37, 50, 75, 100]
    assert [line for line in lines if line.endswith("(best)")] == [lines[6]]
    assert lines[6].split()[:3] == ["37", "0.02703", "36"]
    assert lines[-1] == "stopped after epoch 100"
    assert str(history(1)).count("\n") == 1
    assert str(History(["loss"])) == "no epoch was run"
