"""Going on with a training that stopped: all that it is made of is read from its folder, but for the examples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chainrule.errors import ChainruleError, ConfigurationError, RunError
from chainrule.nn.metrics import metric
from chainrule.train.checkpoint_files import TRAINING, newest, place_for, read_checkpoint, read_training
from chainrule.train.checkpoints import Checkpoints
from chainrule.train.files import read_steps
from chainrule.train.fit import drive
from chainrule.train.history import History, TrainingWarning
from chainrule.train.labels import Labels
from chainrule.train.run import Run
from chainrule.train.trainer import EarlyStopping, Trainer, at_least_one
from chainrule.train.watch import Watch
from chainrule.train.watch import watch as read_watch


def resume(
    folder: str | Path,
    X: Any,
    Y: Any = None,
    *,
    epochs: int | None = None,
    validation_data: Any = None,
    sample_weight: Any = None,
    metrics: Sequence[Any] = (),
    watch: Any = None,
    callbacks: Sequence[Callable[[Run], Any]] = (),
    devices: Any = None,
    progress: bool | None = None,
) -> Run:
    """Go on with a training from its last checkpoint, bit for bit as if it had never stopped.

    Network, loss, optimizer and settings are read from the folder; what chance had still to decide follows from the
    seed. A checkpoint that was cut short or altered is left out, with a :class:`TrainingWarning`, for the one before.

    Args:
        folder: of the run: what ``cr.fit(…, checkpoints=folder)`` was given.
        X, Y, validation_data, sample_weight: what it was begun with; a checksum tells whether they are the same.
        epochs: until so many are done in all; by default as many as it was begun with. A training that had come to its
            end goes on where there are more.
        metrics, watch: those of the user's own, which are no part of the folder.
        callbacks, progress: as in :func:`chainrule.fit`.
        devices: as there; by default as many as before. Another number, of devices or of processes, adds up in another
            order: the training is the same but for the last bits.

    Errors: :class:`RunError` where there is no training or no whole checkpoint; :class:`DataError` for other data.
    """
    wanted = None if epochs is None else at_least_one(epochs, "epochs")
    place = place_for(folder)
    described, training = read_training(place)
    kept, _ = newest(place, training)
    if wanted is not None and wanted < kept.state["epochs_done"]:
        raise ConfigurationError(
            "more epochs are done already",
            given=f"epochs={wanted}, of which {kept.state['epochs_done']:,} are done",
            expected=f"at least {kept.state['epochs_done']:,}, those that are done among them",
        )
    begun = first_run(place, described, training, metrics)
    setup, settings = described["setup"], described["settings"]
    stopping = setup["early_stopping"]
    trainer = Trainer(
        begun,
        X,
        Y,
        as_before=True,
        start=begun,
        batch_size=settings["batch_size"],
        validation_data=validation_data,
        validation_split=setup["validation_split"],
        early_stopping=EarlyStopping(**stopping) if stopping else None,
        sample_weight=sample_weight,
        class_weight=class_weight_of(setup),
        shuffle=settings["shuffle"],
        watch=watched_in(begun, setup) if watch is None else watch,
        every=setup["every"],
        seed=settings["seed"],
        dtype=settings["dtype"],
        devices=settings["devices"] if devices is None else devices,
    )
    again = Checkpoints(folder, **described["checkpoints"], resume=True, notes=described["notes"])
    if wanted is not None and kept.state["finished"] and kept.state["stopped"]:
        warnings.warn(
            f"nothing was left to train: {kept.state['stopped']}. cr.fit(run, X, Y) trains a run further",
            TrainingWarning,
            stacklevel=2,
        )
    return drive(trainer, wanted or kept.state["epochs"], callbacks, progress, again)


def first_run(place: Path, described: Any, training: str, metrics: Sequence[Any] = ()) -> Run:
    """A training of which nothing has been done yet, with the numbers that it began with."""
    named = dict(map(metric, [*described["metrics"], *metrics]))
    columns = [c for c in described["columns"] if not c.startswith("validation_")]
    own = [c for c in columns[1:] if c not in named] if len(described["objectives"]) == 1 else []
    if own:
        raise ConfigurationError(
            "the training reports a metric of your own, which is no part of its folder",
            given=", ".join(own),
            hint="give it again: cr.resume(folder, X, Y, metrics=[…])",
        )
    reported = [(c, named[c]) for c in columns[1:] if c in named]
    try:
        steps = read_steps({**described, "metrics": []}, reported)
        labels = Labels(described["labels"]["kind"], tuple(described["labels"]["classes"]))
    except RunError:
        raise
    except (KeyError, TypeError, ValueError, ChainruleError) as error:
        raise RunError(
            f"{TRAINING} cannot be read",
            given=f"{type(error).__name__}: {error}",
            where=place,
            hint="was it edited by hand?",
        ) from None
    try:
        arrays = read_checkpoint(place, 0, training).arrays
    except RunError:  # what is taken up overwrites these numbers anyway
        arrays = newest(place, training)[0].arrays
    names = dict.fromkeys((*steps[0].parameter_names, *(n for s in steps for n in s.state_names)))
    values = {name: arrays[f"now {name}"] for name in names if f"now {name}" in arrays}
    parameters = {name: values[name] for name in steps[0].parameter_names if name in values}
    states = {name: value for name, value in values.items() if name not in parameters}
    return Run(steps, parameters, History(described["columns"]), labels, described["settings"], states=states)


def watched_in(run: Run, setup: Any) -> Watch | None:
    """What a training watched, in the same order."""
    keys = [(quantity, statistic) for quantity, statistic in setup["watch"]]
    if not keys:
        return None
    by_quantity: dict[str, list[str]] = {}
    for quantity, statistic in keys:
        by_quantity.setdefault(quantity, []).append(statistic)
    try:
        found = read_watch(run.step, by_quantity, setup["every"])
    except ConfigurationError as error:
        raise ConfigurationError(
            "what was watched is a formula of your own, which is no part of the folder",
            given=error.given,
            hint="give it again: cr.resume(folder, X, Y, watch=[…])",
        ) from None
    nodes = dict(zip(found.keys, found.nodes, strict=True))
    return Watch(tuple(keys), tuple(nodes[k] for k in keys), found.every)


def class_weight_of(setup: Any) -> Any:
    """The weights of the classes as they were given."""
    given = setup["class_weight"]
    return dict(given) if isinstance(given, list) else given
