"""Train a network from beginning to end: epochs, callbacks, progress, checkpoints, Ctrl-C, and the run in the end."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chainrule.engine.processes import TOGETHER, leads, leave_the_others
from chainrule.errors import ConfigurationError
from chainrule.train.checkpoints import Keeper, as_checkpoints
from chainrule.train.history import TrainingWarning
from chainrule.train.progress import Progress
from chainrule.train.run import Run
from chainrule.train.trainer import EarlyStopping, Trainer, at_least_one

Callback = Callable[[Run], Any]
GO_ON, CALLED_OFF, INTERRUPTED = range(3)
"""What each of several processes wants; the greatest of it happens in all."""


def fit(
    network: Any,
    X: Any,
    Y: Any = None,
    *,
    loss: Any = None,
    optimizer: Any = "adam",
    learning_rate: Any = None,
    epochs: int = 100,
    batch_size: int | None = 32,
    validation_data: Any = None,
    validation_split: float = 0.0,
    metrics: Sequence[Any] | None = None,
    early_stopping: EarlyStopping | int | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    frozen: Any = (),
    start: Any = None,
    shuffle: bool = True,
    callbacks: Sequence[Callback] = (),
    watch: Any = None,
    every: int = 1,
    seed: int = 0,
    dtype: Any = "float32",
    devices: Any = "auto",
    progress: bool | None = None,
    checkpoints: Any = None,
) -> Run:
    """Train a network on examples and labels.

    Args:
        network: a :class:`Sequential`, a :class:`Model`, a node, a function from node to node, or a
            :class:`Run` to go on from.
        X: examples in rows. What is read when it is needed (``cr.data.images``, ``cr.data.sounds``, a memory map of
            NumPy's) may be larger than memory: batches are read ahead while the machine computes.
        Y: a label for each: numbers, class names or class numbers, one-hot rows. None where the loss is a formula.
            For an output at every step, (m, T, K), a label at every step, (m, T). Steps that the network leaves out as
            padding (``Embedding(…, mask_zero=True)``) do not count, whatever label stands there.
        loss: by name, or a function ``(y_hat, y) → node``; by default the one that belongs to the last
            activation: binary cross-entropy after sigmoid, categorical after softmax, squared error otherwise. Or a
            formula of the network's own quantities, whose labels, if it has any, are inputs of the network; or an
            :class:`Objective`, or several that take turns.
        optimizer: by name or as an object, such as ``cr.Adam(0.001)``.
        learning_rate: α, for an optimizer given by name.
        epochs: how often every example is seen.
        batch_size: examples per step; None for all at once (whole batch), 1 for one at a time.
        validation_data: ``(X, Y)`` of your own to validate on after every epoch; X alone where there are no labels.
        validation_split: or the share of the examples, drawn at random, to hold out for it. In validation every
            example counts the same, whatever the weights.
        metrics: names or functions ``(y_hat, y) → node``; accuracy for classes by default.
        early_stopping: an :class:`EarlyStopping`, or its patience in epochs.
        sample_weight: a weight for each example (m,), or for each of its steps (m, T); they are scaled to a mean of 1.
        class_weight: a mapping from label to weight, or ``"balanced"``.
        frozen: layers, parameters or their names that stay as they are.
        start: a run whose numbers the parameters that it shares with this network begin with, or such numbers by
            parameter or name; the others are drawn.
        shuffle: a new random order in every epoch.
        callbacks: functions called after every epoch with the run so far; one that returns True ends it. One that has
            a method ``begin``, such as :class:`chainrule.Path`, is given the run before the first epoch as well.
        watch: what to sample while it trains, for ``run.watched``: True for what a diagnosis needs, names and groups
            such as ``["A1", "gradients"]``, or a mapping from these to statistics; see :mod:`chainrule.train.watch`.
        every: the steps that are sampled: the first, and every so many-th after it.
        seed: of initial parameters, held-out examples and shuffling. The same seed gives the same bits.
        dtype: the working precision, ``"float32"`` or ``"float64"``.
        devices: how many devices share the rows of a batch; by default one, or the cores of the processor where that
            makes a step of this network faster.
        progress: a live line with loss and validation loss; by default in a terminal only.
        checkpoints: a folder, or :class:`Checkpoints`, in which the training is kept while it goes on, so that
            :func:`resume` can take it up where it stood.

    Returns:
        A :class:`Run`. Ctrl-C ends training after the present epochs and returns what has been trained.

    Errors: examples and labels that do not fit each other or the network, numbers that are not finite,
    settings out of range. Where the loss stops being finite, training ends with a :class:`TrainingWarning`
    and the run has the parameters of the last epoch that was finite.

    >>> import numpy as np, chainrule as cr
    >>> x = np.linspace(-1, 1, 20)
    >>> run = fit(cr.Sequential(cr.Dense(1)), x, 3 * x + 1, optimizer=cr.GradientDescent(0.1), epochs=200)
    >>> [round(float(v), 2) for v in (run.parameters["W1"][0, 0], run.parameters["b1"][0])]
    [3.0, 1.0]
    """
    for callback in callbacks:
        if not callable(callback):
            raise ConfigurationError("a callback is a function of the run so far", given=repr(callback))
    trainer = Trainer(
        network,
        X,
        Y,
        loss=loss,
        optimizer=optimizer,
        learning_rate=learning_rate,
        batch_size=batch_size,
        validation_data=validation_data,
        validation_split=validation_split,
        metrics=metrics,
        early_stopping=early_stopping,
        sample_weight=sample_weight,
        class_weight=class_weight,
        frozen=frozen,
        start=start,
        shuffle=shuffle,
        watch=watch,
        every=every,
        seed=seed,
        dtype=dtype,
        devices=devices,
    )
    return drive(trainer, at_least_one(epochs, "epochs"), callbacks, progress, checkpoints)


def drive(
    trainer: Trainer,
    epochs: int,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    checkpoints: Any = None,
) -> Run:
    """Train until so many epochs are done, or something ends it; what :func:`fit` does with a trainer."""
    keeper = None if checkpoints is None else Keeper(as_checkpoints(checkpoints), trainer, epochs)
    show = Progress(epochs) if (sys.stderr.isatty() if progress is None else progress) and leads() else None
    with _interruptible() as interrupted, keeper or contextlib.nullcontext():
        for callback in callbacks:
            if hasattr(callback, "begin"):
                callback.begin(trainer.run())
        while trainer.history.epochs < epochs and not trainer.history.stopped:
            left = epochs - trainer.history.epochs
            now = 1 if callbacks else trainer.at_once(left)
            stop = None
            if keeper is not None:
                now, stop = keeper.next(now)
            ahead = 0 if callbacks else min(trainer.chunk, left - now, keeper.most if keeper is not None else left)
            trainer.advance(now, ahead, stop)
            if keeper is not None:
                keeper.after()
            answers = []
            if stop is None:
                if show is not None:
                    show.show(trainer.history)
                try:
                    answers = [callback(trainer.run()) for callback in callbacks]
                except KeyboardInterrupt:
                    interrupted.set()
            end = _agreed(INTERRUPTED if interrupted.is_set() else CALLED_OFF if True in answers else GO_ON)
            if end == CALLED_OFF:
                trainer.history.stopped = trainer.history.stopped or "stopped by a callback"
            elif end == INTERRUPTED and stop is None:
                trainer.history.stopped = f"interrupted after epoch {trainer.history.epochs}"
            elif end == INTERRUPTED:  # what is done of the epoch is kept, and gone on with
                place = f"epoch {trainer.history.epochs + 1}, after step {trainer.position:,}"
                trainer.history.stopped = f"interrupted in {place}"
    if show is not None:
        show.end()
    if trainer.history.diverged is not None:
        warnings.warn("\n".join(str(s) for s in (trainer.history.stopped, trainer.first_bad) if s), TrainingWarning, 3)
    return trainer.run({"epochs": epochs})


def _agreed(end: int) -> int:
    """What happens now in each of several processes, so that they end together."""
    if TOGETHER.count == 1:
        return end
    from chainrule.engine.xla.devices import greatest

    return greatest(end)


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C is noted instead of thrown; a second one is thrown as usual."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        noted.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    except KeyboardInterrupt:
        leave_the_others()
        raise
    finally:
        signal.signal(signal.SIGINT, before)
