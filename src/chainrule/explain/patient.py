"""A run as the rules of a diagnosis see it, what they find in it, and the table of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.notation import write
from chainrule.train import Run
from chainrule.train.watch import Quantity, Watched, quantities

Array = np.ndarray[Any, Any]


LITTLE = 0.2
"""A network whose loss is a smaller part of the best constant prediction's has learned."""


class CannotTellError(Exception):
    """What a rule would need to run."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or likely to be.

    Attributes:
        rule: which rule found it.
        where: the layer, quantity or column.
        found: the number, in words.
        threshold: what it is compared with, and whose threshold that is.
        because: the formula term that is responsible.
        advice: what to try.
    """

    rule: str
    where: str
    found: str
    threshold: str
    because: str
    advice: str

    def __str__(self) -> str:
        rows = (("found", self.found), ("limit", self.threshold), ("because", self.because), ("try", self.advice))
        return "\n".join([f"{self.rule}: {self.where}", *(f"  {a:<8} {b}" for a, b in rows if b)])


class Patient:
    """A run with what rules ask of it."""

    def __init__(self, run: Run, columns: Sequence[str] = ()) -> None:
        self.run = run
        self.step = run.step
        self.columns = columns
        self.found: set[str] = set()

    def column(self, k: int) -> str:
        """What a column of the inputs is called."""
        return str(self.columns[k]) if k < len(self.columns) else f"column {k}"

    @cached_property
    def sampled(self) -> Watched:
        """What was sampled, also after the first number that was not finite."""
        if self.run.watched is None or not len(self.run.watched):
            raise CannotTellError("nothing was watched: train with watch=True, or ask at a step: run.at(step=0).why()")
        return self.run.watched

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was noted of the examples."""
        return self.sampled.facts

    @cached_property
    def spoilt(self) -> int | None:
        """The first step that was sampled whose cost or parameters were not finite."""
        told = [
            q for q in self.sampled.quantities if q == "J" or self._group(q) in ("parameters", "gradients", "updates")
        ]
        columns = [self.sampled.columns[k] for k in self.sampled.keys if k[0] in told]
        bad = ~np.isfinite(columns).all(axis=0) if columns else np.zeros(0, bool)
        return int(self.sampled.steps[bad.argmax()]) if bad.any() else None

    @cached_property
    def watched(self) -> Watched:
        """What was sampled while the numbers were finite."""
        if self.spoilt is None:
            return self.sampled
        all_of_it = self.sampled
        before = all_of_it.steps < self.spoilt
        if not before.any():
            raise CannotTellError("the numbers of every step that was watched are NaN or infinite")
        columns = [all_of_it.columns[k][before] for k in all_of_it.keys]
        of_epoch, facts = all_of_it.steps_per_epoch, all_of_it.facts
        return Watched(all_of_it.keys, columns, all_of_it.steps[before], all_of_it.every, of_epoch, facts)

    def _group(self, quantity: str) -> str:
        return self.quantities[quantity].group if quantity in self.quantities else ""

    def end_of_training(self) -> None:
        """A rule that looks at what training has led to asks for it."""
        if self.run.history.diverged == 1:
            raise CannotTellError("no epoch ended with finite numbers: the parameters are those of the start")

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """Everything that has a name."""
        return quantities(self.step)

    def numbers(self, quantity: str, statistic: str) -> Array:
        """The samples of a statistic."""
        if (quantity, statistic) not in self.watched.columns:
            raise CannotTellError(f"{statistic} of {quantity} was not watched: train with watch=True")
        return np.asarray(self.watched[quantity, statistic])

    def watched_of(self, statistic: str, group: str) -> dict[str, Array]:
        """The samples of a statistic for every quantity of a group, from the first layer to the last."""
        names = [q for q in self.watched.quantities if (q, statistic) in self.watched.columns]
        found = {q: self.numbers(q, statistic) for q in names if q in self.quantities}
        return {q: v for q, v in found.items() if self.quantities[q].group == group}

    @property
    def weights(self) -> list[str]:
        """The weight matrices, from the first layer to the last."""
        return [name for name, p in self.step.parameter_names.items() if p.ndim > 1]

    @property
    def loss(self) -> Array:
        """The training loss of every epoch that was finite."""
        if "loss" not in self.run.history:
            raise CannotTellError("several objectives take turns, there is no one loss")
        loss = self.run.history["loss"]
        return np.asarray(loss[np.isfinite(loss)])

    @property
    def validation(self) -> Array:
        """The validation loss of every epoch that was finite."""
        if "validation_loss" not in self.run.history:
            raise CannotTellError("there was no validation: give validation_split=0.2")
        loss = self.run.history["validation_loss"]
        return np.asarray(loss[np.isfinite(loss)])

    @property
    def baseline(self) -> float:
        """The loss of the best constant prediction."""
        return self._constant("baseline")

    @property
    def has_learned(self) -> bool:
        """Whether the loss has fallen to a small part of what the best constant prediction costs."""
        baseline = self.facts.get("baseline")
        return bool(baseline and len(self.loss) and self.loss[-1] < LITTLE * baseline)

    @property
    def validation_baseline(self) -> float:
        """What that costs on the validation examples."""
        return self._constant("validation_baseline")

    def _constant(self, which: str) -> float:
        baseline = self.facts.get(which)
        if baseline is None:
            raise CannotTellError(f"what a constant would reach is not known for the loss {self.step.loss.name}")
        return float(baseline)

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0 where they are numbers."""
        return sum(c > 0 for c in self.facts["counts"])

    @property
    def labelled(self) -> Mapping[str, Any]:
        """The facts, where there are labels."""
        if self.step.labels is None:
            raise CannotTellError("there are no labels, but a cost of one's own")
        return self.facts

    @property
    def output(self) -> str:
        """The network's output, as it is written."""
        return write([self.step.model.output], names=self.step.names)[0][0]

    def formula(self, name: str) -> str:
        """``A1 = ReLU(Z1)``."""
        node = self.quantities[name].node
        return f"{name} = {write([node], names=self.step.names)[0][0]}"

    def epochs(self, least: int) -> None:
        """A rule that needs some epochs asks for them."""
        if len(self.loss) < least:
            takes = f"{least} epoch{'' if least == 1 else 's'}" + (
                " of a finite loss" if self.run.history.diverged else ""
            )
            raise CannotTellError(f"it takes {takes}, this run has {len(self.loss)}")


Rule = Callable[[Patient], Iterator[Finding]]
RULES: dict[str, Rule] = {}
"""Every rule by name, in the order in which findings are shown: the likelier cause first."""


def rule(name: str) -> Callable[[Rule], Rule]:
    """Enter a rule."""

    def enter(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return enter


def last_quarter(samples: Array) -> Array:
    """The last quarter of what was sampled."""
    return samples[-max(1, len(samples) // 4) :]


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.0f} %"
