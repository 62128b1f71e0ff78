"""``chainrule train --resume`` and ``chainrule replay``: going on with a training, and back to its steps."""

import json
import os
import re
import shutil
import signal

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.cli import app
from chainrule.train import Trainer
from chainrule.train import checkpoint_files as files

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    x = RNG.normal(size=(80, 2))
    rows = {
        "height": x[:, 0],
        "width": x[:, 1],
        "kind": RNG.choice(["a", "b"], 80),
        "price": 20 * x[:, 0] - 5 * x[:, 1],
    }
    file = tmp_path_factory.mktemp("again") / "t.csv"
    pl.DataFrame(rows).write_csv(file)
    return file


@pytest.fixture(scope="module")
def run(table, trained):
    folder = table.parent / "run"
    trained(table, "--target", "price", "--layers", "3", "--epochs", "12", "--batch-size", "8", "-o", folder)
    return folder


@pytest.fixture
def stopped(run, tmp_path):
    """A training that was killed after its first checkpoint."""
    shutil.copytree(run / "checkpoints", tmp_path / "stopped" / "checkpoints")
    place = files.place_for(tmp_path / "stopped")
    files.remove(place, files.steps_in(place)[1:])
    return tmp_path / "stopped"


def same(a, b):
    a, b = cr.load(a), cr.load(b)
    for name, value in a.parameters.items():
        np.testing.assert_array_equal(b.parameters[name], value)
    np.testing.assert_array_equal(b.history.table, a.history.table)


def test_a_training_that_was_killed_goes_on_and_is_saved(chainrule, run, stopped):
    answer = chainrule("formulas", stopped)
    assert answer.code == 2
    assert "chainrule train --resume" in answer.err
    answer = chainrule("train", "--resume", stopped)
    assert answer.code == 0, answer.err
    assert "On 16 held-out rows" in answer.out
    same(run, stopped)


SETTINGS = ["--target", "price", "--layers", "3", "--epochs", "12", "--batch-size", "8"]


@pytest.fixture
def interrupted(chainrule, table, tmp_path, monkeypatch):
    """A training that so many Ctrl-C meet after epoch 3."""
    advance = Trainer.advance

    def train(times):
        def until_epoch_3(trainer, epochs, *rest):
            advance(trainer, epochs, *rest)
            for _ in range(times if trainer.history.epochs == 3 else 0):
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Trainer, "advance", until_epoch_3)
        monkeypatch.setattr(Trainer, "at_once", lambda trainer, left: 1)
        answer = chainrule("train", table, *SETTINGS, "-o", tmp_path / "r")
        monkeypatch.undo()
        return answer

    return train


def test_one_that_was_interrupted_says_how_to_go_on(chainrule, run, interrupted, tmp_path):
    answer = interrupted(1)
    assert answer.code == 130
    assert "it was interrupted after epoch 3; to go on: chainrule train --resume" in answer.out
    assert chainrule("train", "--resume", tmp_path / "r").code == 0
    same(run, tmp_path / "r")


def test_a_second_interruption_ends_it_at_once_and_keeps_it(chainrule, run, interrupted, tmp_path):
    answer = interrupted(2)
    assert answer.code == 130
    last = f"interrupted; its checkpoints are kept; to go on: chainrule train --resume {tmp_path / 'r'}"
    assert answer.err.rstrip().split("\n")[-1] == last
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert chainrule("train", "--resume", tmp_path / "r").code == 0
    same(run, tmp_path / "r")


def test_an_interruption_before_it_trains(chainrule, table, tmp_path, monkeypatch):
    monkeypatch.setattr(app, "_what_to_train_on", lambda asked: os.kill(os.getpid(), signal.SIGINT))
    answer = chainrule("train", table, *SETTINGS, "-o", tmp_path / "r")
    assert (answer.code, answer.err.strip()) == (130, "interrupted before it trained")


def test_it_goes_on_for_more_epochs(chainrule, trained, run, table, tmp_path):
    shutil.copytree(run, tmp_path / "longer")
    assert chainrule("train", "--resume", tmp_path / "longer", "--epochs", "20").code == 0
    settings = ["--target", "price", "--layers", "3", "--batch-size", "8"]
    trained(table, *settings, "--epochs", "20", "-o", tmp_path / "whole")
    same(tmp_path / "whole", tmp_path / "longer")


def test_other_settings_another_file_and_nothing_at_all(chainrule, stopped, table, tmp_path):
    answer = chainrule("train", "--resume", stopped, "--seed", "4", "--batch-size", "9")
    assert answer.code == 2
    assert re.search(r"keeps its settings\s+given: +--resume and --batch-size, --seed|--seed, --batch-size", answer.err)
    changed = pl.read_csv(table).with_columns(height=pl.col("height").reverse())
    changed.write_csv(tmp_path / "changed.csv")
    answer = chainrule("train", tmp_path / "changed.csv", "--resume", stopped)
    assert answer.code == 2
    assert "the data are not those that the training was begun with" in answer.err
    assert chainrule("train").code == 2
    answer = chainrule("train", "--resume", tmp_path / "nowhere")
    assert answer.code == 2
    assert "no training to go back to" in answer.err


@pytest.fixture
def kept(chainrule, table, tmp_path):
    """What ``--keep-every`` says, and the steps at which a training of 4 epochs, 6 steps each, was kept."""

    def train(often):
        settings = ["--target", "price", "--layers", "0", "--epochs", "4", "--batch-size", "8", "--keep-every", often]
        answer = chainrule("train", table, *settings, "-o", tmp_path / "kept")
        return answer, files.steps_in(tmp_path / "kept" / "checkpoints")

    return train


@pytest.mark.parametrize(
    ("often", "steps"),
    [
        ("1 epoch", [0, 12, 18, 24]),
        ("3 epochs", [0, 18, 24]),
        ("10 steps", [0, 10, 20, 24]),
        ("17step", [0, 17, 24]),
        ("0.5 minutes", [0, 24]),
    ],
)
def test_how_often_it_is_kept(kept, often, steps):
    answer, found = kept(often)
    assert answer.code == 0, answer.err
    assert found == steps


@pytest.mark.parametrize("often", ["", "5", "epochs", "0 epochs", "-1 steps", "1.5 epochs", "2 hours", "5 epochs 3"])
def test_how_often_it_cannot_be_kept(kept, often):
    answer, found = kept(often)
    assert answer.code == 2
    assert "--keep-every takes a number of epochs, steps or minutes" in answer.err
    assert repr(often) in answer.err
    assert not found


def test_how_often_it_is_kept_stays_and_may_be_changed(chainrule, kept, tmp_path):
    kept("3 epochs")
    for more, steps in (
        (["--epochs", "7"], [24, 36, 42]),
        (["--epochs", "9", "--keep-every", "5 steps"], [45, 50, 54]),
    ):
        assert chainrule("train", "--resume", tmp_path / "kept", *more).code == 0
        assert files.steps_in(tmp_path / "kept" / "checkpoints") == [0, *steps]


def test_where_nothing_is_left_to_train_it_says_so(chainrule, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    answer = chainrule("train", "--resume", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert "note: nothing is left to train: all 12 epochs are done; for more of them: --epochs" in answer.err
    assert "trained for 12 epochs" in answer.out
    answer = chainrule("train", "--resume", tmp_path / "run", "--epochs", "5")
    assert (answer.code, answer.out) == (2, "")
    assert "--epochs 5, of which 12 are done" in answer.err


def test_data_that_lie_elsewhere_now(chainrule, trained, table, tmp_path):
    before, now, run = tmp_path / "before.csv", tmp_path / "now.csv", tmp_path / "run"
    shutil.copy(table, before)
    trained(before, "--target", "price", "--layers", "0", "--epochs", "2", "-o", run)
    before.rename(now)
    for command, words in (
        (f"train FILE --resume {run}", ["train", "--resume", run, "--epochs", "3"]),
        (f"replay {run} FILE --step NUMBER", ["replay", run, "--step", "1"]),
        (f"explain {run} FILE", ["explain", run]),
    ):
        answer = chainrule(*words)
        assert (answer.code, answer.out) == (2, "")
        assert "what it was trained on is not there" in answer.err
        assert f"say where it lies now: chainrule {command}" in answer.err
    assert chainrule("replay", run, now, "--step", "1").code == 0
    assert chainrule("train", now, "--resume", run, "--epochs", "3").code == 0
    for words in (["replay", run, "--step", "1"], ["explain", run]):
        assert chainrule(*words).code == 0


def test_a_step_is_gone_back_to(chainrule, run):
    answer = chainrule("replay", run, "--step", "17")
    assert answer.code == 0, answer.err
    head, _, table = answer.out.partition("\n\n")
    assert head == "step 17: batch 6 of 6 in epoch 3, 8 rows"
    assert re.search(r"^dW1 +\(4, 3\)( +-?[\d.e-]+){4}$", table, re.MULTILINE)


def test_other_rows_make_other_inputs_and_that_is_said(chainrule, run, table, tmp_path):
    fewer = pl.read_csv(table).with_columns(kind=pl.lit("a"))
    fewer.write_csv(tmp_path / "fewer.csv")
    answer = chainrule("replay", run, tmp_path / "fewer.csv", "--step", "17")
    assert answer.code == 2
    assert "the data are not those that the training was begun with" in answer.err
    assert "fewer.csv" in answer.err
    assert "its rows in the same order" in answer.err


def test_a_row_of_it_is_explained(chainrule, run):
    answer = chainrule("replay", run, "--step", "17", "--row", "3")
    assert answer.code == 0, answer.err
    assert "downstream = upstream × local on all" in answer.out
    assert chainrule("replay", run, "--step", "17", "--row", "9").code == 2


def test_its_row_is_that_of_the_table_which_explain_explains(chainrule, trained, table, tmp_path):
    gaps = pl.read_csv(table).with_columns(price=pl.when(pl.int_range(80) % 9 > 0).then("price"))
    gaps.write_csv(tmp_path / "gaps.csv")
    words = ["--target", "price", "--layers", "3", "--epochs", "3", "--batch-size", "8", "-o", tmp_path / "run"]
    trained(tmp_path / "gaps.csv", *words)
    drawn = ["--svg", tmp_path / "row.svg", "--json", tmp_path / "replayed.json"]
    answer = chainrule("replay", tmp_path / "run", "--step", "9", "--row", "5", *drawn)
    assert answer.code == 0, answer.err
    assert answer.out.endswith(f"drawn in {tmp_path / 'row.svg'}\nevery number in {tmp_path / 'replayed.json'}\n")
    row = re.search(r"row 5 of the batch is row (\d+) of the table", answer.out)[1]
    assert chainrule("explain", tmp_path / "run", "--row", row, "--json", tmp_path / "explained.json").code == 0
    fed = [
        {n["name"]: n["value"] for n in json.loads(file.read_text("utf-8"))["nodes"] if n["name"] in ("X", "Y")}
        for file in (tmp_path / "replayed.json", tmp_path / "explained.json")
    ]
    assert len(fed[0]) == 2
    assert fed[0] == fed[1]
    assert "<svg" in (tmp_path / "row.svg").read_text("utf-8")


def test_a_file_of_a_folder_is_named(chainrule, trained, tmp_path):
    for name in ("up", "down"):
        (tmp_path / "t" / name).mkdir(parents=True)
        for i in range(9):
            (tmp_path / "t" / name / f"{i}.txt").write_text(f"it goes {name} {'again ' * i}")
    trained(tmp_path / "t", "--layers", "2", "--epochs", "2", "--batch-size", "4", "-o", tmp_path / "run")
    answer = chainrule("replay", tmp_path / "run", "--step", "1", "--row", "2")
    assert answer.code == 0, answer.err
    assert re.search(r"row 2 of the batch is the file (up|down)/\d\.txt\n", answer.out)
    answer = chainrule("explain", tmp_path / "run", "--row", "2")
    assert answer.code == 2
    assert f"chainrule replay {tmp_path / 'run'} --step NUMBER --row NUMBER" in answer.err


def test_what_is_for_one_row_needs_it(chainrule, run, tmp_path):
    answer = chainrule("replay", run, "--step", "17", "--json", tmp_path / "row.json", "--svg", tmp_path / "row.svg")
    assert answer.code == 2
    assert "--svg is for one row" in answer.err
    assert "--row NUMBER" in answer.err


def test_the_first_bad_number(chainrule, table, tmp_path):
    settings = ["--target", "price", "--optimizer", "gradient_descent", "--learning-rate", "1e9", "--layers", "3"]
    answer = chainrule("train", table, *settings, "-o", tmp_path / "bad")
    assert answer.code == 2
    assert "held-out" not in answer.out, "the parameters are those of the start: there is nothing to measure"
    assert f"chainrule replay {tmp_path / 'bad'} --to-first-nan" in answer.out
    assert repr(cr.load(tmp_path / "bad")).endswith("1 epoch, no longer finite in epoch 1>")
    answer = chainrule("replay", tmp_path / "bad", "--to-first-nan")
    assert answer.code == 0, answer.err
    assert "the first number that was not finite arose" in answer.out
    assert re.search(r"step \d+: batch", answer.out)


def test_which_step(chainrule, run):
    assert "which step" in chainrule("replay", run).err
    assert "0 to 71" in chainrule("replay", run, "--step", "72").err
    answer = chainrule("replay", run, "--to-first-nan")
    assert "every number of this training was finite" in answer.err
    assert "--step NUMBER" in answer.err


def test_what_goes_wrong_while_it_trains_is_told_at_once(chainrule, table, tmp_path, monkeypatch):
    """Not in the end, which may be hours away, or which a second Ctrl-C leaves out."""
    write = files._put

    def full(file, content):
        if file.name.startswith("step-") and "0000000000" not in file.name:
            raise OSError(28, "No space left on device")
        write(file, content)

    monkeypatch.setattr(files, "_put", full)
    words = [table, "--target", "price", "--layers", "3", "--epochs", "12", "--keep-every", "1 epochs"]
    answer = chainrule("train", *words, "-o", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert answer.err.count("warning:") == 1
    assert answer.err.index("warning: the checkpoint at step") < answer.err.index("epoch 3/12")
