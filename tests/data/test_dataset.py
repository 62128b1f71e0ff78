"""From a table to matrices, and back to labels."""

import json

import numpy as np
import pytest

from chainrule.data import Preprocessing, ames, baseline, prepare, read_table, report
from chainrule.errors import DataError, RunError


def test_the_houses():
    table = ames()
    assert table.shape == (2930, 74)
    assert table.null_count().sum_horizontal().item() == 0
    assert table["Sale_Price"].mean() == pytest.approx(180_796.06, abs=0.01)
    data = prepare(table, "Sale_Price", seed=1)
    assert data.task == "regression"
    assert [len(x) for x in (data.X_train, data.X_validation, data.X_test)] == [1758, 586, 586]
    assert data.X_train.dtype == data.y_train.dtype == np.float32
    assert data.y_train.shape == (1758, 1)
    assert data.y_train.mean() == pytest.approx(0, abs=1e-5)
    assert data.y_train.std() == pytest.approx(1, abs=1e-5)
    assert np.isfinite(data.X_train).all()
    prices = np.concatenate([data.target.decode(y) for y in (data.y_train, data.y_validation, data.y_test)])
    np.testing.assert_allclose(np.sort(prices), np.sort(table["Sale_Price"].to_numpy()), rtol=1e-5)
    assert "Sale_Price" not in data.encoder.features


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_toy_sets_of_scikit_learn(name):
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    table = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
    data = prepare({**table, "class": bunch.target_names[bunch.target]}, "class")
    assert data.task == "categorical"
    assert data.classes == tuple(bunch.target_names)
    assert data.y_train.dtype == np.int64
    assert data.y_train.ndim == 1
    assert data.encoder.features == list(bunch.feature_names)
    counts = [np.bincount(y) / len(y) for y in (data.y_train, data.y_validation, data.y_test)]
    np.testing.assert_allclose(counts[0], counts[2], atol=0.05)
    # the rows of a part are rows of the set, inputs and class together
    from sklearn.linear_model import LogisticRegression

    assert LogisticRegression(max_iter=500).fit(data.X_train, data.y_train).score(data.X_test, data.y_test) > 0.9


def test_the_same_seed_gives_the_same_arrays():
    a, b, c = (prepare(ames(), "Sale_Price", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.X_train, b.X_train)
    np.testing.assert_array_equal(a.y_test, b.y_test)
    assert (a.y_test != c.y_test).any()


def test_rows_without_a_target_are_left_out_and_counted():
    data = prepare({"x": range(10), "y": [None, 1.5, *range(8)]}, "y", validation=0, test=0)
    assert data.X_train.shape == (9, 1)
    assert data.notes == ("left out 1 of 10 rows: their target 'y' is missing",)
    assert data.training.tolist() == [*range(1, 10)]


def test_it_says_which_rows_are_trained_on():
    table = {"x": np.arange(20.0), "y": [None, *(np.arange(19) / 3)]}
    data = prepare(table, "y")
    np.testing.assert_allclose(data.target.decode(data.y_train), (data.training - 1) / 3, atol=1e-6)


def test_a_validation_table_of_ones_own():
    table = {"x": range(20), "y": np.arange(20) / 3}
    own = {"x": [100, 200, 300], "y": [1.0, None, 2.0]}
    data = prepare(table, "y", test=0.25, validation_table=own)
    assert [len(x) for x in (data.X_train, data.X_validation, data.X_test)] == [15, 2, 5]
    np.testing.assert_allclose(data.target.decode(data.y_validation), [1.0, 2.0], rtol=1e-6)
    assert data.X_validation.min() > data.X_train.max()
    assert "validation table: left out 1 of 3 rows: their target 'y' is missing" in data.notes


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"x": [1], "y": ["c"]}, "the class 'c' of 'y' was never seen"),
        ({"x": [1, 2, 3], "y": ["a", None, "c"]}, "'c' in row 3"),
        ({"x": [1]}, "no column 'y'"),
        ({"z": [1], "y": ["a"]}, "1 column is missing: 'x'"),
        ({"x": [1], "y": [None]}, "no row with a target"),
    ],
)
def test_validation_tables_that_do_not_fit(own, says):
    with pytest.raises(DataError) as caught:
        prepare({"x": range(10), "y": ["a", "b"] * 5}, "y", test=0, validation_table=own)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"x": [1, 2], "price": [1.5, 2.5]}, "did you mean 'price'"),
        ({"x": [1, 2], "prize": [None, None]}, "missing in all rows"),
        ({"x": range(9), "prize": [4] * 9}, "single value, 4"),
        ({"x": range(9), "prize": [1.5] * 8 + [float("inf")]}, "'prize' holds an infinity in row 9"),
        ({"x": [1.0] * 8 + [float("-inf")], "prize": np.arange(9) / 2}, "'x' holds an infinity in row 9"),
        ({"x": [1, 2], "prize": [1.5, 2.5]}, "too few to split"),
        ({"prize": np.arange(9) / 2}, "no column is left"),
        ({"x": [3] * 9, "prize": np.arange(9) / 2}, "the same value, 3"),
        ({"x": [], "prize": []}, "missing in all rows"),
    ],
)
def test_tables_that_cannot_be_learned_from(table, says):
    with pytest.raises(DataError) as caught:
        prepare(table, "prize")
    assert says in str(caught.value)


def test_a_class_of_one_row_is_split_without_regard_to_classes():
    data = prepare({"x": range(40), "y": ["a"] * 20 + ["b"] * 19 + ["c"]}, "y")
    assert data.classes == ("a", "b", "c")
    assert any("without regard to the classes" in note for note in data.notes)


def test_integers_as_numbers_if_the_user_says_so():
    table = {"x": range(12), "y": [1, 2, 3] * 4}
    assert prepare(table, "y").task == "categorical"
    assert prepare(table, "y", task="regression").y_train.shape[1] == 1


# predictions


def test_numbers_are_given_in_their_own_unit(tmp_path):
    data = prepare({"x": range(10), "y": np.arange(10) * 100.5}, "y", test=0)
    table = data.preprocessing.decide(data.y_validation)
    assert table.columns == ["y"]
    assert set(table["y"].round(3)) <= set((np.arange(10) * 100.5).round(3))


def test_classes_are_given_with_their_probabilities():
    data = prepare({"x": range(10), "y": ["no", "yes"] * 5}, "y")
    expected = {"y": ["no", "yes"], "P(y=no)": [0.75, 0.25], "P(y=yes)": [0.25, 0.75]}
    for outputs in ([[0.25], [0.75]], [0.25, 0.75], [[0.75, 0.25], [0.25, 0.75]]):
        assert data.preprocessing.decide(outputs).to_dict(as_series=False) == expected


@pytest.mark.parametrize("target", ["Sale_Price", "Central_Air", "Overall_Cond", "Bedroom_AbvGr"])
def test_saved_and_loaded_it_is_the_same(tmp_path, target):
    data = prepare(ames(), target)
    data.preprocessing.save(tmp_path)
    loaded = Preprocessing.load(tmp_path)
    assert (loaded.task, loaded.target, loaded.classes) == (data.task, data.target, data.classes)
    new = ames().head(20).drop(target)
    np.testing.assert_array_equal(loaded.encoder.transform(new), data.encoder.transform(new))


def test_a_damaged_target_file_is_named(tmp_path):
    data = prepare({"x": range(10), "y": ["no", "yes"] * 5}, "y")
    data.preprocessing.save(tmp_path)
    file = tmp_path / "target.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "task": "regression"}))
    with pytest.raises(RunError, match=r"target\.json"):
        Preprocessing.load(tmp_path)
    file.unlink()
    with pytest.raises(RunError, match=r"target\.json cannot be read"):
        Preprocessing.load(tmp_path)


def test_from_a_nasty_file_to_a_prediction(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["Größe;Verkauft am;Garten;Ort;Preis"]
    for i in range(200):
        size, garden = rng.uniform(30, 200), i % 2
        cells = [f"{size:.2f}", f"{i % 28 + 1:02d}/{i % 12 + 1:02d}/{2018 + i % 3}", ["nein", "ja"][garden]]
        cells += [["Köln", "Bonn", "NA"][i % 3], f"{1000 * size + 20_000 * garden:.2f}"]
        lines.append(";".join(cells).replace(".", ","))
    file = tmp_path / "häuser.csv"
    file.write_bytes("\r\n".join(lines).encode("cp1252"))
    data = prepare(read_table(file), "Preis")
    (predicted,) = baseline(data.task, data.X_train, data.y_train, data.X_test)
    assert report("regression", data.y_test, predicted)["R²"] > 0.999
    assert "Garten=ja" in data.encoder.features
    assert "Verkauft am month" in data.encoder.features
