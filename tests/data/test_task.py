"""Finding the task, and refusing targets that nobody can learn."""

from datetime import date

import polars as pl
import pytest

from chainrule.data import ames, infer_task
from chainrule.data.task import resolve_task
from chainrule.errors import ConfigurationError, DataError


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([1.5, 2.0, 3.0], "regression"),
        ([0.5, 1.5, 0.5, 1.5], "regression"),
        ([0, 1, 1, 0], "binary"),
        ([0.0, 1.0, 1.0, 0.0, None], "binary"),
        ([True, False, True], "binary"),
        (["a", "b", "a", None], "binary"),
        (["a", "b"], "binary"),
        (["a", "b", "c", "a"], "categorical"),
        ([1, 2, 3, 1, 2, 3], "categorical"),
        ([1, 2, 3, 1, 2, 4], "regression"),  # 3 and 4 occur once
        (list(range(20)) * 2, "categorical"),
        (list(range(21)) * 2, "regression"),
    ],
)
def test_the_rules(values, task):
    assert infer_task(pl.Series("y", values)) == task


def test_real_targets():
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

    assert infer_task(ames()["Sale_Price"]) == "regression"
    assert infer_task(ames()["Neighborhood"]) == "categorical"
    assert infer_task(ames()["Central_Air"]) == "binary"
    assert infer_task(pl.Series("y", load_iris().target)) == "categorical"
    assert infer_task(pl.Series("y", load_wine().target)) == "categorical"
    assert infer_task(pl.Series("y", load_breast_cancer().target)) == "binary"
    assert infer_task(pl.Series("y", load_diabetes().target)) == "regression"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([3, 3, None, 3], "single value, 3"),
        (["x"] * 4, "single value, 'x'"),
        ([None, None], "missing in all rows"),
        ([1.0, 2.0, float("-inf")], "row 3 (line 4"),
        ([f"id{i}" for i in range(50)], "identifier or free text"),
        (["a", "b", "c"], "identifier or free text"),
        ([date(2020, 1, 1), date(2020, 1, 2)], "dates or times"),
        (["24.12.2020", "25.12.2020"], "dates or times"),
        ([[1], [2]], "neither number nor class"),
    ],
)
def test_targets_that_cannot_be_learned(values, says):
    with pytest.raises(DataError) as caught:
        infer_task(pl.Series("y", values))
    assert says in str(caught.value)
    assert "'y'" in str(caught.value)


def test_numbers_with_a_few_texts_are_told_where_the_first_text_stands():
    values = [str(i) for i in range(30)] + ["unknown", "?!"]
    with pytest.raises(DataError, match=r"correct 'unknown' in row 31 \(line 32"):
        infer_task(pl.Series("y", values))


def test_a_named_task_is_checked():
    numbers, texts = pl.Series("y", [1, 2, 3, 1, 2, 3]), pl.Series("y", ["a", "b", "a"])
    assert resolve_task(numbers, None) == "categorical"
    assert resolve_task(numbers, "regression") == "regression"
    assert resolve_task(texts, "categorical") == "categorical"
    with pytest.raises(DataError, match="holds no numbers"):
        resolve_task(texts, "regression")
    with pytest.raises(DataError, match="3 different values"):
        resolve_task(numbers, "binary")
    with pytest.raises(ConfigurationError, match="did you mean 'regression'"):
        resolve_task(numbers, "regresion")
