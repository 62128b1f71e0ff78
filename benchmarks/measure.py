"""How both benchmarks measure: in every round each contestant has its turn, and is compared within that round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from benchmarks.workloads import Workload

PAUSE = 0.25
"""Seconds before a turn: the threads of the one before go on spinning for a while (OpenMP's up to 0.2 s)."""


class Contestant(Protocol):
    """A library with its turn to train."""

    title: str

    def start(self) -> tuple[float, float]:
        """Train for a first round, so that everything is loaded and compiled; its seconds, and the loss after it."""

    def turn(self) -> float:
        """Train for a round; the seconds it took."""


@dataclass(frozen=True)
class Result:
    """What a contestant did: the seconds of its rounds, and the training loss after the first."""

    title: str
    seconds: list[float]
    loss: float

    def ratio(self, ours: Result) -> tuple[float, float, float]:
        """How many times as long as ours a round takes: median and quartiles over the rounds."""
        low, middle, high = np.quantile(np.divide(self.seconds, ours.seconds), [0.25, 0.5, 0.75])
        return float(middle), float(low), float(high)


def race(contestants: Sequence[Contestant], workload: Workload, rounds: int) -> list[Result]:
    """Let them take turns, in reversed order in every second round; none runs while another does.

    The first round only warms up; where no other is asked for, it has to do.
    """
    firsts = [contestant.start() for contestant in contestants]
    results = [Result(c.title, [], loss) for c, (_, loss) in zip(contestants, firsts, strict=True)]
    _check(workload, results)
    if not rounds:
        return [replace(result, seconds=[seconds]) for result, (seconds, _) in zip(results, firsts, strict=True)]
    places = list(range(len(contestants)))
    for _ in range(rounds):
        for place in places:
            time.sleep(PAUSE)
            results[place].seconds.append(contestants[place].turn())
        places.reverse()
    return results


def _check(workload: Workload, results: Sequence[Result]) -> None:
    """That all have learned, and about as much as ours: otherwise their times say nothing."""
    ours, untrained = results[0].loss, workload.untrained_loss()
    for result in results:
        if not (result.loss < untrained and ours / 2 < result.loss < ours * 2):
            raise SystemExit(
                f"{workload.name}: after {workload.steps} steps {result.title} has a loss of {result.loss:.4g}, "
                f"chainrule one of {ours:.4g}, an untrained network about {untrained:.4g}: they do not do the same"
            )
