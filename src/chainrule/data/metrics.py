"""How good predictions are, in the numbers of the field; and the plain linear model to compare with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.lazy import is_lazy
from chainrule.errors import ShapeError

Array = NDArray[np.float64]
MOST_NUMBERS = 1 << 25
"""Of examples that are read when they are needed the linear model holds so many numbers at once: 256 MB."""


def report(task: str, y_true: ArrayLike, predicted: ArrayLike, classes: Sequence[Any] = ()) -> dict[str, float]:
    """Metrics of m rows, by their names.

    | task | y_true | predicted | metrics |
    |---|---|---|---|
    | regression | values, (m,) or (m, 1) | values, (m,) or (m, 1) | RMSE, MAE, R², median absolute error |
    | binary | codes, (m,) | P(class 1), (m,) or (m, 1), or both, (m, 2) | the four below, ROC AUC |
    | categorical | codes, (m,) | probabilities, (m, k) | accuracy, balanced accuracy, log loss, F1 |

    `classes` are the k labels; without them k is taken from `predicted`. The F1 is the mean over the classes.
    A metric that these rows do not define is left out: R² of a single row or of equal values, ROC AUC of one
    class.

    >>> report("regression", [1.0, 2.0, 3.0], [1.0, 2.0, 5.0])
    {'RMSE': 1.1547005383792515, 'MAE': 0.6666666666666666, 'R²': -1.0, 'median absolute error': 0.0}
    >>> report("binary", [0, 1, 1], [0.2, 0.9, 0.4])["ROC AUC"]
    1.0
    """
    if task == "regression":
        return _regression(_flat(y_true, "y_true"), _flat(predicted, "predicted"))
    codes = _flat(y_true, "y_true").astype(np.int64)
    return _classification(codes, probabilities(predicted, len(classes) or None))


def probabilities(outputs: ArrayLike, classes: int | None = None) -> Array:
    """Probabilities of all k classes, rows summing to 1, of outputs (m,), (m, 1) (both P(class 1)) or (m, k).

    >>> probabilities([0.25, 1.0]).tolist()
    [[0.75, 0.25], [0.0, 1.0]]
    """
    p = np.asarray(outputs, dtype=np.float64)
    if p.ndim == 1 or (p.ndim == 2 and p.shape[1] == 1):
        p = p.reshape(-1, 1)
        p = np.concatenate([1 - p, p], axis=1)
    if p.ndim != 2 or (classes is not None and p.shape[1] != classes):
        raise ShapeError(
            "these are not the probabilities of the classes",
            given=f"shape {np.asarray(outputs).shape}",
            expected=f"(m, {classes if classes is not None else 'k'})" + (", (m, 1) or (m,)" if classes == 2 else ""),
        )
    total = p.sum(axis=1, keepdims=True)
    return np.asarray(p / np.where(total > 0, total, 1.0))


def baseline(task: str, x: Any, y: ArrayLike, *others: Any, classes: int | None = None) -> tuple[Array, ...]:
    """Predictions of the plain linear model, fitted on rows `x` (m, d) and `y`, for each matrix in `others`.

    Examples may have any shape (m, ...). Of those that are read when they are needed, the model learns from as many as
    fit into memory (:func:`rows_to_learn_from`), and is asked block by block.

    Regression: least squares (with a ridge of 1e-3, which makes it unique where one-hot columns depend on
    each other); `y` is (m,) or (m, 1), predictions are (n, 1). Classes: logistic regression with
    scikit-learn's default penalty; `y` holds codes (m,), predictions are probabilities (n, k).

    >>> x = [[0.0], [1.0], [2.0]]
    >>> baseline("regression", x, [[1.0], [3.0], [5.0]], [[3.0]])[0].round(2).tolist()
    [[7.0]]
    """
    some = rows_to_learn_from(x)
    rows, y = _as_rows(x if some is None else x[some]), _flat(y if some is None else np.asarray(y)[some], "y")
    if task == "regression":
        predict = _ridge(rows, y)
    else:
        codes = y.astype(np.int64)
        predict = _logistic(rows, codes, classes or int(codes.max()) + 1)
    return tuple(np.concatenate([predict(block) for block in _blocks(other)]) for other in others)


def rows_to_learn_from(x: Any) -> NDArray[np.int64] | None:
    """The rows, drawn at random, that the linear model learns from; None for all of them."""
    most = MOST_NUMBERS // max(1, math.prod(x.shape[1:])) if is_lazy(x) else len(x)
    return None if most >= len(x) else np.sort(np.random.default_rng(0).permutation(len(x))[: max(most, 1)])


def _as_rows(x: Any) -> Array:
    array = np.asarray(x, dtype=np.float64)
    return array if array.ndim == 2 else array.reshape(len(array), -1)


def _blocks(x: Any) -> Iterator[Array]:
    """Examples as rows, at once or block by block."""
    size = max(1, MOST_NUMBERS // max(1, math.prod(x.shape[1:]))) if is_lazy(x) else max(len(x), 1)
    return (_as_rows(x[first : first + size]) for first in range(0, max(len(x), 1), size))


def _regression(y: Array, y_hat: Array) -> dict[str, float]:
    from sklearn import metrics

    if y.shape != y_hat.shape:
        raise ShapeError(
            "predictions and true values differ in number",
            given=f"{len(y_hat)} predictions",
            expected=f"{len(y)}",
        )
    result = {
        "RMSE": metrics.root_mean_squared_error(y, y_hat),
        "MAE": metrics.mean_absolute_error(y, y_hat),
    }
    if len(y) > 1 and np.ptp(y) > 0:
        result["R²"] = metrics.r2_score(y, y_hat)
    result["median absolute error"] = metrics.median_absolute_error(y, y_hat)
    return {name: float(value) for name, value in result.items()}


def _classification(codes: NDArray[np.int64], p: Array) -> dict[str, float]:
    from sklearn import metrics

    if len(codes) != len(p):
        raise ShapeError(
            "predictions and true classes differ in number",
            given=f"{len(p)} predictions",
            expected=f"{len(codes)}",
        )
    decided = p.argmax(axis=1)
    present = np.unique(codes)
    result = {
        "accuracy": metrics.accuracy_score(codes, decided),
        "balanced accuracy": metrics.recall_score(codes, decided, labels=present, average="macro", zero_division=0),
        "log loss": metrics.log_loss(codes, p, labels=np.arange(p.shape[1])),
        "F1": metrics.f1_score(codes, decided, average="macro", zero_division=0),
    }
    if p.shape[1] == 2 and len(present) == 2:
        result["ROC AUC"] = metrics.roc_auc_score(codes, p[:, 1])
    return {name: float(value) for name, value in result.items()}


def _ridge(x: Array, y: Array) -> Callable[[Array], Array]:
    from scipy.linalg import LinAlgWarning
    from sklearn.linear_model import Ridge

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)  # columns that depend on each other: the ridge decides
        model = Ridge(alpha=1e-3).fit(x, y)
    return lambda other: np.asarray(model.predict(other)).reshape(-1, 1)


def _logistic(x: Array, codes: NDArray[np.int64], classes: int) -> Callable[[Array], Array]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(codes)
    if len(seen) == 1:
        return lambda other: np.tile(np.eye(classes)[seen], (len(other), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a nearly converged baseline is a baseline
        model = LogisticRegression(max_iter=1000).fit(x, codes)

    def predict(other: Array) -> Array:
        p = np.zeros((len(other), classes))
        p[:, seen] = model.predict_proba(other)
        return p

    return predict


def _flat(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(f"{name} is not one value per row", given=f"shape {array.shape}", expected="(m,) or (m, 1)")
    return array
