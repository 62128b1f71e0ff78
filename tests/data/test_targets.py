"""Targets there and back."""

import json

import numpy as np
import polars as pl
import pytest

from chainrule.data import LabelCodes, TargetScaler
from chainrule.data.targets import target_from_json
from chainrule.errors import DataError, RunError


def there_and_back(target):
    return target_from_json(json.loads(json.dumps(target.to_json())))


def test_numbers_are_standardised_and_restored():
    values = np.random.default_rng(0).lognormal(12, 0.4, size=1000)
    scaler = there_and_back(TargetScaler.fit(pl.Series("price", values)))
    y = scaler.encode(pl.Series("price", values))
    assert (y.shape, y.dtype) == ((1000, 1), np.float32)
    np.testing.assert_allclose(y[:, 0], (values - values.mean()) / values.std(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scaler.decode(y), values, rtol=1e-6)


def test_only_the_named_rows_are_learned_from():
    column = pl.Series("price", [1.0, 3.0, None, 100.0])
    scaler = TargetScaler.fit(column, np.array([0, 1]))
    assert (scaler.mean, scaler.scale) == (2.0, 1.0)
    assert scaler.encode(column, np.array([3])).tolist() == [[98.0]]
    with pytest.raises(DataError, match="missing in row 3"):
        scaler.encode(column, np.array([1, 2]))


@pytest.mark.parametrize(
    ("values", "says"),
    [([1.0, float("inf")], "infinity in row 2"), (["1", "x"], "'x' in row 2"), ([1.0, None], "row 2")],
)
def test_numbers_that_are_none(values, says):
    with pytest.raises(DataError, match=says):
        TargetScaler("y", 0.0, 1.0).encode(pl.Series("y", values))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["dog", "cat", "dog"], ["cat", "dog"]),
        (["yes", "no"], ["no", "yes"]),
        ([3, 1, 2, 1], [1, 2, 3]),
        ([1.0, 0.0], [0, 1]),
        ([True, False], [False, True]),
    ],
)
def test_labels_keep_their_type(labels, classes):
    codes = there_and_back(LabelCodes.fit(pl.Series("y", labels)))
    assert list(codes.classes) == classes
    encoded = codes.encode(pl.Series("y", labels))
    assert (encoded.dtype, encoded.shape) == (np.int64, (len(labels),))
    assert encoded.tolist() == [classes.index(label) for label in labels]
    decoded = codes.decode(encoded)
    assert decoded.to_list() == labels
    assert type(decoded[0]) is type(classes[0])


def test_labels_of_another_type_that_mean_the_same():
    assert LabelCodes.fit(pl.Series("y", ["1", "2", "x"])).encode(pl.Series("y", [2, 1])).tolist() == [1, 0]
    assert LabelCodes.fit(pl.Series("y", [0, 1])).encode(pl.Series("y", ["1", "0"])).tolist() == [1, 0]
    assert LabelCodes.fit(pl.Series("y", [0, 1])).encode(pl.Series("y", [1.0])).tolist() == [1]
    assert LabelCodes.fit(pl.Series("y", [True, False])).encode(pl.Series("y", ["TRUE"])).tolist() == [1]


@pytest.mark.parametrize(
    ("known", "values", "given"),
    [
        (["setosa", "virginica"], ["setosa", "virginca"], "'virginca'"),
        ([0, 1], [1.0, 1.5], "1.5"),
        ([0, 1], [0, 7], "7"),
        ([True, False], ["true", "maybe"], "'maybe'"),
    ],
)
def test_an_unseen_class_is_named_with_the_known_ones(known, values, given):
    codes = LabelCodes.fit(pl.Series("y", known))
    with pytest.raises(DataError) as caught:
        codes.encode(pl.Series("y", values))
    message = str(caught.value)
    assert f"the class {given} of 'y' was never seen" in message
    assert "row 2" in message
    assert all(str(label) in message for label in known)


def test_the_row_of_an_unseen_class_is_that_of_the_whole_table():
    codes = LabelCodes.fit(pl.Series("y", ["a", "b"]))
    with pytest.raises(DataError, match="'c' in row 4"):
        codes.encode(pl.Series("y", ["a", None, "b", "c"]), np.array([0, 2, 3]))


@pytest.mark.parametrize(
    "content", [{}, {"kind": "number", "name": "y"}, {"kind": "class", "dtype": "Date"}, {"kind": 3}]
)
def test_unknown_descriptions(content):
    with pytest.raises(RunError):
        target_from_json(content)
