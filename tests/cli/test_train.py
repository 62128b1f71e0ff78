"""``chainrule train``: from a file to a run folder, against scikit-learn and data of known law."""

import json
import re

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.preprocessing import StandardScaler

import chainrule as cr
from chainrule.data import split


def history(folder):
    return pl.read_csv(folder / "history.csv")


def same_bits(a, b):
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in ("weights.safetensors", "history.csv"))


# what is found out from the file

RNG = np.random.default_rng(1)
ROWS = 400
SIZE = RNG.normal(60, 20, ROWS).round(1)
TOWN = RNG.choice(["Ayton", "Beeford", "Cowden"], ROWS)
GARDEN = RNG.random(ROWS) < 0.5
LIFT = RNG.choice(["yes", "no"], ROWS)
SOLD = np.datetime64("2012-01-01") + RNG.integers(0, 3650, ROWS)
ROOMS = RNG.integers(1, 6, ROWS)
UNKNOWN = RNG.random(ROWS) < 0.2
YEAR = SOLD.astype("datetime64[Y]").astype(int) - 40
PRICE = 0.1 * SIZE + 3 * (TOWN == "Beeford") + 4 * GARDEN + 2 * (LIFT == "yes") + YEAR + np.where(UNKNOWN, 9, ROOMS)
HOUSES = pl.DataFrame(
    {
        "size": SIZE,
        "town": TOWN,
        "garden": GARDEN,
        "lift": LIFT,
        "sold": SOLD.astype("datetime64[us]"),
        "rooms": [None if unknown else int(n) for unknown, n in zip(UNKNOWN, ROOMS, strict=True)],
        "price": PRICE,
    }
).with_columns(pl.col("sold").cast(pl.Date))
LINEAR = ["--target", "price", "--layers", "0", "--learning-rate", "0.05", "--epochs", "150"]


@pytest.fixture(scope="module")
def houses(tmp_path_factory, trained):
    """The folder of a linear network on houses.csv, and what the command printed."""
    folder = tmp_path_factory.mktemp("houses")
    HOUSES.write_csv(folder / "houses.csv")
    answer = trained(folder / "houses.csv", *LINEAR, "-o", folder / "run")
    return folder / "run", answer


def test_a_law_of_numbers_categories_truths_dates_and_gaps_is_learned(houses):
    _, answer = houses
    network, linear = answer.scores["R²"]
    assert network > 0.999
    assert linear > 0.999


@pytest.mark.parametrize(
    ("column", "before", "after", "effect"),
    [
        ("size", 60.0, 80.0, 2),
        ("town", "Ayton", "Beeford", 3),
        ("town", "Ayton", "Cowden", 0),
        ("garden", False, True, 4),
        ("lift", "no", "yes", 2),
        ("rooms", 2, 4, 2),
        ("rooms", 4, None, 5),
        ("sold", "2013-05-06", "2018-05-06", 5),
    ],
)
def test_every_kind_of_column_has_its_effect(houses, chainrule, tmp_path, column, before, after, effect):
    house = {"size": 60.0, "town": "Ayton", "garden": False, "lift": "no", "sold": "2015-03-04", "rooms": 3}
    pl.DataFrame([house | {column: before}, house | {column: after}], infer_schema_length=2).write_csv(
        tmp_path / "two.csv"
    )
    answer = chainrule("predict", houses[0], tmp_path / "two.csv")
    assert answer.code == 0, answer.err
    name, *prices = answer.out.split()
    assert name == "price"
    assert float(prices[1]) - float(prices[0]) == pytest.approx(effect, abs=0.25)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("houses.parquet", lambda file: HOUSES.write_parquet(file)),
        ("houses.tsv", lambda file: HOUSES.write_csv(file, separator="\t")),
        ("semicolons.csv", lambda file: HOUSES.write_csv(file, separator=";", decimal_comma=True, include_bom=True)),
        ("utf16.csv", lambda file: file.write_bytes(HOUSES.write_csv().encode("utf-16"))),
    ],
)
def test_the_form_of_the_file_does_not_matter(houses, trained, tmp_path, name, write):
    write(tmp_path / name)
    trained(tmp_path / name, *LINEAR, "-o", tmp_path / "run")
    assert same_bits(houses[0], tmp_path / "run")


def test_a_name_in_windows_1252_is_found(trained, tmp_path):
    (tmp_path / "t.csv").write_bytes("größe;straße\n".encode("cp1252") + b"1;2,5\n2;4,5\n3;6,5\n4;8,5\n5;9,5\n6;12,5\n")
    answer = trained(tmp_path / "t.csv", "--target", "größe", "--epochs", 1, "--layers", 0, "-o", tmp_path / "run")
    assert "target größe: regression" in answer.out


@pytest.mark.parametrize(
    ("values", "found", "metrics"),
    [
        (np.linspace(0, 1, 60), "regression", ["RMSE", "MAE", "R²", "median absolute error"]),
        (range(60), "regression", ["RMSE", "MAE", "R²", "median absolute error"]),
        ([0, 1] * 30, "binary, 2 classes", ["accuracy", "balanced accuracy", "log loss", "F1", "ROC AUC"]),
        (["no", "yes"] * 30, "binary, 2 classes", ["accuracy", "balanced accuracy", "log loss", "F1", "ROC AUC"]),
        ([True, False] * 30, "binary, 2 classes", ["accuracy", "balanced accuracy", "log loss", "F1", "ROC AUC"]),
        ([1, 2, 3] * 20, "categorical, 3 classes", ["accuracy", "balanced accuracy", "log loss", "F1"]),
        (list("abcd") * 15, "categorical, 4 classes", ["accuracy", "balanced accuracy", "log loss", "F1"]),
    ],
)
def test_the_task_is_found_from_the_column(trained, tmp_path, line, values, found, metrics):
    line.with_columns(y=pl.Series(list(values))).write_parquet(tmp_path / "t.parquet")
    answer = trained(tmp_path / "t.parquet", "--target", "y", "--layers", 0, "--epochs", 1, "-o", tmp_path / "run")
    assert f"target y: {found}; 36 training, 12 validation, 12 test rows; 1 input\n" in answer.out
    assert list(answer.scores) == metrics
    assert "On 12 held-out rows" in answer.out


def test_a_task_may_be_named(trained, tmp_path, line):
    line.with_columns(y=pl.Series([1, 2, 3] * 20)).write_csv(tmp_path / "t.csv")
    answer = trained(
        tmp_path / "t.csv", "--target", "y", "--task", "regression", "--epochs", 1, "--layers", 0, "-o", tmp_path / "r"
    )
    assert "target y: regression" in answer.out


def test_what_was_done_with_columns_and_rows_is_told(trained, tmp_path, line):
    line.with_columns(
        empty=None,
        country=pl.lit(":x: [red]"),  # a console of colours must not read this its own way
        name=pl.Series([f"name {i}" for i in range(60)]),
        y=pl.when(pl.int_range(60) < 3).then(None).otherwise("y"),
    ).write_csv(tmp_path / "t.csv")
    out = trained(tmp_path / "t.csv", "--target", "y", "--layers", 0, "--epochs", 1, "-o", tmp_path / "run").out
    for told in (
        "left out 3 of 60 rows: their target 'y' is missing",
        "left out 'empty': it is missing in all training rows",
        "left out 'country': it has the same value, ':x: [red]', in all training rows",
        "left out 'name': 35 different texts in 35 rows are identifiers or free text",
    ):
        assert f"  · {told}\n" in out


# the metrics, against scikit-learn on the same rows


def held_out_and_training(table, target, classes):
    codes = np.unique(table[target], return_inverse=True)[1] if classes else None
    parts = split(table.height, 0.2, 0.2, 0, stratify=codes)
    return parts.test, parts.train


def test_the_scores_of_regression_are_those_of_scikit_learn(trained, chainrule, tmp_path, diabetes):
    diabetes.write_csv(tmp_path / "t.csv")
    words = ["--layers", "4", "--epochs", 3, "-o", tmp_path / "run"]
    printed = trained(tmp_path / "t.csv", "--target", "progress", *words).scores
    test, train = held_out_and_training(diabetes, "progress", False)
    x, y = diabetes.drop("progress").to_numpy(), diabetes["progress"].to_numpy()
    predicted = np.array(chainrule("predict", tmp_path / "run", tmp_path / "t.csv").out.split()[1:], float)
    models = predicted[test], LinearRegression().fit(x[train], y[train]).predict(x[test])
    for name, metric in (("RMSE", root_mean_squared_error), ("MAE", mean_absolute_error), ("R²", r2_score)):
        assert printed[name] == pytest.approx([metric(y[test], model) for model in models], rel=1e-3)


def test_the_scores_of_classes_are_those_of_scikit_learn(trained, chainrule, tmp_path, iris):
    iris.write_csv(tmp_path / "t.csv")
    words = ["--layers", "4", "--epochs", 3, "-o", tmp_path / "run"]
    printed = trained(tmp_path / "t.csv", "--target", "species", *words).scores
    test, train = held_out_and_training(iris, "species", True)
    x, y = iris.drop("species").to_numpy(), iris["species"].to_numpy()
    chainrule("predict", tmp_path / "run", tmp_path / "t.csv", "-o", tmp_path / "p.parquet")
    predicted = pl.read_parquet(tmp_path / "p.parquet").to_numpy()[test]
    scaler = StandardScaler().fit(x[train])
    linear = LogisticRegression(max_iter=1000).fit(scaler.transform(x[train]), y[train])
    decided = predicted[:, 0], linear.predict(scaler.transform(x[test]))
    assert printed["accuracy"] == pytest.approx([accuracy_score(y[test], d) for d in decided], abs=1e-4)
    p = predicted[:, 1:].astype(float), linear.predict_proba(scaler.transform(x[test]))
    assert printed["log loss"] == pytest.approx([log_loss(y[test], q) for q in p], abs=1e-3)


# the options


@pytest.fixture(scope="module")
def optioned(tmp_path_factory, trained, iris):
    """A training with every option, none at its default."""
    folder = tmp_path_factory.mktemp("options")
    iris.write_csv(folder / "iris.csv")
    iris.gather_every(10).write_parquet(folder / "own.parquet")
    answer = trained(
        *(folder / "iris.csv", "--target", "species", "--layers", "5, 3", "--activation", "relu, tanh"),
        *("--loss", "squared_error", "--optimizer", "rmsprop", "--learning-rate", 0.02, "--epochs", 3),
        *("--batch-size", 7, "--patience", 2, "--seed", 5, "--validation", folder / "own.parquet"),
        *("--task", "categorical", "--formulas", "--out", folder / "deep" / "run"),
    )
    return folder / "deep" / "run", answer


def test_layers(optioned):
    shapes = {name: w.shape for name, w in load_file(optioned[0] / "weights.safetensors").items() if name[0] == "W"}
    assert shapes == {"W1": (4, 5), "W2": (5, 3), "W3": (3, 3)}


@pytest.mark.parametrize(
    ("option", "formula"),
    [
        ("activation", r"A1 += ReLU\(Z1\)"),
        ("activation", r"A2 += tanh\(Z2\)"),
        ("loss", r"J += .* Σ \(softmax\(Z3\) − Y\)²|J += .* Σ \((A3|ŷ) − Y\)²"),
        ("optimizer", r"Update \(RMSprop\)"),
        ("learning rate", r"α = 0\.02,"),
    ],
)
def test_formulas_that_an_option_changes(optioned, option, formula):
    assert re.search(formula, optioned[1].out), option


def test_epochs_batch_size_seed_and_validation_file(optioned):
    folder, answer = optioned
    settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))["settings"]
    assert history(folder)["epoch"].to_list() == [1, 2, 3]
    assert "trained for 3 epochs" in answer.out
    assert settings["batch_size"] == 7
    assert settings["seed"] == 5
    assert "120 training, 15 validation, 30 test rows" in answer.out


def test_the_progress_has_loss_and_validation_loss(optioned):
    last = history(optioned[0]).row(-1, named=True)
    assert f"epoch 3/3  loss {last['loss']:.4g}  " in optioned[1].err
    assert f"  validation loss {last['validation_loss']:.4g}" in optioned[1].err


@pytest.mark.parametrize(
    ("batch", "size"), [(0, 36), (100, 36), (5, 5)], ids=["all at once", "more than there are", "some"]
)
def test_batch_sizes(trained, tmp_path, line, batch, size):
    line.write_csv(tmp_path / "t.csv")
    words = ["--layers", "0", "--epochs", 1, "--batch-size", batch, "-o", tmp_path / "run"]
    trained(tmp_path / "t.csv", "--target", "y", *words)
    assert cr.load(tmp_path / "run").settings["batch_size"] == size


def test_the_same_seed_gives_the_same_run_and_another_another(trained, tmp_path, line):
    line.write_csv(tmp_path / "t.csv")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        words = ["--layers", "3", "--epochs", 4, "--seed", seed, "-o", tmp_path / name]
        trained(tmp_path / "t.csv", "--target", "y", *words)
    assert same_bits(tmp_path / "a", tmp_path / "b")
    assert not same_bits(tmp_path / "a", tmp_path / "c")


def test_early_stopping_waits_for_its_patience(trained, tmp_path, line):
    noise = np.random.default_rng(2).normal(size=60)
    line.with_columns(y=noise).write_csv(tmp_path / "t.csv")
    words = ["--layers", "8", "--learning-rate", "0.1", "--patience", 4, "-o", tmp_path / "run"]
    answer = trained(tmp_path / "t.csv", "--target", "y", *words)
    losses = history(tmp_path / "run")["validation_loss"].to_numpy()
    best = int(losses.argmin()) + 1
    assert len(losses) == best + 4 < 300
    assert f"stopped after epoch {best + 4}: validation loss was best in epoch {best}," in answer.out


def test_the_learning_rate_can_be_found(trained, tmp_path, line):
    line.write_csv(tmp_path / "t.csv")
    words = ["--layers", "8", "--learning-rate", "auto", "--epochs", 5, "-o", tmp_path / "run"]
    answer = trained(tmp_path / "t.csv", "--target", "y", *words)
    rate = cr.load(tmp_path / "run").step.optimizer.learning_rate
    assert f"learning rate {rate:.2g} for Adam: the loss is smallest at" in " ".join(answer.out.split())


def test_the_folder_has_the_name_of_the_file_and_a_number_behind_it(trained, tmp_path, line, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line.write_csv("my flats.csv")
    for folder in ("runs/my flats", "runs/my flats-2"):
        answer = trained("my flats.csv", "--target", "y", "--layers", 0, "--epochs", 1)
        assert f"saved in {folder}\nnext: chainrule predict '{folder}' NEW.csv" in answer.out
        assert (tmp_path / folder / "model.json").exists()


# losses


@pytest.mark.parametrize("labels", [["a", "b"] * 30, ["a", "b", "c"] * 20], ids=["two", "three"])
def test_the_divergence_from_a_certain_label_is_cross_entropy(trained, tmp_path, line, labels):
    line.with_columns(y=pl.Series(labels)).write_csv(tmp_path / "t.csv")
    for loss in ("kl_divergence", "categorical_cross_entropy"):
        words = ["--layers", 2, "--epochs", 3, "--loss", loss, "-o", tmp_path / loss]
        trained(tmp_path / "t.csv", "--target", "y", *words)
    ours, theirs = (history(tmp_path / loss) for loss in ("kl_divergence", "categorical_cross_entropy"))
    for column in ("loss", "validation_loss"):
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-5)


@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
def test_losses_of_numbers_tell_classes_apart(trained, tmp_path, line, loss):
    line.with_columns(y=pl.Series(np.digitize(line["x"], [-0.5, 0.5])).cast(pl.String)).write_csv(tmp_path / "t.csv")
    words = ["--layers", 0, "--epochs", 60, "--learning-rate", 0.1, "--loss", loss, "-o", tmp_path / "run"]
    assert trained(tmp_path / "t.csv", "--target", "y", *words).scores["accuracy"][0] > 0.7


def test_poisson_learns_counts_and_predicts_none_below_zero(trained, chainrule, tmp_path):
    x = np.linspace(-3, 3, 200)
    pl.DataFrame({"x": x, "calls": np.round(6 * np.logaddexp(0, 2 * x)).astype(int)}).write_csv(tmp_path / "t.csv")
    words = ["--layers", 0, "--loss", "poisson", "--epochs", 200, "--learning-rate", 0.05, "-o", tmp_path / "run"]
    assert trained(tmp_path / "t.csv", "--target", "calls", *words).scores["R²"][0] > 0.98
    predicted = np.array(chainrule("predict", tmp_path / "run", tmp_path / "t.csv").out.split()[1:], float)
    assert (predicted > 0).all()
