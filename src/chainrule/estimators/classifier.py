"""A network that tells classes apart, as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import ConfigurationError, DataError
from chainrule.estimators.base import NeuralEstimator
from chainrule.estimators.targets import Classes, column_entropies, label_accuracy
from chainrule.nn import LOSSES, Dense, Loss, Model
from chainrule.train import Run

Array = np.ndarray[Any, Any]


def _gives_probabilities(estimator: Any) -> bool:
    if _takes_signs(estimator):
        raise AttributeError(f"{estimator.loss} gives margins, not probabilities: decision_function(X)")
    return True


def _gives_margins(estimator: Any) -> bool:
    if not _takes_signs(estimator):
        raise AttributeError("this loss gives probabilities, not margins: predict_proba(X)")
    return True


def _takes_signs(estimator: Any) -> bool:
    return estimator.loss is not None and estimator._chosen_loss().labels == "sign"


class NeuralClassifier(ClassifierMixin, NeuralEstimator):  # type: ignore[misc]
    """A network that tells classes apart: two, several, labels that may be together, or several columns of classes.

    Args:
        layers: units of the hidden layers, ``(100,)``; a number for one.
        activation: of the hidden layers: a name, any function from node to node, or one for each layer.
        dropout: the share of every hidden layer's outputs that is set to 0 in training.
        network: a network of your own instead of hidden layers: a :class:`chainrule.Sequential`, a ``Model``, a node
            or a function from node to node, the output layer included (softmax over the classes; or one sigmoid). It
            may take examples of any shape.
        loss: by name or as a function ``(y_hat, y) → node``; cross-entropy by default. With ``"hinge"`` there is
            :meth:`decision_function` instead of probabilities. Losses of numbers compare probabilities with one-hot
            rows.
        optimizer: by name or as an object, such as ``cr.AdamW(0.001)``.
        learning_rate: α, for an optimizer given by name; its own by default.
        weight_decay: λ, which adds λ w to the gradient of every weight, and leaves biases alone; by default 1/m, for m
            examples (weights summed up), as in scikit-learn's ``LogisticRegression``, and none in :meth:`partial_fit`,
            where m is not known. An optimizer that is an object has its own.
        epochs: how often every example is seen.
        batch_size: examples in a step; None for all; ``"auto"`` for 200, and for about 0.4 of the examples where they
            are less than 640, so that a small table makes enough steps; of less than 32 it is all of them.
        shuffle: a new order in every epoch.
        early_stopping: True, a patience in epochs, or an :class:`chainrule.EarlyStopping` that watches any column of
            the history. Without validation examples a tenth of the examples is held out.
        validation_split: the share that is held out, in equal shares of the classes; validation is part of the
            history then, and without ``early_stopping`` changes nothing else.
        metrics: what the history reports beside the loss: names or functions ``(y_hat, y) → node``.
        scoring: scikit-learn's scorers, by name or as functions, of the validation examples after every epoch:
            columns ``validation_…`` of the history. Early stopping watches the first, unless it says otherwise.
        class_weight: a mapping from class to weight, or ``"balanced"``; for several columns a list of these.
        standardize: columns are brought to mean 0 and deviation 1 inside, as they were in training; by default all
            but whole numbers that a network looks up.
        warm_start: a second :meth:`fit` goes on from the parameters of the first; settings that make the network or its
            loss have to be as they were.
        callbacks: functions called after every epoch with the run so far; one that returns True ends training.
        progress: a live line while it trains; None for one in a terminal.
        dtype: ``"float32"``, ``"float64"``; ``"auto"`` is float64 where every step sees all examples, float32 beyond.
        device: ``"cpu"``, ``"gpu"``, ``"gpu:1"``; the first that there is by default.
        random_state: of initial parameters, held-out examples, order and dropout.

    Attributes:
        run_: the trained network, with all that a :class:`chainrule.Run` shows: formulas, trace, why. It takes
            standardised examples.
        history_: what every epoch reported; ``history_.figure()`` draws the learning curves.
        n_iter_: how many epochs were run.
        classes_: the classes in the order of their probabilities; a list of them for several columns.
        scaler_: mean and deviation of every column.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.

    Differs from ``MLPClassifier``: columns are standardised, weights are decayed, any loss, network and optimizer.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(NeuralClassifier(random_state=0).fit(X, y).score(X, y) > 0.95)
    True
    """

    classes_: Any

    def __init__(
        self,
        layers: Any = (100,),
        activation: Any = "relu",
        *,
        dropout: float = 0.0,
        network: Any = None,
        loss: Any = None,
        optimizer: Any = "adam",
        learning_rate: Any = None,
        weight_decay: float | None = None,
        epochs: int = 200,
        batch_size: int | str | None = "auto",
        shuffle: bool = True,
        early_stopping: Any = None,
        validation_split: float | None = None,
        metrics: Any = None,
        scoring: Any = None,
        class_weight: Any = None,
        standardize: bool | str = "auto",
        warm_start: bool = False,
        callbacks: Sequence[Callable[[Run], Any]] = (),
        progress: bool | None = False,
        dtype: str = "auto",
        device: str | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            layers,
            activation,
            dropout=dropout,
            network=network,
            loss=loss,
            optimizer=optimizer,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            epochs=epochs,
            batch_size=batch_size,
            shuffle=shuffle,
            early_stopping=early_stopping,
            validation_split=validation_split,
            metrics=metrics,
            scoring=scoring,
            standardize=standardize,
            warm_start=warm_start,
            callbacks=callbacks,
            progress=progress,
            dtype=dtype,
            device=device,
            random_state=random_state,
        )
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

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
        """Train the network.

        Args:
            X: (m, features), an array, a sparse matrix or a frame; for ``network`` any (m, …).
            y: classes (m,); 0 and 1 (m, labels); or classes (m, columns).
            sample_weight: (m,); a weight of 2 is as good as the example twice, one of 0 as leaving it out.
            X_val, y_val: examples to validate on after every epoch, which a ``Pipeline(…, transform_input=["X_val"])``
                transforms as it does X.
            validation_data: the same as one pair ``(X, y)``.
        """
        return self._fit(X, y, sample_weight, self._held_out_pair(X_val, y_val, validation_data))

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch on these examples, going on from where training stands.

        Args:
            X, y, sample_weight: as in :meth:`fit`. Mean and deviation of the columns take in the new examples.
            classes: all classes there will be, needed at the first call where y does not have all of them.
        """
        if hasattr(self, "run_") and classes is not None and not _same(classes, self.classes_):
            raise ConfigurationError("the classes are not those of the first call", given=str(classes)[:80])
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> Array:
        """The likeliest class of every example, (m,); for labels and columns (m, k)."""
        return self._classes.decide(self._outputs(X), self._loss.labels == "sign")

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """The probabilities of the classes, (m, classes); of the labels; a list of them for several columns."""
        return self._classes.probabilities(self._outputs(X))

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """Their logarithms."""
        found = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(p) for p in found] if isinstance(found, list) else np.log(found)

    @available_if(_gives_margins)  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Array:
        """The margins of hinge loss: positive for the second of two classes, else one for every class."""
        found = self._outputs(X)
        return found[:, 0] if self._classes.kind == "binary" and found.shape[1] == 1 else found

    # --- what the base asks ---------------------------------------------------------------------------------

    @property
    def _classes(self) -> Classes:
        check_is_fitted(self, "classes_")
        columns = tuple(self.classes_) if self._kind == "multioutput" else (self.classes_,)
        return Classes(self._kind, columns)

    @property
    def _loss(self) -> Loss:
        return self.run_.step.loss

    def _learn_targets(self, y: Array, again: bool, classes: Any = None) -> None:
        if again:
            try:
                self._classes.encode(y)
            except DataError as error:
                hint = "the first partial_fit is told all classes: classes=[…]; fit with warm_start=False begins anew"
                raise DataError(error.what, given=error.given, expected=error.expected, hint=hint) from None
            return
        found = Classes.of(y, classes)
        if classes is not None:
            found.encode(y)
        self._kind, self.classes_ = found.kind, found.public

    def _weights_by_class(self, y: Array) -> Array | None:
        if self.class_weight is None:
            return None
        weights = np.asarray(compute_sample_weight(self.class_weight, y), float)
        if not weights.min() >= 0:
            raise ConfigurationError(
                "class_weight is a weight for each class",
                given=f"class_weight={self.class_weight!r}",
                expected="numbers of at least 0",
                hint="class_weight='balanced' gives rare classes as much weight as frequent ones",
            )
        return weights

    def _strata(self, y: Array) -> Array | None:
        return y if y.ndim == 1 else None

    def _default_loss(self, model: Model | None) -> Loss:
        if self._kind == "multioutput":
            return column_entropies([len(c) for c in self.classes_])
        if model is None:
            return LOSSES["categorical_cross_entropy" if self._kind == "multiclass" else "binary_cross_entropy"]
        by_last = {"sigmoid": "binary_cross_entropy", "softmax": "categorical_cross_entropy"}
        last = model.output.op.name
        if last not in by_last:
            raise ConfigurationError(
                "the network does not end in probabilities",
                given="a last layer that is linear" if last == "add" else f"a last layer that ends in {last}",
                expected=f"Dense({self._classes.width(LOSSES[by_last['softmax']])}, 'softmax'), or 'sigmoid'",
                hint="or say what its outputs are: loss=functools.partial(cr.categorical_cross_entropy, "
                "from_logits=True)",
            )
        return LOSSES[by_last[last]]

    def _head(self, loss: Loss) -> Dense:
        width = self._classes.width(loss)
        if loss.logits or loss.labels == "sign" or self._kind == "multioutput":
            return Dense(width)
        one_by_one = width == 1 or self._kind == "multilabel" or loss.labels == "binary"
        return Dense(width, "sigmoid" if one_by_one else "softmax")

    def _labels(self, y: Array, loss: Loss, model: Model) -> Array:
        if self._kind == "multioutput" and loss.name != "cross_entropies":
            raise ConfigurationError(
                "several columns of classes have a loss of their own", given=f"loss={self.loss!r}", expected="loss=None"
            )
        width = model.output.shape[-1]
        return self._classes.fed(y, loss, width if isinstance(width, int) else 0)

    def _default_metrics(self, loss: Loss) -> Sequence[Any]:
        if self._kind == "multilabel":
            return () if loss.labels == "sign" else (label_accuracy,)
        return () if self._kind == "multioutput" or loss.labels == "sign" else ("accuracy",)


def _same(classes: Any, known: Any) -> bool:
    if isinstance(known, list):
        return len(classes) == len(known) and all(
            np.array_equal(np.unique(c), k) for c, k in zip(classes, known, strict=True)
        )
    return np.array_equal(np.unique(classes), known)
