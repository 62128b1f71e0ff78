"""``chainrule predict`` and ``chainrule formulas``, against the forward pass written out in NumPy."""

import io
import json

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

import chainrule as cr
from chainrule.data import Preprocessing


def relu(z):
    return np.maximum(z, 0)


def outputs(folder, x, *activations):
    weights = load_file(folder / "weights.safetensors")
    for i, g in enumerate(activations, 1):
        x = g(x @ weights[f"W{i}"].astype(float) + weights[f"b{i}"])
    return x


def standardised(table, folder):
    """The inputs of a network, from a table of numbers: by scikit-learn's mean and deviation of the training rows."""
    return Preprocessing.load(folder / "preprocessing").encoder.transform(table).astype(float)


def read(text):
    return pl.read_csv(io.StringIO(text))


def test_numbers_are_the_output_in_the_unit_of_the_column(chainrule, diabetes_run, diabetes):
    target = json.loads((diabetes_run / "preprocessing" / "target.json").read_text())["target"]
    z = outputs(diabetes_run, standardised(diabetes, diabetes_run), np.tanh, relu, lambda z: z)
    found = read(chainrule("predict", diabetes_run, diabetes_run.parent / "diabetes.parquet").out)
    assert found.columns == ["progress"]
    np.testing.assert_allclose(found["progress"], z[:, 0] * target["scale"] + target["mean"], rtol=1e-4)


def test_classes_have_a_label_and_probabilities(chainrule, iris_run, iris):
    def softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    p = outputs(iris_run, standardised(iris, iris_run), relu, softmax)
    found = read(chainrule("predict", iris_run, iris_run.parent / "iris.csv").out)
    names = ["setosa", "versicolor", "virginica"]
    assert found.columns == ["species", *(f"P(species={name})" for name in names)]
    np.testing.assert_allclose(found.drop("species").to_numpy(), p, atol=1e-5)
    assert found["species"].to_list() == [names[i] for i in p.argmax(axis=1)]
    assert (found["species"] == iris["species"]).mean() > 0.9


def test_two_classes_have_two_probabilities(trained, chainrule, tmp_path, iris):
    iris.filter(pl.col("species") != "setosa").write_csv(tmp_path / "t.csv")
    trained(tmp_path / "t.csv", "--target", "species", "--layers", 0, "--epochs", 20, "-o", tmp_path / "run")
    found = read(chainrule("predict", tmp_path / "run", tmp_path / "t.csv").out)
    p = cr.load(tmp_path / "run").predict(standardised(iris[50:], tmp_path / "run"))[:, 0]
    np.testing.assert_allclose(found["P(species=virginica)"], p, rtol=1e-6)
    np.testing.assert_allclose(found["P(species=versicolor)"], 1 - p, rtol=1e-6)
    assert found["species"].to_list() == np.where(p > 0.5, "virginica", "versicolor").tolist()


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("p.csv", pl.read_csv),
        ("p.tsv", lambda file: pl.read_csv(file, separator="\t")),
        ("p.parquet", pl.read_parquet),
        ("P.PARQUET", pl.read_parquet),
    ],
)
def test_every_form_of_file_holds_what_is_printed(chainrule, iris_run, tmp_path, name, reader):
    data = iris_run.parent / "iris.csv"
    answer = chainrule("predict", iris_run, data, "-o", tmp_path / name)
    assert (answer.code, answer.out, answer.err) == (0, f"150 predictions in {tmp_path / name}\n", "")
    assert reader(tmp_path / name).equals(read(chainrule("predict", iris_run, data).out))
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_target_other_columns_and_their_order_do_not_matter(chainrule, iris_run, iris, tmp_path):
    iris.drop("species").select(reversed(iris.columns[:-1])).with_columns(note=pl.lit("x")).write_csv(
        tmp_path / "t.csv"
    )
    found = chainrule("predict", iris_run, tmp_path / "t.csv")
    assert found.out == chainrule("predict", iris_run, iris_run.parent / "iris.csv").out


def test_a_category_that_training_has_not_seen_is_told_and_counts_as_none_of_the_known(
    trained, chainrule, tmp_path, line
):
    colours = line.with_columns(colour=pl.Series(["red", "green", "white"] * 20))
    colours.write_csv(tmp_path / "t.csv")
    trained(tmp_path / "t.csv", "--target", "y", "--layers", 0, "--epochs", 2, "-o", tmp_path / "run")
    colours.with_columns(colour=pl.lit("blue")).head(2).write_csv(tmp_path / "new.csv")
    answer = chainrule("predict", tmp_path / "run", tmp_path / "new.csv")
    assert answer.code == 0
    assert answer.err == "note: 'colour': 'blue' never seen in training (2 rows)\n"
    run = cr.load(tmp_path / "run")
    scaled = standardised(colours.head(2), tmp_path / "run")[:, :1]
    z = run.predict(np.concatenate([scaled, np.zeros((2, 3))], axis=1))[:, 0]
    target = json.loads((tmp_path / "run" / "preprocessing" / "target.json").read_text())["target"]
    np.testing.assert_allclose(read(answer.out)["y"], z * target["scale"] + target["mean"], rtol=1e-5)


# formulas


def test_a_folder_is_no_table(chainrule, iris_run, tmp_path):
    done = chainrule("predict", iris_run, tmp_path)
    assert done.code != 0
    assert "Traceback" not in done.err
    assert str(tmp_path.name) in done.err


def test_formulas_are_those_of_the_run(chainrule, diabetes_run):
    run = cr.load(diabetes_run)
    answer = chainrule("formulas", diabetes_run)
    assert answer.out == f"{run.formulas()}\n"
    headings = [text for text in answer.out.split("\n") if text and not text.startswith(" ")]
    assert headings == ["Forward", "Cost", "Backward", "Update (Adam)"]
    for formula in ("Z1   = X W1 + b1", "A2   = ReLU(Z2)", "dW3  = 1/m · A2ᵀ dZ3", "W1   ← W1 − α · m̂_W1/(√v̂_W1 + ε)"):
        assert f"  {formula} " in answer.out


def test_formulas_in_latex(chainrule, diabetes_run):
    answer = chainrule("formulas", diabetes_run, "--latex")
    assert answer.out == f"{cr.load(diabetes_run).formulas().latex()}\n"
    assert r"\frac" in answer.out


def test_rewrites_are_named_with_before_and_after(chainrule, iris_run, diabetes_run):
    before = chainrule("formulas", iris_run).out
    rewrites = chainrule("formulas", iris_run, "--rewrites").out.removeprefix(before)
    assert rewrites == f"\nRewritten for stability\n{cr.load(iris_run).rewrites}\n"
    assert "softmax" in rewrites
    assert "nothing had to be rewritten" in chainrule("formulas", diabetes_run, "--rewrites").out
