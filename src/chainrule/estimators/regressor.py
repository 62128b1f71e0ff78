"""A network that predicts numbers, as a scikit-learn regressor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from chainrule.estimators.base import NeuralEstimator
from chainrule.estimators.features import Scaler, learn_scale
from chainrule.nn import LOSSES, Dense, Loss, Model

Array = np.ndarray[Any, Any]


class NeuralRegressor(RegressorMixin, NeuralEstimator):  # type: ignore[misc]
    """A network that predicts one number, or several, for every example.

    The settings are those of :class:`NeuralClassifier`, but for ``class_weight``, and:

    Args:
        loss: squared error by default; ``"absolute_error"``, ``"huber"``, ``"quantile"``, ``"poisson"`` for counts, a
            function ``(y_hat, y) → node`` …
        standardize: the numbers to predict are brought to mean 0 and deviation 1 as well, where the loss takes any
            number and the network's output is linear: loss and metrics of the history are then in units of that
            deviation, huber's δ too. With a loss of your own they stay as they are. Where they stay, the bias of the
            output starts at their mean, but for a loss of your own, of which the link is not known.

    Attributes:
        target_scaler_: mean and deviation of what is predicted; the others as in :class:`NeuralClassifier`.

    Differs from ``MLPRegressor``: columns and targets are standardised, weights are decayed, any loss, network and
    optimizer.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> bool(NeuralRegressor(random_state=0).fit(X, y).score(X, y) > 0.5)
    True
    """

    _numeric = True

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        validation_data: Any = None,
    ) -> Self:
        """Train the network; as :meth:`NeuralClassifier.fit`, with numbers y (m,) or (m, targets)."""
        return self._fit(X, y, sample_weight, self._held_out_pair(X_val, y_val, validation_data))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch on these examples, going on from where training stands.

        Mean and deviation of columns and targets take in the new examples.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> Array:
        """The predicted numbers, (m,) or (m, targets), float64."""
        found = self._outputs(X).astype(np.float64)
        if hasattr(self, "target_scaler_"):
            found = self.target_scaler_.inverse_transform(found)
        return found[:, 0] if self._flat else found

    # --- what the base asks ---------------------------------------------------------------------------------

    def _learn_targets(self, y: Array, again: bool, classes: Any = None) -> None:
        self._flat = y.ndim == 1
        self._targets = 1 if self._flat else y.shape[1]

    def _learn_scales(
        self, X: Any, y: Array, weights: Array | None, loss: Loss, model: Model, more: bool = False
    ) -> None:
        super()._learn_scales(X, y, weights, loss, model, more)
        known = self.__dict__.pop("target_scaler_", None)
        low, high = getattr(model.output.op.facts, "range", (-np.inf, np.inf))
        if self.standardize and loss.labels == "number" and np.isinf(low) and np.isinf(high):
            self.target_scaler_: Scaler = learn_scale(y, weights, known if more else None)

    def _default_loss(self, model: Model | None) -> Loss:
        if model is None:
            return LOSSES["squared_error"]
        from chainrule.train.trainer import default_loss

        return default_loss(model)

    def _head(self, loss: Loss) -> Dense:
        return Dense(self._targets, "softplus" if loss.labels == "count" and not loss.logits else "linear")

    def _first_bias(self, y: Array, weights: Array | None, loss: Loss) -> Array | None:
        """The mean of targets that are not standardised, through the link of the loss.

        From 0 it would take a learning rate of 0.001 longer to get there than to learn the rest. Of a loss of the
        user's own the link is not known.
        """
        if hasattr(self, "target_scaler_") or loss.labels not in ("number", "count"):
            return None
        mean = np.average(y.reshape(len(y), -1), axis=0, weights=weights)
        if loss.labels == "number":
            return np.asarray(mean)
        mean = np.maximum(mean, 0.5 / len(y))  # where nothing was counted
        return np.asarray(np.log(mean) if loss.logits else mean + np.log(-np.expm1(-mean)))

    def _labels(self, y: Array, loss: Loss, model: Model) -> Array:
        numbers = y.reshape(len(y), -1).astype(np.float64)
        return np.asarray(self.target_scaler_.transform(numbers)) if hasattr(self, "target_scaler_") else numbers
