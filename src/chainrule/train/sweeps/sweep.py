"""A sweep: candidates trained side by side, on folds or from several seeds, the hopeless given up, and ranked."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from chainrule.data.folds import folds as deal
from chainrule.errors import ChainruleError, ConfigurationError, ShapeError, near
from chainrule.nn.metrics import metric
from chainrule.train.checkpoints import fingerprint as checksum
from chainrule.train.labels import examples
from chainrule.train.run import Run
from chainrule.train.sweeps.choices import Recipe, Recipes, read_choices
from chainrule.train.sweeps.programs import Examples, Program, Training, key_of, network_of, run_of
from chainrule.train.sweeps.ranking import Candidate, Ranking
from chainrule.train.sweeps.records import Records, fingerprint
from chainrule.train.trainer import Trainer, at_least_one, should_grow

SETTINGS = tuple(
    name
    for name in tuple(inspect.signature(Trainer.__init__).parameters)[4:]
    if name not in ("seed", "validation_data", "validation_split")
)
"""What can be said of all trainings beside the network, the examples, and what a sweep says itself."""


def sweep(
    network: Any,
    X: Any,
    Y: Any = None,
    choices: Mapping[str, Any] | None = None,
    *,
    trials: int | None = None,
    folds: Any = None,
    seeds: int | Sequence[int] = 1,
    epochs: int = 100,
    monitor: str | None = None,
    larger_is_better: bool | None = None,
    halving: int | None = None,
    validation_data: Any = None,
    validation_split: float = 0.2,
    study: Any = None,
    folder: str | Path | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Ranking:
    """Train every candidate, side by side, and rank them by what they reach on held-out examples.

    Candidates whose training differs in numbers alone (learning rate, the optimizer's other constants, seed, fold) are
    one compiled program; several of them at a time where the network is small. Others train beside them, on as many
    threads as there are cores.

    Args:
        network: a network, a function that makes one of what is chosen for it, or several such functions by name.
        X, Y: examples and labels, as in :func:`chainrule.fit`.
        choices: by name what to choose from: a list of values, a mapping from names to values, or, with ``trials``, a
            :class:`Between` or a distribution of SciPy. A name is an argument of the function that makes the network, a
            setting of the training (``batch_size``, ``loss``, ``optimizer``, ``early_stopping`` …), or a constant of
            the optimizer (``learning_rate``, ``weight_decay``, ``momentum`` …).
        trials: so many candidates drawn at random; by default the grid, every combination.
        folds: cross-validation: a number of folds, dealt at random with the classes in equal shares, a splitter of
            scikit-learn, or pairs of row numbers. Every candidate is trained once for each.
        seeds: how many trainings of each candidate, with the seeds 0, 1, …; or the seeds themselves. A seed decides
            initial parameters, order and, with ``validation_split``, which examples are held out, for all candidates
            alike, so that differences can be taken seed by seed.
        epochs: of each training, at most.
        monitor: the column of the history to rank by; the validation accuracy for classes, else the validation loss
            (the loss where nothing is held out).
        larger_is_better: whether that column should grow. Known of a loss (it falls) and of an accuracy; of a metric of
            your own it has to be said.
        halving: give up the hopeless: of all candidates that have come to 1/η² of the epochs only the best 1/η go on,
            and of these, at 1/η of the epochs, again the best 1/η; η = 2 is careful, 3 is usual. By default all are
            trained to their end. Source: Jamieson and Talwalkar 2016 (successive halving).
        validation_data: instead of folds, what to validate on, the same for every training.
        validation_split: or the share of the examples to hold out.
        study: a study of Optuna, which proposes the ``trials`` candidates in the light of those before, instead of
            chance, and is told how each ended. Where it has a storage, any number of machines work on one study.
        folder: where every training that has ended is noted. Called again, after an interruption or with more
            candidates, only what is missing is trained.
        workers: so many threads; by default one for each core.
        progress: a live line with the count of trainings done; by default in a terminal only.
        settings: what all trainings share, as in :func:`chainrule.fit`: loss, optimizer, batch_size, early_stopping …

    Returns:
        A :class:`Ranking`. The winner was chosen for its score, which therefore flatters it: measure it on examples
        that took no part in the sweep.

    Errors: choices that belong nowhere; a column that is not reported; candidates with different losses that would be
    ranked by them. A candidate that fails, or that diverges, is a row with the reason, ranked last; where all fail,
    that is the error.

    >>> import numpy as np, chainrule as cr
    >>> x = np.linspace(-2, 2, 60)
    >>> def network(width):
    ...     return cr.Sequential(cr.Dense(width, "tanh"), cr.Dense(1))
    >>> ranking = sweep(network, x, x**2, {"width": [1, 8], "learning_rate": [0.0001, 0.02]}, folds=3)
    >>> ranking.best
    'width 8, learning rate 0.02'
    """
    chosen_seeds = _seeds(seeds)
    if halving is not None and (isinstance(halving, bool) or not isinstance(halving, int) or halving < 2):
        raise ConfigurationError("halving keeps one of so many candidates, 2 or more", given=repr(halving))
    if study is not None and (trials is None or halving is not None):
        raise ConfigurationError(
            "a study needs the number of candidates it may propose, and gives up none of them itself",
            given=f"trials={trials}, halving={halving}",
            expected="trials=30, halving=None",
        )
    if "seed" in settings:
        raise ConfigurationError("a sweep has seeds", given=f"seed={settings['seed']!r}", hint="seeds=[5], or seeds=3")
    if isinstance(network, Run):  # every candidate goes on from it
        settings = {"start": network, **settings}
    choices_ = read_choices(network, choices)
    recipes = Recipes(network, choices_, settings, SETTINGS)
    examples = _examples(X, Y, validation_data, validation_split, folds, chosen_seeds[0])
    epochs = at_least_one(epochs, "epochs")
    threads = (os.cpu_count() or 1) if workers is None else at_least_one(workers, "workers")
    records = None
    if folder is not None:
        shared = {k: _plain(v) for k, v in sorted(settings.items())}
        described = {"epochs": epochs, "halving": halving, "settings": shared, "examples": fingerprint(examples)}
        records = Records(folder, described)
    ranked = Ranked(monitor, larger_is_better, one_loss="loss" not in choices_.by_name)
    race = Race(examples, epochs, chosen_seeds, ranked, halving, records, threads)
    race.line = Line(sys.stderr.isatty() if progress is None else progress)
    try:
        if study is not None:
            from chainrule.train.sweeps.study import propose

            assert trials is not None
            propose(study, choices_, recipes, trials, race)
        else:
            found = (
                choices_.grid() if trials is None else choices_.draw(at_least_one(trials, "trials"), chosen_seeds[0])
            )
            race.run({name: (some, recipes) for name, some in choices_.named(found)})
    finally:
        race.line.end()
    return race.ranking()


def _seeds(seeds: Any) -> list[int]:
    """The seeds, from their count or from themselves."""
    given = range(seeds) if _whole(seeds) else seeds if isinstance(seeds, Iterable) else ()
    found = list(given)
    if not found or not all(map(_whole, found)) or len(set(found)) < len(found):
        raise ConfigurationError(
            "seeds are a count of at least 1, or different whole numbers",
            given=repr(seeds),
            expected="3, or [0, 7, 11]",
        )
    return [int(s) for s in found]


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _examples(X: Any, Y: Any, data: Any, share: float, how: Any, seed: int) -> Examples:
    if how is None:
        return Examples(X, Y, data, 0.0 if data is not None else share)
    if data is not None:
        raise ConfigurationError("folds and validation_data are two ways to hold examples out", expected="one of them")
    first = next(iter(X.values())) if isinstance(X, Mapping) else X[0] if isinstance(X, tuple) else X
    rows, labels = len(examples(first, "X")), None if Y is None else np.asarray(Y)
    if labels is not None and len(labels) != rows:
        raise ShapeError(
            "examples and labels differ in number",
            given=f"{rows} examples, {len(labels)} labels",
            expected="a label for every example",
        )
    classes = labels is not None and labels.ndim == 1 and (labels.dtype.kind in "OUSb" or _few(labels))
    return Examples(X, Y, folds=deal(how, first, Y, classes, seed))


def _few(labels: Any) -> bool:
    """Whether numbers look like classes: whole, and few of them."""
    return bool(labels.dtype.kind in "iu" and len(np.unique(labels)) <= max(2, len(labels) // 10))


def _plain(value: Any) -> Any:
    """A setting as it is written down, the same in every process; of a function its name, of an array a checksum."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if hasattr(value, "__array__"):
        return checksum(np.asarray(value))
    return getattr(value, "__qualname__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def checksum_of(settings: Mapping[str, Any]) -> str:
    """A checksum of what a candidate is trained with: behind one name may be another value than before."""
    content = {k: _plain(v) for k, v in settings.items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Ranked:
    """By what candidates are ranked.

    Attributes:
        monitor: the column, if it was named.
        larger_is_better: whether it should grow, if that was said.
        one_loss: whether all have the same loss.
    """

    monitor: str | None = None
    larger_is_better: bool | None = None
    one_loss: bool = True


class Race:
    """The trainings of a sweep: begun, advanced from one judgement to the next, ended, noted.

    Args:
        examples: what they learn from.
        epochs: how many at most.
        seeds: that each candidate is trained from.
        ranked: by what they are ranked.
        halving: one of so many goes on.
        records: where to note what has ended.
        workers: so many threads.
    """

    def __init__(
        self,
        examples: Examples,
        epochs: int,
        seeds: Sequence[int],
        ranked: Ranked,
        halving: int | None,
        records: Records | None,
        workers: int,
    ) -> None:
        self.examples, self.epochs, self.seeds = examples, epochs, tuple(seeds)
        self.ranked, self.halving, self.records, self.workers = ranked, halving, records, workers
        self.trainings: dict[str, list[Training]] = {}
        self.chosen: dict[str, Mapping[str, Any]] = {}
        self.line, self.over, self.lock = Line(False), False, Lock()
        self._programs: dict[Any, Program] = {}

    def run(self, candidates: Mapping[str, tuple[Mapping[str, Any], Recipes]]) -> None:
        """Train some candidates, from all seeds, on all folds."""
        if not candidates:
            raise ConfigurationError(
                "there is no candidate", given="no setting", expected='values to choose from: {"units": [16, 32]}'
            )
        new: dict[str, list[Training]] = {}
        for name, (chosen, recipes) in candidates.items():
            if name not in self.trainings:
                self.chosen[name] = chosen
                new[name] = self.trainings[name] = self._begun(name, chosen, recipes)
        self.line.total += sum(map(len, new.values()))
        self.line.show(0)
        for upto, kept in self._judgements(len(new)):
            self._advance([t for some in new.values() for t in some if not t.ended], upto)
            if kept is None:
                break
            self._give_up(new, upto, kept)

    def _begun(self, name: str, chosen: Mapping[str, Any], recipes: Recipes) -> list[Training]:
        wrong: Exception | None = None
        try:
            recipe = recipes.of(chosen)
        except Exception as error:
            recipe, wrong = Recipe(lambda: None, {}), error
        places = [None] if self.examples.folds is None else list(range(len(self.examples.folds)))
        some = [Training(name, recipe, seed, fold) for seed in self.seeds for fold in places]
        if self.records is not None and wrong is None:
            try:
                made = network_of(self.examples, recipe)
            except Exception:  # it fails again where it is trained, and is noted there
                made = ""
            settings = checksum_of(recipe.settings)
            for training in some:
                training.network, training.settings = made, settings
        for training in some:
            training.wrong, training.ended = wrong, wrong is not None
            if not training.ended and self.records is not None:
                self.records.restore(training)
            if training.ended:
                self.line.show(1)
        return some

    def _judgements(self, candidates: int) -> Iterable[tuple[int, int | None]]:
        """The epochs at which candidates are compared, and how many go on; at the end, none is given up any more."""
        if self.halving is not None:
            for level in (2, 1):
                upto, kept = self.epochs // self.halving**level, -(-candidates // self.halving ** (3 - level))
                if upto:
                    yield upto, kept
        yield self.epochs, None

    def _advance(self, some: Sequence[Training], upto: int) -> None:
        """Bring trainings to an epoch, side by side."""
        from concurrent.futures import ThreadPoolExecutor  # it comes with logging: not at the door

        for training in some:
            if training.epochs < upto:
                self._program_of(training).waiting.append(training)
        with ThreadPoolExecutor(self.workers, "sweep") as pool:  # compiled programs run outside of Python's lock
            work = [pool.submit(self._work, upto) for _ in range(self.workers)]
            try:
                for future in work:
                    future.result()
            except BaseException:
                self.over = True
                raise

    def _program_of(self, training: Training) -> Program:
        try:
            key = key_of(self.examples, training)
        except Exception:  # it fails again where it is trained, and is noted there
            key = None
        if key is None:
            return self._programs.setdefault(id(training.recipe), Program(self.examples, self.epochs, alone=True))
        return self._programs.setdefault(key, Program(self.examples, self.epochs, alone=False))

    def _work(self, upto: int) -> None:
        """What a thread does: take trainings of a program that has the fewest threads, as long as any wait."""
        while True:
            with self.lock:
                waiting = [p for p in self._programs.values() if p.waiting]
                if not waiting or self.over:
                    return
                program = min(waiting, key=lambda p: p.taken)
                program.taken += 1
                first = program.waiting.pop(0)
            try:
                self._run(program, first, upto)
            finally:
                program.taken -= 1

    def _run(self, program: Program, first: Training, upto: int) -> None:
        rest = Taken(program, first, self)
        try:
            runner = program.made(first)
            while len(rest.taken) < runner.width and rest.take() is not None:
                pass
            runner.run(tuple(rest.taken), upto, rest)
        except Exception as error:
            for training in rest.taken:
                training.wrong = training.wrong or error
        if self.over:
            return
        for training in rest.taken:
            if training.wrong is None:
                training.runner = runner
                if training.epochs < self.epochs and runner.going_on(training):
                    continue
            self._end(training)

    def _end(self, training: Training) -> None:
        training.ended = True
        if training.wrong is None:
            training.runner.end(training)
        training.state = training.runner = None
        if self.records is not None:
            with self.lock:
                self.records.note(training)
        if training.wrong is None:
            _ = self.grows  # what is wrong with the column is said after the first training, not after all
        self.line.show(1)

    def _give_up(self, candidates: Mapping[str, list[Training]], upto: int, kept: int) -> None:
        """End the trainings of all candidates but the best."""
        column = self.column()
        sign = -1.0 if self.grows else 1.0

        def place(name: str) -> tuple[bool, bool, float]:
            scores = [_score_at(t, column, upto) for t in candidates[name]]
            early = any(t.given_up is not None and t.given_up < upto for t in candidates[name])
            return early, not np.all(np.isfinite(scores)), sign * float(np.mean(scores))

        for name in sorted(candidates, key=place)[kept:]:
            for training in candidates[name]:
                if not training.ended:
                    training.given_up = upto
                    self._end(training)

    def score(self, name: str) -> float:
        """The mean score of a candidate; NaN where a training failed or diverged."""
        some = self.trainings[name]
        if any(t.wrong is not None for t in some):
            return float("nan")
        return float(np.mean([t.score(self.column()) for t in some]))

    def column(self) -> str:
        """The column of the history that candidates are ranked by."""
        histories = [t.history for some in self.trainings.values() for t in some if t.history is not None]
        reported = [h.columns for h in histories if h.columns]
        if not reported:
            self._all_failed()
        columns = reported[0]
        wanted = self.ranked.monitor
        if wanted is None:
            wanted = next((c for c in ("validation_accuracy", "validation_loss") if c in columns), columns[0])
        if wanted not in columns:
            raise ConfigurationError(
                "a sweep ranks by a column of the history",
                given=repr(wanted),
                expected=", ".join(columns),
                hint=near(str(wanted), columns),
            )
        if wanted.removeprefix("validation_") == "loss" and not self.ranked.one_loss:
            others = [c for c in columns if c.removeprefix("validation_") != "loss"]
            raise ConfigurationError(
                "losses of different kinds cannot be compared",
                given=f"a choice of losses, ranked by {wanted}",
                expected=f"monitor={others[-1]!r}" if others else "a metric that is the same for all",
                hint=None if others else 'metrics=["absolute_error"], monitor="validation_absolute_error"',
            )
        return wanted

    @cached_property
    def grows(self) -> bool:
        """Whether that column should grow."""
        given = [t.recipe.settings.get("metrics") or () for some in self.trainings.values() for t in some]
        names = {metric(m)[0] for metrics in given for m in metrics}
        return should_grow(self.column(), self.ranked.larger_is_better, names)

    def ranking(self) -> Ranking:
        """All candidates, best first."""
        column = self.column()
        rows = [self._row(name, column) for name in self.trainings]
        if not any(np.isfinite(row.mean) and not row.failed for row in rows):
            self._all_failed()
        sign = -1.0 if self.grows else 1.0
        last = self.epochs + 1

        def place(row: Candidate) -> tuple[Any, ...]:
            return bool(row.failed), not np.isfinite(row.mean), -(row.stopped or last), sign * row.mean

        rows.sort(key=place)
        dealt = self.examples.folds
        return Ranking(
            column, self.seeds, tuple(rows), None if dealt is None else len(dealt), self.examples.share, self.grows
        )

    def _row(self, name: str, column: str) -> Candidate:
        some = self.trainings[name]
        wrong = next((t.wrong for t in some if t.wrong is not None), None)

        def runs() -> tuple[Any, ...]:
            return () if wrong is not None else tuple(run_of(self.examples, t, self.epochs) for t in some)

        return Candidate(
            name,
            dict(self.chosen[name]),
            np.array([t.score(column) for t in some]),
            tuple(t.history for t in some),
            float(np.mean([t.seconds for t in some])),
            max((t.parameter_count for t in some), default=0),
            max((t.given_up for t in some if t.given_up is not None), default=None),
            "" if wrong is None else reason(wrong),
            runs,
        )

    def _all_failed(self) -> None:
        """The error of a sweep without a winner."""
        first: dict[str, str] = {}
        errors = [t.wrong for some in self.trainings.values() for t in some if t.wrong is not None]
        for name, some in self.trainings.items():
            why = next((reason(t.wrong) for t in some if t.wrong is not None), None)
            first.setdefault(why or "it diverged: a number was no longer finite", name)
        rates = any("diverged" in why for why in first)
        kind = type(errors[0]) if errors and isinstance(errors[0], ChainruleError) and len(first) == 1 else None
        raise (kind or ConfigurationError)(
            "every candidate of the sweep failed"
            if len(self.trainings) > 1
            else "the one candidate of the sweep failed",
            given="; ".join(f"{name}: {why}" for why, name in list(first.items())[:5]),
            hint="smaller learning rates, or clip_norm=1" if rates else getattr(errors[0], "hint", None),
        ) from (errors[0] if errors and isinstance(errors[0], Exception) else None)


def _score_at(training: Training, column: str, upto: int) -> float:
    """What a training reported for an epoch, or for its last before; NaN where it diverged."""
    history = training.history
    if training.wrong is not None or history is None or 0 < (history.diverged or 0) <= upto:
        return float("nan")
    return float(history[column][:upto][-1])


class Taken:
    """The trainings of a program that a thread has taken, and what it takes them from."""

    def __init__(self, program: Program, first: Training, race: Race) -> None:
        self.taken, self._program, self._race = [first], program, race

    @property
    def over(self) -> bool:
        """Whether all is to end where it is."""
        return self._race.over

    def take(self) -> Training | None:
        """One that waits, or None."""
        with self._race.lock:
            if not self._program.waiting:
                return None
            self.taken.append(self._program.waiting.pop(0))
            return self.taken[-1]


def reason(error: Exception | str) -> str:
    """An error in a line."""
    if isinstance(error, ChainruleError):
        return error.what + (f" ({error.given})" if error.given is not None else "")
    return error if isinstance(error, str) else f"{type(error).__name__}: {error}".split("\n")[0]


class Line:
    """How many trainings are done, in one line that is written over."""

    def __init__(self, shown: bool) -> None:
        self.shown, self.total, self.done = shown, 0, 0
        self._lock = Lock()

    def show(self, more: int) -> None:
        """So many more are done."""
        with self._lock:
            self.done += more
            if self.shown:
                sys.stderr.write(f"\r{self.done}/{self.total} trained")
                sys.stderr.flush()

    def end(self) -> None:
        """Leave the line standing."""
        if self.shown:
            sys.stderr.write("\n")
