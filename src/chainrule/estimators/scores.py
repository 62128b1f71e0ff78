"""scikit-learn's scorers on the validation examples after every epoch, and early stopping on them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import check_scoring, get_scorer, get_scorer_names

from chainrule.errors import ConfigurationError, near
from chainrule.train import EarlyStopping, History, Run

if TYPE_CHECKING:
    from chainrule.estimators.base import NeuralEstimator

Array = np.ndarray[Any, Any]


def scorers(estimator: Any, scoring: Any) -> dict[str, Any]:
    """Scorers by name, from a name, a function ``(estimator, X, y) → number``, several of them, or a mapping."""
    if scoring is None:
        return {}
    if isinstance(scoring, Mapping):
        return {str(k): _scorer(estimator, v) for k, v in scoring.items()}
    several = scoring if isinstance(scoring, (list, tuple)) else [scoring]
    return {s if isinstance(s, str) else getattr(s, "__name__", "score"): _scorer(estimator, s) for s in several}


def _scorer(estimator: Any, value: Any) -> Any:
    if callable(value):
        return check_scoring(estimator, value)
    try:
        return get_scorer(value)
    except ValueError:
        known = get_scorer_names()
        hint = near(str(value), known) or "sklearn.metrics.get_scorer_names() lists them"
        raise ConfigurationError("no such scorer", given=repr(value), hint=hint) from None


class Scores:
    """A callback that scores the network of every epoch and keeps the best.

    Of equal scores, which are many where few examples are held out, that with the smaller validation loss is better.

    Args:
        estimator: the one that is being fitted.
        named: scorers by their column of the history; greater is better.
        X, y: examples and labels to score on.
        stopping: when to stop; where it watches another column, training does that itself.
    """

    def __init__(
        self, estimator: NeuralEstimator, named: Mapping[str, Any], X: Any, y: Array, stopping: EarlyStopping | None
    ) -> None:
        self.named, self.X, self.y = dict(named), X, y
        self.stopping = stopping if stopping and stopping.monitor in named else None
        self.judge = copy.copy(estimator)
        self.judge.__dict__.pop("feature_names_in_", None)  # X is an array by now
        self.rows: list[list[float]] = []
        self.best: tuple[float, int, Run] | None = None
        self.least = np.inf  # the validation loss of the best

    def __call__(self, run: Run) -> bool:
        """Score the network after an epoch; True ends training."""
        self.judge.run_ = run
        self.rows.append([self._score(name) for name in self.named])
        if self.stopping is None:
            return False
        value = self.rows[-1][list(self.named).index(self.stopping.monitor)]
        if self.stopping.larger_is_better is False:
            value = -value
        loss = run.history["validation_loss"][-1]
        known = -np.inf if self.best is None else self.best[0]
        if self.best is None or value > known + self.stopping.min_delta or (value == known and loss < self.least):
            self.best, self.least = (value, len(self.rows), run), loss
        return len(self.rows) - self.best[1] >= self.stopping.patience

    def _score(self, name: str) -> float:
        try:
            return float(self.named[name](self.judge, self.X, self.y))
        except ValueError as error:
            scorer = name.removeprefix("validation_")
            raise ConfigurationError(
                f"the scorer {scorer} does not fit these labels",
                given=str(error),
                hint="for several classes: 'roc_auc_ovr', 'roc_auc_ovo'" if scorer == "roc_auc" else None,
            ) from error

    def finished(self, run: Run) -> Run:
        """The trained network with the scores in its history; where one was watched, as it was when that was best."""
        before = run.history
        scored = np.full((before.epochs, len(self.named)), np.nan)
        scored[: len(self.rows)] = np.array(self.rows).reshape(-1, len(self.named))[: before.epochs]
        others = [k for k, column in enumerate(before.columns) if column not in self.named]
        history = History(
            [*(before.columns[k] for k in others), *self.named],
            np.concatenate([before.table[:, others], scored], axis=1),
            before.stopped,
            before.best_epoch,
            before.diverged,
        )
        if self.best is None:
            return dataclasses.replace(run, history=history)
        _, epoch, best = self.best
        history.best_epoch = epoch
        if self.stopping is not None and before.stopped == "stopped by a callback":
            what = self.stopping.monitor.replace("_", " ")
            history.stopped = (
                f"stopped after epoch {before.epochs}: {what} was best in epoch {epoch}, whose parameters are kept"
            )
        return dataclasses.replace(run, history=history, parameters=best.parameters, states=best.states)
