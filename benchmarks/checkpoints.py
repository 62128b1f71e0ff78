"""What it costs to keep a training while it goes on: not at all, as by default once a minute, and every second."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers import Chainrule, Peer
from benchmarks.report import section
from benchmarks.step import contest
from benchmarks.workloads import Workload, large, watched

LONGER = {"64-64-64-10": 10, "784-512-256-10": 3}
"""So many times the epochs of the other benchmarks, so that a round takes a second or more."""


class Kept(Chainrule):
    """This project, with a checkpoint every minute; the clock is looked at after every call."""

    title = "kept, by default (every minute)"
    often: ClassVar[dict[str, Any]] = {}

    def __init__(self, workload: Workload) -> None:
        import chainrule as cr
        from chainrule.train.checkpoints import Keeper

        super().__init__(workload)
        self.folder = tempfile.TemporaryDirectory()
        kept = cr.Checkpoints(Path(self.folder.name) / "run", **self.often)
        self.keeper = Keeper(kept, self.trainer, 1_000_000).__enter__()  # the process ends with it

    def train(self, epochs: int) -> None:
        trainer = self.trainer
        end = trainer.history.epochs + epochs
        while (left := end - trainer.history.epochs) > 0:
            now, stop = self.keeper.next(min(trainer.chunk, left))
            trainer.advance(now, min(trainer.chunk, left - now), stop)
            self.keeper.after()


class EverySecond(Kept):
    """The same, sixty times as often."""

    title = "kept every second"
    often: ClassVar[dict[str, Any]] = {"every_minutes": 1 / 60}


LIMIT = 1.03
"""How many times as long a training may take that is kept as by default."""


def checkpoints(rounds: int, smoke: bool) -> Iterator[str]:
    """A section of the report for a small network and for a larger one."""
    for whole in (watched(), large()):
        workload = whole.short() if smoke else replace(whole, epochs=whole.epochs * LONGER[whole.name])
        peers: list[type[Peer]] = [Chainrule, Kept, EverySecond]
        [(_, results)] = contest(peers, [workload], rounds)
        yield section(
            f"Keeping {workload.name}, {len(workload.X):,} rows in batches of {workload.batch_size}",
            results,
            "µs per step",
            1e6 / workload.steps,
            f"loss after {workload.epochs} epochs",
        )
        if rounds:
            ratio = results[1].ratio(results[0])[0]
            yield f"{Kept.title}: {ratio:.3f}, {'at most' if ratio <= LIMIT else 'NOT at most'} {LIMIT:.2f}\n"
