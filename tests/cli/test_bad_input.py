"""What the command line says to bad input: the place, what was expected, what to do; exit code 2, nothing written."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.data import writing
from chainrule.train import table

X = np.arange(60) / 8


def csv(**columns):
    rows = zip(*columns.values(), strict=True)
    return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows), ""])


def but(row, cell, column=X):
    """The column with another cell in a row, counted from 1."""
    return [cell if i == row - 1 else value for i, value in enumerate(column)]


@pytest.fixture
def refused(chainrule, tmp_path):
    """A command that has to fail, and to leave files as they were; gives what it says."""

    def files():
        return {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}, {*tmp_path.rglob("*")}

    def refuse(*words):
        before = files()
        answer = chainrule(*words)
        assert answer.code == 2, answer.err
        assert answer.out == ""
        assert "Traceback" not in answer.err
        assert files() == before
        return answer.err

    return refuse


def lines(message):
    """The parts of an error: its first line, then given, expected, where and hint."""
    first, *rest = message.rstrip("\n").split("\n")
    assert first.startswith("error: ")
    parts = [line.strip().split(":", 1) for line in rest if not line.startswith(" " * 4)]
    names = [name for name, _ in parts]
    assert names == [name for name in ("given", "expected", "where", "hint") if name in names]
    return dict(parts)


# tables to train on


@pytest.mark.parametrize(
    ("content", "says", "parts"),
    [
        (None, ["there is no file", "table.csv"], {"given", "hint"}),
        ("", ["table.csv is empty", "0 bytes"], {"given", "expected"}),
        ("x,y\n", ["table.csv has no rows", "at least one row"], {"given", "expected"}),
        (csv(x=X, Y1=X), ["no column 'y'", "did you mean 'Y1'?", "'x', 'Y1'"], {"given", "expected", "hint"}),
        (csv(x=X, y=[7] * 60), ["'y' has a single value, 7", "two different"], {"given", "expected"}),
        (csv(x=X, y=[""] * 60), ["'y' is missing in all rows"], {"given", "expected"}),
        (csv(x=[""] * 60, y=X), ["no column is left", "'x': it is missing in all"], {"given", "expected"}),
        (csv(y=X), ["no column is left", "without columns beside the target"], {"given", "expected"}),
        (
            csv(x=but(41, "twelve"), y=X),
            ["table.csv", "'x' holds numbers, but text in line 42 (row 41): 'twelve'"],
            {"given", "expected", "where", "hint"},
        ),
        (csv(x=X, y=but(4, "twelve")), ["'y' holds numbers", "line 5 (row 4)"], {"given", "expected", "where", "hint"}),
        (csv(x=but(41, "inf"), y=X), ["'x' holds an infinity in row 41 (line 42"], {"given", "expected", "hint"}),
        (csv(x=X, y=but(9, "-inf")), ["'y' holds an infinity in row 9 (line 10"], {"given", "expected", "hint"}),
        (csv(x=X, y=but(9, 1e200)), ["'y' holds a number too large", "row 9"], {"given", "expected", "hint"}),
        (csv(x=X[:3], y=X[:3]), ["3 rows are too few"], {"given", "expected", "hint"}),
        (
            csv(x=X, y=[f"id {i}" for i in range(60)]),
            ["'y' looks like an identifier", "60 different texts"],
            {"given", "expected", "hint"},
        ),
        (
            csv(x=X, y=[f"2020-01-{i // 2 + 1:02}" for i in range(60)]),
            ["'y' holds dates", "number of days"],
            {"given", "expected", "hint"},
        ),
        ("x,y\n1,2\n1,2,3\n", ["line 3 of table.csv has more fields"], {"given", "expected", "hint"}),
        ("x,x,y\n1,2,3\n", ["several columns named 'x'"], {"given", "expected", "hint"}),
    ],
)
def test_tables_that_cannot_be_learned_from(refused, tmp_path, content, says, parts):
    if content is not None:
        (tmp_path / "table.csv").write_text(content)
    message = refused("train", tmp_path / "table.csv", "--target", "y", "--epochs", 2, "-o", tmp_path / "run")
    for part in says:
        assert part in message
    assert parts <= lines(message).keys()


def test_near_names_of_files(refused, tmp_path):
    (tmp_path / "houses.csv").write_text("a\n")
    assert "did you mean 'houses.csv'?" in refused("train", tmp_path / "house.csv", "--target", "price")


def test_a_parquet_file_that_is_cut_off(refused, tmp_path, line):
    line.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-50])
    assert "not a readable Parquet file" in refused("train", tmp_path / "t.parquet", "--target", "y")


def test_messages_without_another_column_are_no_inputs(refused, tmp_path):
    file = Path(os.environ.get("CHAINRULE_DATA") or tmp_path) / "sms.csv"
    if not file.exists():
        pytest.skip("CHAINRULE_DATA names no folder with sms.csv")
    message = refused("train", file, "--target", "label", "-o", tmp_path / "run")
    assert "'message':" in message
    assert "identifiers or free text" in message
    assert "(--text COLUMN)" in message


def test_ten_thousand_columns_are_no_error(trained, tmp_path):
    values = np.random.default_rng(0).integers(0, 10, size=(30, 10_000))
    header = ",".join([*(f"c{i}" for i in range(9_999)), "y"])
    np.savetxt(tmp_path / "wide.csv", values, "%d", ",", header=header, comments="")
    words = ["--target", "y", "--task", "regression", "--layers", 0, "--epochs", 1, "-o", tmp_path / "run"]
    assert "9,999 inputs" in trained(tmp_path / "wide.csv", *words).out


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (None, "there is no file"),
        ("x\n1\n", "the validation table: the table has no column 'y'"),
        ("z,y\n1,a\n", "the validation table: 1 column is missing: 'x'"),
        ("x,y\n1,a\n2,c\n", "the validation table: the class 'c' of 'y' was never seen in training"),
        ("x,y\n1,a\none,b\n", "the validation table: the column 'x' was learned as numbers, but holds 'one' in row 2"),
        ("x,y\n1,\n", "the validation table: no row with a target"),
        (csv(x=but(3, "two"), y=["a", "b"] * 30), "own.csv: the column 'x' holds numbers, but text in line 4"),
    ],
)
def test_validation_files_that_do_not_fit(refused, tmp_path, own, says):
    (tmp_path / "t.csv").write_text(csv(x=X, y=["a", "b"] * 30))
    if own is not None:
        (tmp_path / "own.csv").write_text(own)
    words = ["--target", "y", "--validation", tmp_path / "own.csv", "-o", tmp_path / "run"]
    message = refused("train", tmp_path / "t.csv", *words)
    assert says in message
    assert lines(message)


# options


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("target", "speces", "did you mean 'species'?"),
        ("task", "categories", "did you mean 'categorical'"),
        ("task", "binary", "3 different values"),
        ("task", "regression", "'species' holds no numbers"),
        ("layers", "a", "whole numbers"),
        ("layers", "4,-1", "at least 1"),
        ("layers", "0,4", "at least 1"),
        ("layers", "100000000000", "not enough memory"),
        ("activation", "relo", "did you mean 'relu'"),
        ("activation", "relu,tanh,relu", "3 and 2"),
        ("loss", "squared_eror", "did you mean 'squared_error'"),
        ("loss", "binary_cross_entropy", "no loss for this target"),
        ("loss", "hinge", "without a loss it is categorical_cross_entropy"),
        ("optimizer", "adm", "did you mean 'adam'"),
        ("learning-rate", "-1", "positive number"),
        ("learning-rate", "0", "positive number"),
        ("learning-rate", "nan", "positive number"),
        ("learning-rate", "automatic", "a number, or auto"),
        ("epochs", "0", "at least 1"),
        ("batch-size", "-1", "at least 1"),
        ("patience", "0", "at least one epoch"),
        ("seed", "-1", "a whole number from 0 to 4294967295"),
        ("seed", str(2**32), "a whole number from 0 to 4294967295"),
    ],
)
def test_options_that_are_out_of_range_or_misspelt(refused, tmp_path, iris_run, option, value, says):
    options = {"target": "species", "layers": "3,2", "epochs": "2", "out": tmp_path / "run"} | {option: value}
    words = [word for name, chosen in options.items() for word in (f"--{name}", chosen)]
    message = refused("train", iris_run.parent / "iris.csv", *words)
    assert says in message
    assert "given" in lines(message)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "categorical_cross_entropy", "hinge", "kl_divergence"])
def test_losses_of_classes_are_refused_for_numbers_and_those_that_fit_are_named(refused, tmp_path, loss):
    (tmp_path / "t.csv").write_text(csv(x=X, y=X))
    message = refused("train", tmp_path / "t.csv", "--target", "y", "--loss", loss, "-o", tmp_path / "run")
    assert f"{loss} for numbers" in message
    for fitting in lines(message)["expected"].split(","):
        assert cr.nn.loss(fitting.strip()).labels in table.LABELS["regression"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian", "t.csv"], "'train'"),
        (["train", "t.csv", "--target", "y", "--epoch", "3"], "--epochs"),
        (["train", "t.csv", "--target", "y", "--optimiser", "adam"], "--optimizer"),
        (["train", "t.csv", "--target", "y", "--epochs", "many"], "--epochs"),
        (["predict", "run"], "FILE"),
        (["formulas"], "RUN"),
    ],
)
def test_words_that_are_missing_or_misspelt(refused, words, says):
    assert says in refused(*words)


# runs and tables to predict


@pytest.mark.parametrize("command", ["predict", "formulas"])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (shutil.rmtree, "there is no such run"),
        (lambda run: (run / "model.json").unlink(), "without model.json"),
        (lambda run: (run / "weights.safetensors").unlink(), "without weights.safetensors"),
        (lambda run: (run / "history.csv").unlink(), "without history.csv"),
        (lambda run: (run / "weights.safetensors").write_bytes(b"short"), "altered or cut short"),
        (lambda run: newer(run / "model.json"), "the run is of a newer format"),
    ],
)
def test_folders_that_are_no_complete_run(refused, iris_run, tmp_path, command, damage, says):
    run = tmp_path / "run"
    shutil.copytree(iris_run, run)
    damage(run)
    message = refused(command, run, *([iris_run.parent / "iris.csv"] if command == "predict" else []))
    assert says in message
    assert "given" in lines(message)


def newer(file):
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | {"format": content["format"] + 1}), encoding="utf-8")


PREPROCESSING = ("target.json", "preprocessing.json", "preprocessing.skops")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        *((lambda run, name=name: (run / name).unlink(), f"{name} cannot be read") for name in PREPROCESSING),
        (lambda run: newer(run / "target.json"), "written by a newer chainrule"),
        (lambda run: newer(run / "preprocessing.json"), "written by a newer chainrule"),
        (lambda run: shutil.rmtree(run), "a run that was trained on a table"),
    ],
)
def test_runs_without_complete_preprocessing(refused, iris_run, tmp_path, damage, says):
    shutil.copytree(iris_run, tmp_path / "run")
    damage(tmp_path / "run" / "preprocessing")
    message = refused("predict", tmp_path / "run", iris_run.parent / "iris.csv", "-o", tmp_path / "p.csv")
    assert says in message
    assert lines(message).keys() == {"given", "expected", "hint"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop("petal width", "sepal length"), "2 columns are missing: 'sepal length', 'petal width'"),
        (lambda t: t.rename({"petal width": "petal_width"}), "'petal width': did you mean 'petal_width'?"),
        (lambda t: t.with_columns(species=pl.lit("pansy")), "the class 'pansy' of 'species' was never seen"),
        (lambda t: t.cast({"petal width": str}).with_columns(pl.lit("wide").alias("petal width")), "'wide' in row 1"),
        (lambda t: t.with_columns(pl.lit(float("inf")).alias("petal width")), "'petal width' holds an infinity"),
        (lambda t: t.clear(), "has no rows"),
    ],
)
def test_tables_that_do_not_fit_the_run(refused, iris_run, iris, tmp_path, change, says):
    change(iris).write_csv(tmp_path / "new.csv")
    (tmp_path / "p.csv").write_text("earlier predictions")
    message = refused("predict", iris_run, tmp_path / "new.csv", "-o", tmp_path / "p.csv")
    assert says in message
    assert {"given", "expected"} <= lines(message).keys()


# what cannot be written


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no/such/p.csv", "make the folder"),
        ("file/p.csv", "is no folder"),
        ("folder", "is not a file"),
        ("p.xlsx", "an ending that chainrule does not write"),
        ("p", "no ending"),
    ],
)
def test_names_that_predictions_cannot_have(refused, iris_run, tmp_path, name, says):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    message = refused("predict", iris_run, iris_run.parent / "iris.csv", "-o", tmp_path / name)
    assert says in message
    assert {"given", "expected"} <= lines(message).keys()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_what_is_no_file_is_not_replaced_by_predictions(refused, iris_run, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is not a file" in refused("predict", iris_run, iris_run.parent / "iris.csv", "-o", tmp_path / "pipe.csv")
    assert (tmp_path / "pipe.csv").is_fifo()


def test_predictions_of_which_half_was_written_are_not_there(refused, iris_run, tmp_path, monkeypatch):
    def half(table, file):
        file.write_text("half")
        raise OSError(28, "No space left on device")

    (tmp_path / "p.csv").write_text("earlier predictions")
    monkeypatch.setitem(writing.WRITERS, ".csv", half)
    message = refused("predict", iris_run, iris_run.parent / "iris.csv", "-o", tmp_path / "p.csv")
    assert "No space left on device" in message


@pytest.mark.parametrize("command", ["train", "demo"])
@pytest.mark.parametrize(
    ("name", "says"),
    [("file", "is a file"), ("folder", "holds something else"), ("file/run", "is a file")],
)
def test_a_place_for_the_run_is_refused_before_the_training(refused, tmp_path, monkeypatch, command, name, says):
    monkeypatch.setattr("chainrule.cli.app.fit_table", None)
    (tmp_path / "folder").mkdir()
    for file in ("file", "folder/letter"):
        (tmp_path / file).write_text("x,y\n1,2\n")
    words = [tmp_path / "t.csv", "--target", "y"] if command == "train" else []
    message = refused(command, *words, "-o", tmp_path / name)
    assert says in message
    assert lines(message).keys() >= {"given", "expected", "hint"}


def test_a_training_that_fails_leaves_the_earlier_run(refused, iris_run, tmp_path):
    shutil.copytree(iris_run, tmp_path / "run")
    refused("train", iris_run.parent / "iris.csv", "--target", "specie", "-o", tmp_path / "run")


# a loss that is not finite


def test_a_training_that_diverges_says_so_once_and_keeps_what_was_finite(chainrule, tmp_path, line):
    line.write_csv(tmp_path / "t.csv")
    words = ["--layers", 0, "--optimizer", "gradient_descent", "--learning-rate", 10, "--batch-size", 0]
    answer = chainrule("train", tmp_path / "t.csv", "--target", "y", *words, "-o", tmp_path / "run")
    run = cr.load(tmp_path / "run")
    last, best = run.history.epochs, run.history.best_epoch
    assert answer.code == 2
    assert 1 < last == run.history.diverged < 300
    assert np.isfinite(run.history.table).all(axis=1).tolist() == [True] * (last - 1) + [False]
    assert (answer.out + answer.err).count("no longer finite") == 1
    assert f"warning: stopped in epoch {last}: the " in answer.err
    assert f"The parameters are those of epoch {best}\n" in answer.err
    assert "try a smaller learning rate" in answer.err
    assert f"saved in {tmp_path / 'run'}\n" in answer.out
    assert all(np.isfinite(value).all() for value in run.parameters.values())
    predicted = chainrule("predict", tmp_path / "run", tmp_path / "t.csv").out.split()[1:]
    assert np.isfinite(np.array(predicted, float)).all()
