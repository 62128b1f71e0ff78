"""What a sweep found: its candidates, best first, with scores, spread, and how far each is behind the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, near
from chainrule.train.history import History
from chainrule.train.readings import READINGS
from chainrule.train.run import Run

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Candidate:
    """What became of a candidate.

    Attributes:
        name: of the candidate.
        choices: what was chosen for it.
        scores: what each of its trainings reached, in the order of seeds, and of folds within a seed; NaN where one
            diverged or failed.
        histories: what the epochs of each reported; None where one failed.
        seconds: that a training took, on average, beside the others.
        parameter_count: how many numbers it learns.
        stopped: the epoch after which it was given up as hopeless, or None.
        failed: why it failed, or nothing.
    """

    name: str
    choices: Mapping[str, Any]
    scores: Array
    histories: tuple[History | None, ...]
    seconds: float
    parameter_count: int = 0
    stopped: int | None = None
    failed: str = ""
    make_runs: Callable[[], tuple[Run, ...]] = field(default=tuple, repr=False)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The trained networks, in the order of the scores; none of a candidate that failed."""
        return self.make_runs()

    @property
    def mean(self) -> float:
        """The mean of the scores; NaN where a training diverged."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """The standard deviation of the scores between trainings; NaN where there is one."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else float("nan")

    @property
    def epochs(self) -> int:
        """The epochs of its longest training."""
        return max((h.epochs for h in self.histories if h is not None), default=0)

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end and every number is finite."""
        return not self.failed and self.stopped is None and bool(np.isfinite(self.mean))

    @property
    def remark(self) -> str:
        """What kept it from its end."""
        if self.failed:
            return f"failed: {self.failed}"
        diverged = int(np.sum(~np.isfinite(self.scores)))
        if diverged:
            return f"diverged: {diverged} of {len(self.scores)}"
        return "" if self.stopped is None else f"given up after epoch {self.stopped}"


@dataclass(frozen=True, eq=False)
class Ranking:
    """The candidates of a sweep, best first. Prints as a table; ``ranking["name"]`` is one of them.

    Attributes:
        monitor: the column of the history that they are ranked by.
        seeds: that each was trained from.
        candidates: the rows.
        folds: the number of folds of a cross-validation, or None.
        share: the number of examples that are held out at random over that of those trained on.
        larger_is_better: whether that column should grow.
    """

    monitor: str
    seeds: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    folds: int | None = None
    share: float = 0.0
    larger_is_better: bool = False

    @property
    def best(self) -> str:
        """The name of the candidate with the best mean."""
        return self.candidates[0].name

    @property
    def best_choices(self) -> Mapping[str, Any]:
        """What was chosen for it."""
        return self.candidates[0].choices

    def behind(self, name: str) -> tuple[float, float]:
        """How far a candidate is behind the best, and within what the truth lies: the half-width of 95%.

        Differences are taken training by training, and their mean is judged with Student's t; with one training
        nothing is known of the width, which is NaN. Trainings for which some examples are held out at random share most
        of the others, and vary less than new ones would: the variance is multiplied by 1 + n · (held out / trained on).
        Source: Nadeau and Bengio 2003.
        """
        sign = 1.0 if self.larger_is_better else -1.0
        differences = sign * (self.candidates[0].scores - self[name].scores)
        n = len(differences)
        if n < 2:
            return float(differences.mean()), float("nan")
        from scipy.special import stdtrit

        spread = differences.std(ddof=1) * np.sqrt(1 / n + self.share)
        return float(differences.mean()), float(stdtrit(n - 1, 0.975) * spread)

    @property
    def ties(self) -> tuple[str, ...]:
        """The best, and those of which so few trainings do not show that they are worse."""
        others = ((c.name, *self.behind(c.name)) for c in self.candidates[1:] if c.finished)
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

    def data(self) -> list[dict[str, Any]]:
        """The rows as plain data: choices, scores, mean, spread, epochs, seconds, remark; for a data frame."""
        return [
            {
                "candidate": c.name,
                **c.choices,
                "mean": c.mean,
                "spread": c.spread,
                "scores": c.scores.tolist(),
                "epochs": c.epochs,
                "seconds": c.seconds,
                "remark": c.remark,
            }
            for c in self.candidates
        ]

    def __str__(self) -> str:
        """A row for each candidate: mean, spread, how far behind the best, epochs, parameters, seconds."""
        width = max(len("candidate"), *(len(c.name) for c in self.candidates)) + 2
        title = self.monitor.replace("_", " ")
        sizes = len({c.parameter_count for c in self.candidates if not c.failed}) > 1
        head = f"{'mean':>10}{'± spread':>12}{'behind the best':>26}{'epochs':>8}"
        head += f"{'parameters':>12}" * sizes + f"{'seconds':>9}"
        lines = [f"{'':<{width}}{title:^22}", f"{'candidate':<{width}}{head}"]
        ties = self.ties
        for c in self.candidates:
            if c.failed:
                lines.append(f"{c.name:<{width}}  {c.remark}")
                continue
            gap, within = self.behind(c.name)
            known = f" ± {within:.4f}" if np.isfinite(within) else ""
            behind = c.remark or ("" if c.name == self.best else f"{gap:.4f}{known}")
            if c.name in ties and c.name != self.best:
                behind = f"{behind} ≈"
            spread = f"{c.spread:.4f}" if np.isfinite(c.spread) else ""
            row = f"{c.name:<{width}}{c.mean:>10.4f}{spread:>12}{behind:>26}{c.epochs:>8,}"
            lines.append(f"{row}{f'{c.parameter_count:>12,}' * sizes}{c.seconds:>9.1f}")
        return "\n".join([*lines, self._note()])

    def _note(self) -> str:
        trainings = len(self.candidates[0].scores)
        if trainings == 1:
            return "one training each: nothing is known of the spread"
        each = f"{len(self.seeds)} seeds each" if len(self.seeds) > 1 or not self.folds else ""
        each = f"{self.folds} folds{f' × {each}' if each else ' each'}" if self.folds else each
        one_by_one = "fold by fold" if self.folds else "seed by seed"
        return f"{each}; behind: the mean difference, {one_by_one}, ± the half-width of 95%; ≈ may be equal"

    __repr__ = __str__
