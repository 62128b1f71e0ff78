"""An estimator in the folder of its run: settings and what it learned of the data, as JSON. No code is executed.

| kept | how |
|---|---|
| network, loss, optimizer, learned numbers, history | the run's own files, see :mod:`chainrule.train.files` |
| classes, columns, means and deviations, settings | ``estimator/estimator.json``, with a checksum |

A setting that is a function or an object of the user's own is not kept: the estimator that is read has the default, and
says so, but for network, loss and optimizer, which are those of the run.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from chainrule.data.storage import read_json, write_json
from chainrule.errors import ConfigurationError, RunError
from chainrule.estimators.features import Scaler
from chainrule.optimize import Optimizer
from chainrule.train import EarlyStopping, TrainingWarning
from chainrule.train import load as load_run
from chainrule.train.files import place_of

Array = np.ndarray[Any, Any]
SUBFOLDER, FILE = "estimator", "estimator.json"
OF_THE_RUN = ("network", "loss", "optimizer")
LEARNED = ("_kind", "classes_", "_flat", "_targets", "n_features_in_", "feature_names_in_")
"""What a fitted estimator knows beside its run and its scales."""
SCALES = ("scaler_", "target_scaler_")

E = TypeVar("E")


def save(estimator: Any, folder: str | Path) -> Path:
    """Write an estimator that was fitted, and its run."""
    check_is_fitted(estimator, "run_")
    settings = {k: _written(v) for k, v in estimator.get_params(deep=False).items()}
    content = {
        "estimator": type(estimator).__name__,
        "settings": {k: v for k, v in settings.items() if v is not LEFT_OUT},
        "left out": [k for k, v in settings.items() if v is LEFT_OUT],
        "learned": {k: _array(k, getattr(estimator, k)) for k in LEARNED if hasattr(estimator, k)},
        "scales": {k: _scale(getattr(estimator, k)) for k in SCALES if hasattr(estimator, k)},
    }
    folder = estimator.run_.save(folder, also={SUBFOLDER: lambda place: write_json(place / FILE, content)})
    return Path(folder)


def load(kind: type[E], folder: str | Path) -> E:
    """Read an estimator of this class.

    Errors: :class:`RunError` for a folder that holds a run alone, or an estimator of another class, or was altered.
    """
    file = place_of(folder) / SUBFOLDER / FILE
    run = load_run(folder)
    if not file.exists():
        raise RunError(
            "the run is not an estimator's",
            given=f"{folder} without {SUBFOLDER}/{FILE}",
            hint="chainrule.load(folder) reads a run",
        )
    content = read_json(file)
    if content["estimator"] != kind.__name__:
        raise RunError(
            "the folder holds another estimator",
            given=content["estimator"],
            expected=kind.__name__,
            hint=f"{content['estimator']}.load(folder)",
        )
    left_out = content["left out"]
    of_the_run = {"network": run.model, "loss": run.step.loss, "optimizer": run.step.optimizer}
    settings = {k: _read(v) for k, v in content["settings"].items()}
    settings |= {k: of_the_run[k] for k in OF_THE_RUN if k in left_out}
    if "activation" in left_out:
        settings["network"] = run.model
    if "optimizer" in left_out or "learning_rate" in left_out:  # a schedule is part of the optimizer
        own = "optimizer" in left_out and settings["weight_decay"] is None
        settings |= {"learning_rate": None} | _optimizer(run.step.optimizer, own)
    lost = [k for k in left_out if k not in (*OF_THE_RUN, "activation", "learning_rate")]
    if lost:
        warnings.warn(
            f"{', '.join(lost)} cannot be kept in a folder and must be given again before fit: set_params({lost[0]}=…)",
            TrainingWarning,
            stacklevel=3,
        )
    known = inspect.signature(kind).parameters
    estimator: Any = kind(**{k: v for k, v in settings.items() if k in known})
    estimator._keep(run)
    estimator._made_with = estimator._makings()
    for name, value in content["learned"].items():
        setattr(estimator, name, _read(value))
    for name, value in content["scales"].items():
        setattr(estimator, name, _scaler(value))
    found: E = estimator
    return found


LEFT_OUT: Any = object()


def _optimizer(rule: Optimizer, own: bool) -> dict[str, Any]:
    """The settings of a run's optimizer: the decay is its own, or the estimator's, which spares biases."""
    decay = rule.weight_decay
    if own or not isinstance(decay, Mapping):
        return {"optimizer": rule, "weight_decay": None}
    return {"optimizer": dataclasses.replace(rule, weight_decay=0.0), "weight_decay": decay["default"]}


def _written(value: Any) -> Any:
    """A setting as JSON, or that it is left out."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, EarlyStopping):
        return {"early_stopping": dataclasses.asdict(value)}
    if isinstance(value, (tuple, list)):
        parts = [_written(v) for v in value]
        return LEFT_OUT if LEFT_OUT in parts else {"tuple" if isinstance(value, tuple) else "list": parts}
    if isinstance(value, Mapping):
        pairs = [[_written(k), _written(v)] for k, v in value.items()]
        return LEFT_OUT if any(LEFT_OUT in p for p in pairs) else {"mapping": pairs}
    return LEFT_OUT


def _array(name: str, value: Any) -> Any:
    """What was learned, as JSON: classes and names with their kind."""
    if isinstance(value, list):
        return {"list": [_array(name, v) for v in value]}
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind not in "biufUO" or (value.dtype.kind == "O" and not all(type(v) is str for v in value)):
        raise ConfigurationError(
            f"{name} cannot be written", given=f"an array of {value.dtype}", expected="numbers, truth values or texts"
        )
    return {"array": value.tolist(), "dtype": value.dtype.str}


def _read(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "array" in value:
        return np.array(value["array"], dtype=np.dtype(value["dtype"]))
    if "early_stopping" in value:
        return EarlyStopping(**value["early_stopping"])
    if "mapping" in value:
        return {_read(k): _read(v) for k, v in value["mapping"]}
    return tuple(map(_read, value["tuple"])) if "tuple" in value else list(map(_read, value["list"]))


def _scale(scaler: Scaler) -> dict[str, Any]:
    seen = scaler.n_samples_seen_
    return {
        "mean": scaler.mean_.tolist(),
        "variance": scaler.var_.tolist(),
        "scale": scaler.scale_.tolist(),
        "indicators": np.asarray(scaler.indicators_).tolist(),
        "seen": np.asarray(seen).tolist(),
    }


def _scaler(data: Mapping[str, Any]) -> Scaler:
    scaler = Scaler()
    scaler.mean_, scaler.var_, scaler.scale_ = (np.array(data[k]) for k in ("mean", "variance", "scale"))
    scaler.indicators_ = np.array(data["indicators"], dtype=bool)
    scaler.n_samples_seen_ = np.asarray(data["seen"])[()]
    scaler.n_features_in_ = len(scaler.mean_)
    return scaler
