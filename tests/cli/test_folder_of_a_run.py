"""Where ``chainrule train`` and ``demo`` save: what lies there is replaced only where that is asked for."""

import os
import shutil

import pytest

import chainrule as cr
from chainrule.train import checkpoint_files as files

SETTINGS = ["--target", "progress", "--layers", "2", "--epochs", "4"]


@pytest.fixture
def finished(diabetes_run, tmp_path):
    shutil.copytree(diabetes_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def unfinished(finished):
    for file in finished.iterdir():
        if file.is_file():
            file.unlink()
    shutil.rmtree(finished / "preprocessing")
    place = files.place_for(finished)
    steps = files.steps_in(place)
    kept = files.read_checkpoint(place, steps[-1], files.read_training(place)[1])
    kept.state["finished"] = False
    files.write_checkpoint(place, kept)
    return finished


def contents(folder):
    return {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_finished_run_is_not_replaced(chainrule, diabetes_run, finished, command):
    before = contents(finished)
    words = ["train", diabetes_run.parent / "diabetes.parquet", *SETTINGS] if command == "train" else ["demo"]
    answer = chainrule(*words, "-o", finished)
    assert (answer.code, answer.out) == (2, "")
    assert "the folder holds a run" in answer.err
    assert "choose another folder, or --overwrite to replace it" in answer.err
    assert contents(finished) == before


def test_an_unfinished_training_is_not_replaced(chainrule, diabetes_run, unfinished):
    before = contents(unfinished)
    answer = chainrule("train", diabetes_run.parent / "diabetes.parquet", *SETTINGS, "-o", unfinished)
    assert (answer.code, answer.out) == (2, "")
    assert "the folder holds a training that has not come to its end" in answer.err
    assert f"go on with it: chainrule train --resume {unfinished}; or choose another folder, or --over" in answer.err
    assert contents(unfinished) == before


@pytest.mark.parametrize("there", ["finished", "unfinished"])
def test_what_is_there_is_replaced_where_that_is_asked_for(chainrule, diabetes_run, request, there):
    folder = request.getfixturevalue(there)
    words = ["train", diabetes_run.parent / "diabetes.parquet", *SETTINGS, "-o", folder, "--overwrite"]
    answer = chainrule(*words)
    assert answer.code == 0, answer.err
    assert cr.load(folder).parameters["W1"].shape == (10, 2)
    assert files.read_training(files.place_for(folder))[0]["epochs"] == 4
    assert [f.name for f in folder.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("there", ["finished", "unfinished"])
def test_a_training_that_does_not_begin_replaces_nothing(chainrule, diabetes_run, request, there):
    folder = request.getfixturevalue(there)
    before = contents(folder)
    words = ["train", diabetes_run.parent / "diabetes.parquet", *SETTINGS, "-o", folder, "--overwrite"]
    assert chainrule(*words, "--loss", "none such").code == 2
    assert contents(folder) == before
    assert [f.name for f in folder.parent.iterdir()] == ["run"]


def test_a_folder_in_which_another_training_is_at_work_is_not_overwritten(chainrule, diabetes_run, unfinished):
    before = contents(unfinished)
    words = ["train", diabetes_run.parent / "diabetes.parquet", *SETTINGS, "-o", unfinished]
    with files.held(files.place_for(unfinished)):
        answer = chainrule(*words, "--overwrite")
    assert answer.code == 2
    assert "another training is at work in the folder" in answer.err
    assert contents(unfinished) == before


def test_what_is_gone_on_with_is_not_overwritten(chainrule, finished):
    answer = chainrule("train", "--resume", finished, "--overwrite")
    assert answer.code == 2
    assert "--resume and --overwrite" in answer.err


@pytest.mark.parametrize("which", ["run", "its parent"])
@pytest.mark.parametrize("how", [["--overwrite"], ["--resume"]], ids=["overwritten", "gone on with"])
def test_a_folder_that_has_become_read_only_is_told_before_anything_is_trained(
    chainrule, diabetes_run, finished, monkeypatch, which, how
):
    refused = finished if which == "run" else finished.parent
    access = os.access  # whoever runs the tests may write everywhere
    monkeypatch.setattr(
        os, "access", lambda path, mode: not (mode == os.W_OK and path == refused) and access(path, mode)
    )
    before = contents(finished)
    if how == ["--resume"]:
        answer = chainrule("train", "--resume", finished, "--epochs", "9")
    else:
        answer = chainrule("train", diabetes_run.parent / "diabetes.parquet", *SETTINGS, "-o", finished, *how)
    assert (answer.code, answer.out) == (2, "")
    assert "the run cannot be saved there" in answer.err
    assert f"'{refused}' cannot be written to" in answer.err
    assert "epoch" not in answer.err
    assert contents(finished) == before


@pytest.mark.parametrize("spoilt", [b"{", b'{"format": 99}'], ids=["damaged", "newer"])
def test_a_training_that_cannot_be_read_is_replaced_only_where_that_is_asked_for(
    chainrule, diabetes_run, unfinished, spoilt
):
    (files.place_for(unfinished) / files.TRAINING).write_bytes(spoilt)
    before = contents(unfinished)
    words = ["train", diabetes_run.parent / "diabetes.parquet", *SETTINGS, "-o", unfinished]
    assert chainrule(*words).code == 2
    assert contents(unfinished) == before
    assert chainrule(*words, "--overwrite").code == 0
