"""Metrics against their formulas, and the linear baseline against least squares."""

import numpy as np
import pytest

from chainrule.data import ames, baseline, prepare, report
from chainrule.errors import ShapeError


def test_regression_against_the_formulas():
    rng = np.random.default_rng(0)
    y, y_hat = rng.normal(size=50), rng.normal(size=(50, 1))
    e = y - y_hat[:, 0]
    assert report("regression", y, y_hat) == pytest.approx(
        {
            "RMSE": np.sqrt(np.mean(e**2)),
            "MAE": np.mean(np.abs(e)),
            "R²": 1 - np.sum(e**2) / np.sum((y - y.mean()) ** 2),
            "median absolute error": np.median(np.abs(e)),
        }
    )


def test_two_classes_against_the_formulas():
    rng = np.random.default_rng(1)
    y, p = rng.integers(0, 2, 200), rng.uniform(0.01, 0.99, size=(200, 1))
    p1 = p[:, 0]
    decided = p1 > 0.5
    recall = [np.mean(~decided[y == 0]), np.mean(decided[y == 1])]
    precision = [np.mean(y[~decided] == 0), np.mean(y[decided] == 1)]
    pairs = p1[y == 1][:, None] - p1[y == 0][None, :]
    expected = {
        "accuracy": np.mean(decided == y),
        "balanced accuracy": np.mean(recall),
        "log loss": -np.mean(np.where(y == 1, np.log(p1), np.log(1 - p1))),
        "F1": np.mean([2 * r * q / (r + q) for r, q in zip(recall, precision, strict=True)]),
        "ROC AUC": np.mean(pairs > 0),
    }
    assert report("binary", y, p, ["no", "yes"]) == pytest.approx(expected)
    assert report("binary", y, p1) == pytest.approx(expected)
    assert report("binary", y, np.c_[1 - p, p].astype(np.float32)) == pytest.approx(expected, rel=1e-5)


def test_many_classes_of_which_some_do_not_occur():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    result = report("categorical", [0, 1, 0], p, ["a", "b", "c"])
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["balanced accuracy"] == pytest.approx(1 / 2)
    assert result["log loss"] == pytest.approx(-np.log([0.7, 0.2, 0.5]).mean())
    assert "ROC AUC" not in result


def test_metrics_that_the_rows_do_not_define_are_left_out():
    assert "R²" not in report("regression", [1.0], [2.0])
    assert "R²" not in report("regression", [1.0, 1.0], [2.0, 1.0])
    assert "ROC AUC" not in report("binary", [1, 1], [0.3, 0.9])


def test_certain_and_wrong_is_finite():
    assert np.isfinite(report("binary", [0, 1], [1.0, 0.0])["log loss"])


@pytest.mark.parametrize(
    ("task", "y", "predicted"),
    [
        ("regression", [1.0, 2.0], [1.0]),
        ("regression", [1.0, 2.0], np.ones((2, 2))),
        ("categorical", [0, 1], np.ones((2, 4))),
        ("categorical", [0, 1], np.ones((3, 3)) / 3),
        ("binary", [[0, 1]], [0.5, 0.5]),
    ],
)
def test_shapes_that_do_not_fit(task, y, predicted):
    with pytest.raises(ShapeError, match="expected:"):
        report(task, y, predicted, ["a", "b", "c"] if task == "categorical" else ())


def test_the_baseline_of_regression_is_least_squares():
    rng = np.random.default_rng(2)
    x, new = rng.normal(size=(300, 5)), rng.normal(size=(7, 5))
    y = x @ rng.normal(size=(5, 1)) + 3 + 0.1 * rng.normal(size=(300, 1))
    solution = np.linalg.lstsq(np.c_[x, np.ones(300)], y, rcond=None)[0]
    at_new, at_x = baseline("regression", x, y, new, x)
    np.testing.assert_allclose(at_new, np.c_[new, np.ones(7)] @ solution, atol=1e-4)
    assert at_x.shape == (300, 1)


def test_the_baseline_of_classes_is_logistic_regression_at_its_optimum():
    from sklearn.datasets import load_iris
    from sklearn.preprocessing import scale

    x, y = load_iris(return_X_y=True)
    x = scale(x)
    (p,) = baseline("categorical", x, y, x, classes=3)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    # At the optimum the gradient of the intercepts is zero: mean probability = share of each class.
    np.testing.assert_allclose(p.mean(axis=0), [1 / 3] * 3, atol=1e-3)
    assert report("categorical", y, p)["accuracy"] > 0.95


def test_classes_that_are_not_in_the_training_rows():
    (p,) = baseline("categorical", [[0.0], [1.0], [2.0], [3.0]], [0, 0, 2, 2], [[0.0], [3.0]], classes=4)
    assert p.shape == (2, 4)
    assert p[:, [1, 3]].tolist() == [[0, 0], [0, 0]]
    (p,) = baseline("binary", [[0.0], [1.0]], [1, 1], [[5.0]], classes=2)
    assert p.tolist() == [[0, 1]]


def test_the_baseline_of_the_houses():
    data = prepare(ames(), "Sale_Price")
    (predicted,) = baseline(data.task, data.X_train, data.y_train, data.X_test)
    metrics = report(data.task, data.target.decode(data.y_test), data.target.decode(predicted))
    assert 0.7 < metrics["R²"] < 0.95
