"""A search over architectures: candidates trained side by side, from several seeds each, ranked with their spread."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, near
from chainrule.graph.node import Node
from chainrule.nn import Layer, Model
from chainrule.nn.activations import activation_name
from chainrule.train.fit import Trainer
from chainrule.train.readings import READINGS
from chainrule.train.run import Run

Array = np.ndarray[Any, Any]
Factory = Callable[[], Any]


def search(
    candidates: Mapping[str, Factory] | Iterable[tuple[str, Factory]],
    X: Any,
    Y: Any = None,
    *,
    seeds: int | Sequence[int] = 3,
    epochs: int = 100,
    monitor: str | None = None,
    validation_data: Any = None,
    validation_split: float = 0.2,
    workers: int | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Ranking:
    """Train every candidate from several seeds, side by side, and rank them by what they reach on held-out examples.

    A seed decides initial parameters, order and, with ``validation_split``, which examples are held out; it does so
    for all candidates alike, so that differences between them can be taken seed by seed.

    Args:
        candidates: names and, for each, a function without arguments that makes the network; see :func:`grid`.
        X, Y: examples and labels, as in :func:`chainrule.fit`.
        seeds: how many trainings of each candidate, with the seeds 0, 1, …; or the seeds themselves.
        epochs: of each training.
        monitor: the column of the history to rank by; the validation accuracy for classes, else the validation loss.
        validation_data: what to validate on, the same for every seed.
        validation_split: or the share of the examples to hold out.
        workers: so many train at the same time; by default one for each core.
        progress: a live line with the count of trainings done; by default in a terminal only.
        settings: of every training, as in :func:`chainrule.fit`: loss, optimizer, batch_size, early_stopping …

    Returns:
        A :class:`Ranking`. The winner was chosen for its score, which therefore flatters it: measure it on examples
        that took no part in the search.

    Errors: a candidate that is not a function without arguments; a column that is not reported. What goes wrong in
    one training is raised with the candidate's name. A training that diverges is ranked last, and counted.

    >>> import numpy as np, chainrule as cr
    >>> x = np.linspace(-2, 2, 60)
    >>> def network(width):
    ...     return cr.Sequential(cr.Dense(width, "tanh"), cr.Dense(1))
    >>> ranking = search(grid(network, width=[1, 8]), x, x**2, epochs=200, learning_rate=0.02, seeds=2)
    >>> ranking.best
    'width 8'
    """
    named = _named(candidates)
    chosen = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ConfigurationError("seeds are a count of at least 1, or different whole numbers", given=repr(seeds))
    held_out = {"validation_data": validation_data, "validation_split": 0.0 if validation_data else validation_split}
    train = partial(_train, X=X, Y=Y, epochs=epochs, settings={**settings, **held_out})
    count = workers or os.cpu_count() or 1
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait  # with logging: not at the door

    line = _Line(len(chosen) * len(named), sys.stderr.isatty() if progress is None else progress)
    done: dict[tuple[str, int], tuple[Run, float]] = {}
    with ThreadPoolExecutor(count, "candidate") as pool:  # the compiled programs run outside of Python's lock
        work = {pool.submit(train, name, named[name], seed): (name, seed) for seed in chosen for name in named}
        open_: set[Future[tuple[Run, float]]] = set(work)
        try:
            while open_:
                ended, open_ = wait(open_, return_when=FIRST_COMPLETED)
                done |= {work[f]: f.result() for f in ended}
                line.show(len(done))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    line.end()
    column = _monitor(done[next(iter(named)), chosen[0]][0], monitor)
    rows = [
        Candidate(
            name,
            tuple(done[name, s][0] for s in chosen),
            np.array([_score(done[name, s][0], column) for s in chosen]),
            float(np.mean([done[name, s][1] for s in chosen])),
        )
        for name in named
    ]
    sign = -1.0 if column.endswith("accuracy") else 1.0
    rows.sort(key=lambda c: (not np.isfinite(c.mean), sign * c.mean))
    return Ranking(column, tuple(chosen), tuple(rows))


def grid(network: Callable[..., Any], **choices: Iterable[Any]) -> dict[str, Factory]:
    """Every combination of choices as a candidate of a search.

    Args:
        network: a function that makes a network from one of each.
        choices: the values to try, by the name of the argument.

    >>> import chainrule as cr
    >>> def network(activation, width):
    ...     return cr.Sequential(cr.Dense(width, activation), cr.Dense(1))
    >>> list(grid(network, activation=["tanh", "relu"], width=[4, 8]))
    ['activation tanh, width 4', 'activation tanh, width 8', 'activation relu, width 4', 'activation relu, width 8']
    """
    values = {key: list(some) for key, some in choices.items()}
    if not values or not all(values.values()):
        raise ConfigurationError("a grid needs values for every choice", given=", ".join(values) or "no choice")
    combinations = [dict(zip(values, some, strict=True)) for some in product(*values.values())]
    return {
        ", ".join(f"{key} {_written(value)}" for key, value in some.items()): partial(network, **some)
        for some in combinations
    }


def _written(value: Any) -> str:
    return activation_name(value) if callable(value) else str(value)


@dataclass(frozen=True, eq=False)
class Candidate:
    """What became of a candidate.

    Attributes:
        name: of the candidate.
        runs: the trained networks, one for each seed.
        scores: what each reached, in the same order; NaN where training diverged.
        seconds: that a training took, on average, beside the others.
    """

    name: str
    runs: tuple[Run, ...]
    scores: Array
    seconds: float

    @property
    def mean(self) -> float:
        """The mean of the scores; NaN where a training diverged."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """The standard deviation of the scores between seeds; NaN where there is one."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else float("nan")

    @property
    def parameter_count(self) -> int:
        """How many numbers it learns."""
        return self.runs[0].model.parameter_count


@dataclass(frozen=True, eq=False)
class Ranking:
    """The candidates of a search, best first. Prints as a table; ``ranking["name"]`` is one of them.

    Attributes:
        monitor: the column of the history that they are ranked by.
        seeds: that each was trained from.
        candidates: the rows.
    """

    monitor: str
    seeds: tuple[int, ...]
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> str:
        """The name of the candidate with the best mean."""
        return self.candidates[0].name

    def behind(self, name: str) -> tuple[float, float]:
        """How far a candidate is behind the best, and within what the truth lies: the half-width of 95%.

        Differences are taken seed by seed, and their mean is judged with Student's t; with one seed nothing is known
        of the width, which is NaN.
        """
        sign = 1.0 if self.monitor.endswith("accuracy") else -1.0
        by_seed = sign * (self.candidates[0].scores - self[name].scores)
        n = len(by_seed)
        if n < 2:
            return float(by_seed.mean()), float("nan")
        from scipy.special import stdtrit

        return float(by_seed.mean()), float(stdtrit(n - 1, 0.975) * by_seed.std(ddof=1) / np.sqrt(n))

    @property
    def ties(self) -> tuple[str, ...]:
        """The best, and those of which so few seeds do not show that they are worse."""
        others = ((c.name, *self.behind(c.name)) for c in self.candidates[1:])
        return (self.best, *(name for name, gap, within in others if gap <= within))

    def __getitem__(self, name: str) -> Candidate:
        found = {c.name: c for c in self.candidates}
        if name not in found:
            raise ConfigurationError(
                "no such candidate", given=repr(name), expected=", ".join(found), hint=near(str(name), found)
            )
        return found[name]

    def __len__(self) -> int:
        return len(self.candidates)

    def figure(self) -> Any:
        """Every score, means and spreads as a Matplotlib figure, best on top."""
        return READINGS["ranking"](self)

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()  # type: ignore[no-any-return]

    def __str__(self) -> str:
        """A row for each candidate: mean, spread, how far behind the best, parameters, seconds."""
        width = max(len("candidate"), *(len(c.name) for c in self.candidates)) + 2
        title = self.monitor.replace("_", " ")
        lines = [
            f"{'':<{width}}{title:^22}",
            f"{'candidate':<{width}}{'mean':>10}{'± spread':>12}{'behind the best':>22}"
            f"{'parameters':>12}{'seconds':>9}",
        ]
        ties = self.ties
        for c in self.candidates:
            gap, within = self.behind(c.name)
            behind = "" if c.name == self.best else f"{gap:.4f} ± {within:.4f}"
            if c.name in ties and c.name != self.best:
                behind = f"{behind} ≈"
            diverged = int(np.sum(~np.isfinite(c.scores)))
            if diverged:
                behind = f"diverged: {diverged} of {len(c.scores)}"
            numbers = f"{c.mean:>10.4f}{c.spread:>12.4f}{behind:>22}"
            lines.append(f"{c.name:<{width}}{numbers}{c.parameter_count:>12,}{c.seconds:>9.1f}")
        lines.append(
            f"{len(self.seeds)} seeds each; behind: the mean difference, seed by seed, ± the half-width of 95%; "
            "≈ may be equal"
            if len(self.seeds) > 1
            else "one seed each: nothing is known of the spread"
        )
        return "\n".join(lines)

    __repr__ = __str__


def _named(candidates: Any) -> dict[str, Factory]:
    pairs = list(candidates.items()) if isinstance(candidates, Mapping) else [tuple(c) for c in candidates]
    for pair in pairs:
        if len(pair) != 2 or not callable(pair[1]) or isinstance(pair[1], (Layer, Model, Node)):
            raise ConfigurationError(
                "a candidate is a name and a function without arguments that makes its network",
                given=repr(pair[1] if len(pair) == 2 else pair),
                expected="such as ('wide', lambda: cr.Sequential(…)): every seed gets a network of its own",
            )
    named = {str(name): factory for name, factory in pairs}
    if not named or len(named) < len(pairs):
        raise ConfigurationError(
            "candidates have names of their own" if named else "there is no candidate",
            given=", ".join(str(name) for name, _ in pairs) or "none",
        )
    return named


def _train(name: str, factory: Factory, seed: int, X: Any, Y: Any, epochs: int, settings: Any) -> tuple[Run, float]:
    begin = time.perf_counter()
    try:
        trainer = Trainer(factory(), X, Y, seed=seed, **settings)
        trainer.run_epochs(epochs)
        return trainer.run({"epochs": epochs}), time.perf_counter() - begin
    except Exception as error:
        error.add_note(f"in the candidate {name!r}, seed {seed}")
        raise


def _monitor(run: Run, wanted: str | None) -> str:
    columns = run.history.columns
    if wanted is None:
        wanted = next((c for c in ("validation_accuracy", "validation_loss") if c in columns), None)
    if wanted not in columns:
        raise ConfigurationError(
            "a search ranks by a column of the history",
            given=repr(wanted),
            expected=", ".join(columns),
            hint=near(str(wanted), columns),
        )
    return wanted


def _score(run: Run, column: str) -> float:
    """The number of the epoch whose parameters the run has."""
    if run.history.diverged is not None:
        return float("nan")
    return run.history.row(run.history.best_epoch or -1)[column]


class _Line:
    """How many trainings are done, in one line that is written over."""

    def __init__(self, total: int, shown: bool) -> None:
        self.total, self.shown = total, shown

    def show(self, done: int) -> None:
        if self.shown:
            sys.stderr.write(f"\r{done}/{self.total} trained")
            sys.stderr.flush()

    def end(self) -> None:
        if self.shown:
            sys.stderr.write("\n")
