"""What a compiled training is made of, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from chainrule.graph.node import Node

RUNNING, STOPPED_EARLY, NOT_FINITE = 0, 1, 2


@dataclass(frozen=True)
class Turn:
    """What happens to a batch: one update, or one of several that take turns.

    Attributes:
        carry: for each leaf that changes (parameters, states) its next value.
        outputs: numbers of a step, averaged over the epoch by the number of rows (or summed).
        watched: numbers of a step, or lists of them, that are sampled as they are, not averaged.
    """

    carry: Mapping[Node, Node]
    outputs: tuple[Node, ...]
    watched: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What the program is made of.

    Attributes:
        turns: what happens to every batch, one after the other.
        examples: the leaves that hold examples, one per row of the first axis.
        validation: numbers computed on the validation rows after every epoch, likewise.
        totals: whether outputs and validation are summed instead of averaged.
        constants: named constants: they are arguments of the program, so that another learning rate does
            not compile another program.
        batch_size: rows in a step.
        monitor: the column of the history (outputs, then validation) that early stopping watches, or None.
        larger_is_better: the direction of the monitored number.
        patience: epochs without improvement before it stops.
        min_delta: what counts as an improvement.
        every: the first step is sampled, and every so many-th after it.
        validation_rows: so many rows are validated at once.
        draws: the random numbers of a step; ``counter`` is the leaf that counts the steps, and ``seed`` the seed.
    """

    turns: tuple[Turn, ...]
    examples: tuple[Node, ...]
    validation: tuple[Node, ...]
    totals: bool
    constants: Mapping[Node, Any]
    batch_size: int
    monitor: int | None = None
    larger_is_better: bool = False
    patience: int = 0
    min_delta: float = 0.0
    every: int = 1
    validation_rows: int = 4096
    draws: tuple[Node, ...] = ()
    counter: Node | None = None
    seed: int = 0

    @property
    def carry(self) -> dict[Node, Node]:
        """For each leaf that changes its next value."""
        return {leaf: new for turn in self.turns for leaf, new in turn.carry.items()}

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The numbers that are averaged over an epoch."""
        return tuple(n for turn in self.turns for n in turn.outputs)

    @property
    def watched(self) -> tuple[Node, ...]:
        """The numbers that are sampled."""
        return tuple(n for turn in self.turns for n in turn.watched)


WHOLE = 2**31 - 1
"""Where an epoch ends that is not parted: behind every step."""


class Span(NamedTuple):
    """Which steps of an epoch are made: from ``begin`` on, before ``end``; and whether it is known that it is all."""

    begin: Any
    end: Any
    whole: bool = False


@dataclass(frozen=True)
class Inside:
    """Where a training stands within an epoch.

    Attributes:
        steps: so many steps of the epoch are done.
        start: the carry with which the epoch began.
        outputs: the outputs of its steps, a row each; of streamed examples those of the present block.
        seen: what was watched in them.
        total: of streamed examples, the sums of the outputs over the blocks before the present one.
        seen_before: and what was watched in those.
    """

    steps: int
    start: tuple[Any, ...]
    outputs: Any
    seen: Any
    total: Any
    seen_before: Any


@dataclass(frozen=True)
class Standing:
    """Where a training stands: all that it needs to go on, as arrays.

    Attributes:
        carry: the present value of every leaf that changes.
        best: that of the best epoch, where one is looked for.
        control: whether it goes on, the best number and its epoch, the number of epochs.
        sampled_at, samples: what was watched so far.
        inside: where in an epoch, or None between two.
    """

    carry: tuple[Any, ...]
    best: tuple[Any, ...]
    control: tuple[Any, ...]
    sampled_at: Any
    samples: Any
    inside: Inside | None = None
