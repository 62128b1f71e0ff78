"""An activation put to use: trained on real data over several seeds, with spoilt examples and with noisy inputs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.explain.compare.spread import Spread
from chainrule.explain.compare.tasks import Split, Task, with_outliers
from chainrule.nn import Dense, Sequential
from chainrule.train import Run, TrainingWarning
from chainrule.train.fit import fit

Array = np.ndarray[Any, Any]
UNITS = (32, 32)
"""The hidden layers."""
LEARNING_RATE = 0.003
PATIENCE = 10
OUTLIERS, INPUT_FACTOR, LABEL_SHIFT = 0.05, 5.0, 5.0
"""The share of training examples that are spoilt, and how."""
NOISE, DRAWS = 0.3, 5
"""The deviation of the noise on standardised inputs, and how often it is drawn."""
SAMPLES = 40
"""So often the units are looked at during a training, at the most."""


@dataclass(frozen=True)
class Units:
    """The state of the hidden units during a training, the mean over layers and seeds.

    Attributes:
        epochs: when they were looked at, in epochs from the start.
        dead: the share of units that gave exactly 0 for every example of the batch.
        saturated: the share of slopes below 0.01.
    """

    epochs: tuple[float, ...]
    dead: tuple[float, ...]
    saturated: tuple[float, ...]


@dataclass(frozen=True)
class Trials:
    """What training with one activation gave.

    Attributes:
        r2: R² on test rows of the regression.
        accuracy: share of right decisions on test rows of the classification.
        outliers: the error (RMSE) on clean test rows after training with outliers, relative to without them.
        moved: how far predictions of the regression move when noise is added to the inputs, relative to their spread.
        accuracy_lost: accuracy on test rows minus that on the same rows with noise on the inputs.
        loss: J on the training rows of the classification, by epoch, the mean over the seeds.
        dead: share of hidden units that gave exactly 0 for the whole batch last looked at, in the classification.
        flat: share of slopes below 0.01 then.
        units: dead and saturated units while it learned the classification; None where a unit's value is not a
            function of its own weighted sum alone (softmax, a learned slope), or is the sum itself.
    """

    r2: Spread
    accuracy: Spread
    outliers: Spread
    moved: Spread
    accuracy_lost: Spread
    loss: tuple[float, ...]
    dead: Spread | None
    flat: Spread | None
    units: Units | None


def try_out(
    chosen: Any,
    initializer: str,
    regression: Task,
    classification: Task,
    seeds: Sequence[int],
    epochs: int,
) -> Trials:
    """Train with an activation; every seed deals the rows, draws the weights and shuffles anew."""
    found: dict[str, list[float]] = {k: [] for k in ("r2", "accuracy", "outliers", "moved", "accuracy_lost")}
    runs = []
    for seed in seeds:
        numbers = regression.split(seed)
        run = _trained(_network(chosen, initializer, 1, None), numbers, seed, epochs)
        error = _rmse(run, numbers)
        found["r2"].append(1 - error**2 / float(np.var(numbers.Y_test)))
        found["moved"].append(_moved(run, numbers, seed))
        spoilt = with_outliers(numbers, OUTLIERS, INPUT_FACTOR, LABEL_SHIFT, seed)
        found["outliers"].append(
            _rmse(_trained(_network(chosen, initializer, 1, None), spoilt, seed, epochs), numbers) / error
        )
        pictures = classification.split(seed)
        network = _network(chosen, initializer, classification.classes, "softmax")
        run = _trained(network, pictures, seed, epochs, watch=True)
        runs.append(run)
        clean, noisy = _accuracies(run, pictures, seed)
        found["accuracy"].append(clean)
        found["accuracy_lost"].append(clean - noisy)
    losses = [run.history["loss"] for run in runs]
    shortest = min(map(len, losses))
    return Trials(
        **{k: Spread.of(v) for k, v in found.items()},
        loss=tuple(np.mean([loss[:shortest] for loss in losses], axis=0).tolist()),
        dead=_at_the_end(runs, "dead"),
        flat=_at_the_end(runs, "saturated"),
        units=_units(runs),
    )


def _network(chosen: Any, initializer: str, outputs: int, last: str | None) -> Sequential:
    hidden = (Dense(n, chosen, kernel_initializer=initializer) for n in UNITS)
    return Sequential(*hidden, Dense(outputs, last))


def _trained(network: Sequential, split: Split, seed: int, epochs: int, watch: bool = False) -> Run:
    """Adam; a fifth of the training rows says when to stop."""
    steps = -(-round(len(split.X) * 0.8) // 32) * epochs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)  # where it diverges, the last finite parameters are scored
        return fit(
            network,
            split.X,
            split.Y,
            learning_rate=LEARNING_RATE,
            epochs=epochs,
            validation_split=0.2,
            early_stopping=PATIENCE,
            watch=["activations"] if watch else None,
            every=max(1, steps // SAMPLES),
            seed=seed,
            progress=False,
        )


def _shares(run: Run, statistic: str) -> Array:
    """The mean over the hidden layers of a share, for each time that it was looked at; empty where it cannot be."""
    assert run.watched is not None
    columns = [run.watched[key] for key in run.watched.keys if key[1] == statistic]
    return np.mean(columns, axis=0) if columns else np.zeros(0)


def _at_the_end(runs: Sequence[Run], statistic: str) -> Spread | None:
    shares = [_shares(run, statistic) for run in runs]
    return Spread.of(s[-1] for s in shares) if all(map(len, shares)) else None


def _units(runs: Sequence[Run]) -> Units | None:
    dead, saturated = ([_shares(run, s) for run in runs] for s in ("dead", "saturated"))
    shortest = min(map(len, dead))
    first = runs[0].watched
    if not shortest or first is None:
        return None
    dead_, saturated_ = (np.mean([s[:shortest] for s in shares], axis=0) for shares in (dead, saturated))
    epochs = first.steps[:shortest] / first.steps_per_epoch
    return Units(tuple(epochs.tolist()), tuple(dead_.tolist()), tuple(saturated_.tolist()))


def _rmse(run: Run, split: Split) -> float:
    return float(np.sqrt(np.mean((run.predict(split.X_test) - split.Y_test) ** 2)))


def _moved(run: Run, split: Split, seed: int) -> float:
    rng = np.random.default_rng(seed)
    before = run.predict(split.X_test)
    changes = [run.predict(_noisy(split.X_test, rng)) - before for _ in range(DRAWS)]
    return float(np.sqrt(np.mean(np.square(changes))) / np.std(before))


def _accuracies(run: Run, split: Split, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    clean = float(np.mean(run.decide(split.X_test) == split.Y_test))
    noisy = [float(np.mean(run.decide(_noisy(split.X_test, rng)) == split.Y_test)) for _ in range(DRAWS)]
    return clean, float(np.mean(noisy))


def _noisy(X: Array, rng: np.random.Generator) -> Array:
    return X + NOISE * rng.standard_normal(X.shape)
