"""What the classifier and the regressor share: settings, checks of the input, training, and what is kept of it."""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from chainrule.errors import ConfigurationError, DataError
from chainrule.estimators.checks import check_settings
from chainrule.estimators.features import learn_scale, standardised
from chainrule.estimators.network import biases, hidden_and, own
from chainrule.estimators.scores import Scores, scorers
from chainrule.graph.node import Node
from chainrule.nn import Dense, Loss, Model
from chainrule.nn import loss as loss_by_name
from chainrule.nn.layer import positive
from chainrule.optimize import Optimizer
from chainrule.optimize import optimizer as optimizer_by_name
from chainrule.train import EarlyStopping, History, Run, Trainer, TrainingWarning, fit

if TYPE_CHECKING:  # with jax, which is loaded when it is first needed
    from chainrule.engine.xla.plan import Standing

Array = np.ndarray[Any, Any]
FEWEST_IN_A_BATCH, MOST_IN_A_BATCH = 16, 200
"""Between these lies a batch where ``batch_size`` is ``"auto"``; 200 is that of scikit-learn's own network."""
SHARE_IN_A_BATCH = 0.4
"""Of a small table so many rows are in a batch, about: all of them in one would make too few steps."""
ALL_ROWS = 1 << 40
MAKINGS = ("layers", "activation", "dropout", "network", "loss")
"""The settings that make the network and its loss, which stay where training goes on."""
HELD_OUT = 0.1
"""The share of the examples that is held out where early stopping needs some and nothing else is said."""


def automatic_batch(rows: int) -> int:
    """The batch of a table: the power of two below 0.4 of its rows, from 16 to 200; of less than 32 rows all.

    >>> [automatic_batch(rows) for rows in (31, 50, 112, 331, 640)]
    [31, 16, 32, 128, 200]
    """
    if rows < 2 * FEWEST_IN_A_BATCH:
        return rows
    below = 1 << int(SHARE_IN_A_BATCH * rows).bit_length() - 1
    return min(max(below, FEWEST_IN_A_BATCH), MOST_IN_A_BATCH)


def _as_it_is(value: Any) -> Any:
    """A setting that does not change with a list of the user's."""
    return tuple(value) if isinstance(value, (list, np.ndarray)) else value


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and bool(a == b))


class NeuralEstimator(BaseEstimator):  # type: ignore[misc]
    """A network as a scikit-learn estimator. Abstract; see :class:`NeuralClassifier`."""

    run_: Run
    _trainer: Trainer | None = None
    _standing: Standing | None = None

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
        standardize: bool | str = "auto",
        warm_start: bool = False,
        callbacks: Sequence[Callable[[Run], Any]] = (),
        progress: bool | None = False,
        dtype: str = "auto",
        device: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.layers = layers
        self.activation = activation
        self.dropout = dropout
        self.network = network
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_split = validation_split
        self.metrics = metrics
        self.scoring = scoring
        self.standardize = standardize
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.progress = progress
        self.dtype = dtype
        self.device = device
        self.random_state = random_state

    # --- what a kind of estimator says of itself ------------------------------------------------------------

    _numeric = False

    def _learn_targets(self, y: Array, again: bool, classes: Any = None) -> None:
        """Note what is predicted; ``again`` where training goes on."""
        raise NotImplementedError

    def _weights_by_class(self, y: Array) -> Array | None:
        """What ``class_weight`` says of every example."""
        return None

    def _strata(self, y: Array) -> Array | None:
        """What is held out in equal shares."""
        return None

    def _default_loss(self, model: Model | None) -> Loss:
        raise NotImplementedError

    def _head(self, loss: Loss) -> Dense:
        """The output layer for a loss."""
        raise NotImplementedError

    def _labels(self, y: Array, loss: Loss, model: Model) -> Array:
        """Labels as the loss takes them."""
        raise NotImplementedError

    def _first_bias(self, y: Array, weights: Array | None, loss: Loss) -> Array | None:
        """Where the bias of the estimator's own output layer starts; at 0 by default."""
        return None

    def _default_metrics(self, loss: Loss) -> Sequence[Any]:
        return ()

    # --- fitting --------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any] | None) -> Self:
        check_settings(vars(self))
        again = bool(self.warm_start) and hasattr(self, "run_")
        if again:
            self._check_made_alike()
        seed = self._seed()
        self._trainer = self._standing = None
        X, y, weights = self._checked(X, y, sample_weight, reset=not again)
        stopping, named = self._stopping()
        held = None if validation is None else self._checked_labelled(*validation, reset=False)
        self._learn_targets(y, again)
        share = 0.0 if held else self._share_held_out(stopping, named)
        if share:
            (X, y, weights), held = self._parted(X, y, weights, share, seed)
        loss, model = self._network(X.shape[1:], self.run_.model if again else None)
        if not again:
            self._made_with = self._makings()
            self._learn_scales(X, y, weights, loss, model)
        batch = self._batch_size(X.shape[0])
        whole = batch >= X.shape[0]
        dtype = self._precision(whole)
        scores = Scores(self, named, *held, stopping) if named and held else None
        # A whole weight is as good as the example so many times; weights that are scaled down are no fewer examples.
        count = len(y) if weights is None else max(len(y), weights.sum())
        with self._on_device():
            run = fit(
                self.run_ if again else model,
                *self._fed(X, y, loss, model, dtype),
                **self._settings(loss, model, weights, seed, dtype, count),
                batch_size=min(batch, X.shape[0]),
                start=None if again else self._start(y, weights, loss, model),
                shuffle=bool(self.shuffle) and not whole,  # all rows at once have no order
                validation_data=self._fed(*held, loss, model, dtype) if held else None,
                early_stopping=None if scores and scores.stopping else stopping,
                epochs=self.epochs,
                callbacks=[*self.callbacks, *([scores] if scores else [])],
                progress=self.progress,
            )
        self._keep(scores.finished(run) if scores else run)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        check_settings(vars(self))
        more = hasattr(self, "run_")
        if more:
            self._check_made_alike()
        else:
            self._made_with = self._makings()
        X, y, weights = self._checked(X, y, sample_weight, reset=not more)
        self._learn_targets(y, more, classes)
        loss, model = self._network(X.shape[1:], self.run_.model if more else None)
        self._learn_scales(X, y, weights, loss, model, more)
        dtype = self._precision(whole=False)
        fed = self._fed(X, y, loss, model, dtype)
        weights = np.ones(len(y)) if weights is None else weights
        with self._on_device():
            if self._trainer is not None:
                self._trainer.feed(*fed, weights)
            elif self._standing is not None:
                self._trainer = self._taken_up(*fed, weights)
            else:
                self._trainer = Trainer(
                    self.run_ if more else model,
                    *fed,
                    **self._settings(loss, model, weights, self._seed(), dtype, count=math.inf),
                    start=None if more else self._start(y, weights, loss, model),
                    batch_size=self._batch_size(ALL_ROWS),
                    shuffle=self.shuffle,
                )
            self._trainer.advance(1)
            self._keep(self._trainer.run())
        if self.history_.diverged:
            warnings.warn(self.history_.stopped, TrainingWarning, stacklevel=3)
        return self

    def _taken_up(self, X: Any, y: Array, weights: Array) -> Trainer:
        """The training that was under way when the estimator was pickled or copied, its optimizer's memory too."""
        trainer = Trainer(
            self.run_,
            X,
            y,
            as_before=True,
            start=self.run_,
            sample_weight=weights,
            batch_size=self._batch_size(ALL_ROWS),
            shuffle=self.shuffle,
            seed=self.run_.settings["seed"],
            dtype=self.run_.settings["dtype"],
            devices="auto" if self.device is None else 1,
        )
        trainer.epochs.stand_at(self._standing)
        trainer.history, self._standing = copy.copy(self.history_), None
        return trainer

    def _makings(self) -> dict[str, Any]:
        """The settings that make the network and its loss, as they are now."""
        return {name: _as_it_is(getattr(self, name)) for name in MAKINGS}

    def _check_made_alike(self) -> None:
        """Refuse to go on where a setting of another network or loss was made since: one cannot become the other."""
        now = self._makings()
        changed = [name for name in MAKINGS if not _same(now[name], self._made_with[name])]
        if changed:
            given, made = (", ".join(f"{n}={settings[n]!r}" for n in changed) for settings in (now, self._made_with))
            raise ConfigurationError(
                "training cannot go on with another network or loss than it was begun with",
                given=given,
                expected=f"{made}, with which the fitted network was made",
                hint="warm_start=False begins anew with fit; so does a new estimator: sklearn.base.clone(model)",
            )

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _batch_size(self, rows: int) -> int:
        """Rows in a step; more than there can be for all."""
        if self.batch_size == "auto":
            return automatic_batch(rows)
        return ALL_ROWS if self.batch_size is None else positive(self.batch_size, "batch_size")

    def _settings(
        self, loss: Loss, model: Model, weights: Array | None, seed: int, dtype: str, count: float
    ) -> dict[str, Any]:
        """What training is told in any case; ``count`` is the number of examples there are to learn from."""
        metrics = self._default_metrics(loss) if self.metrics is None else self.metrics
        return {
            "loss": loss,
            "optimizer": self._optimizer(count, model),
            "sample_weight": weights,
            "metrics": list(metrics) if isinstance(metrics, (list, tuple)) else [metrics],
            "seed": seed,
            "dtype": dtype,
            "devices": "auto" if self.device is None else 1,
        }

    def _keep(self, run: Run) -> None:
        """What is left of a training."""
        self.run_ = run
        self.history_: History = run.history
        self.n_iter_ = self.history_.epochs

    def _checked(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple[Any, Array, Array | None]:
        """Examples, labels and weights as arrays; what weighs nothing is left out."""
        X, y = self._checked_labelled(X, y, reset)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
            if weights.min() < 0:
                raise DataError("a sample weight is not negative", given=f"{weights.min():.6g}")
            if not weights.any():
                raise DataError("all sample weights are zero", expected="at least one positive weight")
            counts = weights > 0
            if not counts.all():
                X, y, weights = X[counts], y[counts], weights[counts]
        by_class = self._weights_by_class(y)
        if by_class is not None:
            weights = by_class if weights is None else weights * by_class
        return X, y, weights

    def _checked_labelled(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        """Examples and labels as arrays, one column of labels as a row."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=self._numeric, **self._accepted(), reset=reset)
        y = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _accepted(self) -> dict[str, Any]:
        """What kinds of examples are taken."""
        return {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "allow_nd": self.network is not None}

    def _held_out_pair(self, X_val: Any, y_val: Any, validation_data: Any) -> tuple[Any, Any] | None:
        """What was given to validate on, in one of two ways."""
        if validation_data is None:
            if (X_val is None) != (y_val is None):
                raise ConfigurationError(
                    "X_val and y_val belong together", given=f"no {'X_val' if X_val is None else 'y_val'}"
                )
            return None if X_val is None else (X_val, y_val)
        if X_val is not None or y_val is not None:
            raise ConfigurationError(
                "validation examples are given twice", expected="X_val and y_val, or validation_data"
            )
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
            raise ConfigurationError("validation_data is a pair (X, y)", given=type(validation_data).__name__)
        return validation_data[0], validation_data[1]

    def _share_held_out(self, stopping: EarlyStopping | None, named: Mapping[str, Any]) -> float:
        """What is held out where no validation examples are given: what was asked for, or what something watches."""
        if self.validation_split is not None:
            return self.validation_split
        return HELD_OUT if named or (stopping and stopping.monitor.startswith("validation_")) else 0.0

    def _parted(
        self, X: Any, y: Array, weights: Array | None, share: float, seed: int
    ) -> tuple[tuple[Any, Array, Array | None], tuple[Any, Array]]:
        """Training part and held-out part; of classes an equal share where every class has enough examples."""
        if not 0 < share < 1:
            raise ConfigurationError(
                "validation_split is a share of the examples", given=share, expected="0 ≤ share < 1"
            )
        rows, strata = np.arange(len(y)), self._strata(y)
        if strata is not None and np.unique(strata, return_counts=True)[1].min() < 2:
            strata = None
        try:
            kept, held = train_test_split(rows, test_size=share, random_state=seed, stratify=strata)
        except ValueError as error:
            if strata is None:
                raise DataError("too few examples to hold some out", given=f"{len(rows)}", hint=str(error)) from None
            kept, held = train_test_split(rows, test_size=share, random_state=seed)
        kept, held = np.sort(kept), np.sort(held)
        return (X[kept], y[kept], None if weights is None else weights[kept]), (X[held], y[held])

    def _stopping(self) -> tuple[EarlyStopping | None, dict[str, Any]]:
        """When to stop, and what is scored after every epoch, by its column of the history."""
        names = {f"validation_{k}": v for k, v in scorers(self, self.scoring).items()}
        given = self.early_stopping
        if given is None or given is False:
            return None, names
        if isinstance(given, EarlyStopping):
            if f"validation_{given.monitor}" in names:
                raise ConfigurationError(
                    "early stopping watches a column of the history, and scores are those of the validation examples",
                    given=f"monitor={given.monitor!r}",
                    expected=f"monitor='validation_{given.monitor}'",
                    hint="early_stopping with a patience alone watches the first of scoring",
                )
            return given, names
        monitor = next(iter(names), "validation_loss")
        return EarlyStopping(monitor=monitor) if given is True else EarlyStopping(given, monitor), names

    def _precision(self, whole: bool) -> str:
        """float32; float64 where every step sees all rows, which is small work and lasts equally long."""
        if self.dtype != "auto":
            return self.dtype
        return "float64" if whole and self.device in (None, "cpu") else "float32"

    def _optimizer(self, count: float, model: Model) -> Optimizer:
        """The optimizer, with the decay of weights that belongs to so many examples where nothing is said.

        λ = 1/m is what a normal prior of variance 1 on every weight comes to: J = 1/m (Σ L + ½ Σ w²), as in
        scikit-learn's ``LogisticRegression`` with its C = 1. Biases are left alone there and here: they would be
        drawn away from the rate of a rare class.
        """
        chosen = optimizer_by_name(self.optimizer, self.learning_rate)
        if self.weight_decay is None and isinstance(self.optimizer, Optimizer):
            return chosen
        decay = (chosen.weight_decay or 1 / count) if self.weight_decay is None else self.weight_decay
        if decay and not isinstance(decay, Mapping):
            decay = {"default": decay} | dict.fromkeys(biases(model), 0.0)
        return dataclasses.replace(chosen, weight_decay=decay)

    def _network(self, shape: Sequence[int], model: Model | None) -> tuple[Loss, Model]:
        """The loss and the network."""
        if model is None and self.network is not None:
            model = own(self.network, shape)
        loss = self._default_loss(model) if self.loss is None else self._chosen_loss()
        if model is None:
            model = hidden_and(self._head(loss), self.layers, self.activation, self.dropout, shape)
        return loss, model

    def _start(self, y: Array, weights: Array | None, loss: Loss, model: Model) -> dict[Node, Array] | None:
        """Numbers that the estimator's own network begins with; its last parameter is the bias of the output."""
        bias = self._first_bias(y, weights, loss) if self.network is None else None
        return None if bias is None else {model.parameters[-1]: bias}

    def _chosen_loss(self) -> Loss:
        return loss_by_name(self.loss)

    def _learn_scales(
        self, X: Any, y: Array, weights: Array | None, loss: Loss, model: Model, more: bool = False
    ) -> None:
        """Mean and deviation of what is standardised; with ``more``, these examples are added to those known."""
        known = self.__dict__.pop("scaler_", None)
        if self._standardizes(model):
            self.scaler_ = learn_scale(X, weights, known if more else None)

    def _standardizes(self, model: Model) -> bool:
        """Whether examples are standardised; whole numbers that a network looks up never are."""
        whole = any(n.dtype == "int" for n in model.inputs)
        return not whole if self.standardize == "auto" else bool(self.standardize)

    def _features(self, X: Any, dtype: str) -> Any:
        return standardised(X, getattr(self, "scaler_", None), dtype)

    def _fed(self, X: Any, y: Array, loss: Loss, model: Model, dtype: str) -> tuple[Any, Array]:
        """Examples and labels as the network and the loss take them."""
        return self._features(X, dtype), self._labels(y, loss, model)

    def _on_device(self) -> Any:
        from chainrule.engine.xla.devices import on_device

        return on_device(self.device)

    # --- afterwards -----------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        """The network's predictions, (m, outputs)."""
        check_is_fitted(self, "run_")
        X = validate_data(self, X, **self._accepted(), reset=False)
        with self._on_device():
            found = self.run_.predict(self._features(X, self.run_.settings["dtype"]))
        return np.asarray(found).reshape(X.shape[0], -1)

    def save(self, folder: str | Path) -> Path:
        """Write the estimator to a folder, which :meth:`load` and ``chainrule.load`` read without executing code."""
        from chainrule.estimators.files import save

        return save(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read an estimator that was written by :meth:`save`."""
        from chainrule.estimators.files import load

        return load(cls, folder)

    def __getstate__(self) -> Mapping[str, Any]:
        state = dict(super().__getstate__())
        trainer = state.pop("_trainer", None)  # with programs and data
        if trainer is not None:
            state["_standing"] = trainer.epochs.standing()
        return state
