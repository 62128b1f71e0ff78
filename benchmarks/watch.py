"""What watching costs: a training that is sampled at every step, at every tenth, not at all; and PyTorch, unhooked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from benchmarks.peers import PEERS, Chainrule, Peer
from benchmarks.report import section
from benchmarks.step import contest
from benchmarks.workloads import Workload, watched


class EveryTenth(Chainrule):
    """This project, with what a diagnosis needs sampled at every tenth step."""

    title = "watched, every 10th step"
    options: ClassVar[dict[str, Any]] = {"watch": True, "every": 10}


class EveryStep(Chainrule):
    """The same at every step."""

    title = "watched, every step"
    options: ClassVar[dict[str, Any]] = {"watch": True}


class Everything(Chainrule):
    """Mean, root mean square, extremes and zeros of every quantity of the step, at every tenth step."""

    title = "everything, every 10th step"
    options: ClassVar[dict[str, Any]] = {
        "watch": ["activations", "sums", "parameters", "gradients", "signals", "updates", "states"],
        "every": 10,
    }


LIMITS = {EveryTenth.title: 1.10, EveryStep.title: 1.50}
"""How many times the unwatched training they may take."""


def watch(names: Sequence[str], rounds: int, smoke: bool) -> Iterator[str]:
    """A section of the report; ``names`` are the peers that are installed."""
    peers: list[type[Peer]] = [Chainrule, EveryTenth, EveryStep, Everything]
    peers += [PEERS[name] for name in names if name == "pytorch"]
    workload: Workload = watched().short() if smoke else watched()
    [(_, results)] = contest(peers, [workload], rounds)
    yield section(
        f"Watching {workload.name}, {len(workload.X):,} rows in batches of {workload.batch_size}",
        results,
        "µs per step",
        1e6 / workload.steps,
        f"loss after {workload.epochs} epochs",
    )
    if not rounds:
        return
    ratios = {result.title: result.ratio(results[0])[0] for result in results}
    for title, limit in LIMITS.items():
        yield f"{title}: {ratios[title]:.2f}, {'at most' if ratios[title] <= limit else 'NOT at most'} {limit:.2f}\n"
    for result in results:
        if result.title.startswith(PEERS["pytorch"].title):
            less = ratios[EveryStep.title] < ratios[result.title]
            yield f"{EveryStep.title}: {'less' if less else 'NOT less'} than {result.title} without a hook\n"
