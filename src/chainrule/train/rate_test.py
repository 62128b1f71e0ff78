"""The learning rate found by trying: it grows from step to step, and the loss tells what is right and what too much."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.data.lazy import chosen
from chainrule.errors import ConfigurationError, near
from chainrule.optimize import Schedule
from chainrule.optimize import optimizer as optimizer_by_name
from chainrule.train.orders import order_of
from chainrule.train.readings import READINGS
from chainrule.train.trainer import Trainer, at_least_one

Array = np.ndarray[Any, Any]
SMOOTHING = 0.9
"""β of the running mean of the losses."""
MOST_NUMBERS = 1 << 26
"""Of examples so many numbers are taken, at most; beyond that the steps see the same ones again."""
BEGINNING = 10
"""So many steps tell where the loss began."""
NEAREST, FARTHEST = 3.0, 10.0
"""The rate lies so many times below the one at which the loss is down, at least and at most."""
NEARLY = 0.05
"""The loss is down where no more than this share of its way to the smallest is left: what follows may be flat."""


@dataclass(frozen=True, eq=False)
class RateTest:
    """What a range test saw, and the rate that follows from it. Prints as a sentence; ``float(test)`` is the rate.

    Attributes:
        learning_rate: the rate to train with, where the smoothed loss falls fastest, not far below where it is down.
        rates: the rate of every step.
        losses: the cost of each step's batch, before the step; a row for each seed, NaN from where it diverged.
        smoothed: their running mean, and the geometric mean of the seeds.
        lowest: the rate at which it is smallest.
        diverges: the rate at which it leaves all bounds, or None where it does not.
        optimizer: what the rate is for.
    """

    learning_rate: float
    rates: Array
    losses: Array
    smoothed: Array
    lowest: float
    diverges: float | None
    optimizer: str

    def __float__(self) -> float:
        return self.learning_rate

    def figure(self) -> Any:
        """The loss over the rate, and what was read off it, as a Matplotlib figure."""
        return READINGS["rate_test"](self)

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()  # type: ignore[no-any-return]

    def __str__(self) -> str:
        end = f"diverges at {self.diverges:.2g}" if self.diverges else f"does not diverge up to {self.rates[-1]:.2g}"
        return (
            f"learning rate {self.learning_rate:.2g} for {self.optimizer}: "
            f"the loss is smallest at {self.lowest:.2g} and {end}"
        )

    __repr__ = __str__


def find_learning_rate(
    network: Any,
    X: Any,
    Y: Any = None,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 200,
    seeds: int = 3,
    optimizer: Any = "adam",
    batch_size: int | None = 32,
    **settings: Any,
) -> RateTest:
    """Find the learning rate by a range test: it grows by one factor from step to step until the loss diverges.

    αₜ = low · (high/low)^(t/(steps−1)). The losses Lₜ of the steps are smoothed, Sₜ = β Sₜ₋₁ + (1 − β) Lₜ, over
    1 − βᵗ⁺¹, with β = 0.9, and averaged over the seeds; a test ends where S is as far above its beginning as it was
    ever below, or no longer finite. The rate is the one at which S falls fastest per factor of the rate, looked for
    between a tenth and a third of the rate at which S is down (a twentieth of its fall is left): above that it is flat
    or about to rise, and farther below the steepest place is often noise. Sources: Smith 2015 (the test); Howard and
    Gugger 2020, fast.ai (the steepest place, a tenth of the lowest).

    Every step is one of the compiled training that :func:`chainrule.fit` runs; the rate is a number that is fed.

    Args:
        network: as in :func:`chainrule.fit`; nothing is changed in it.
        X, Y: examples and labels.
        low, high: the first and the last rate.
        steps: how many there are between them.
        seeds: how often it is tried, with other initial parameters and another order.
        optimizer: by name, or as an object, whose rate does not count.
        batch_size: as it will be in training: the rate depends on it.
        settings: the others of a training: loss, sample_weight, dtype …

    Errors: ends that are not positive, or in the wrong order; rates by parameter in place of one; a loss that does not
    fall at any rate. The range takes the place of a schedule.

    >>> import numpy as np, chainrule as cr
    >>> x = np.linspace(-1, 1, 200)
    >>> found = find_learning_rate(cr.Sequential(cr.Dense(16, "tanh"), cr.Dense(1)), x, np.sin(3 * x))
    >>> 0.001 < found.learning_rate < 0.5
    True
    """
    numbers = all(isinstance(end, (int, float, np.number)) for end in (low, high))
    if not numbers or not (math.isfinite(high) and 0 < low < high):
        raise ConfigurationError(
            "the rates go from a positive number to a larger one",
            given=f"{low!r} to {high!r}",
            expected="such as low=1e-6, high=10.0",
        )
    if at_least_one(steps, "steps") < 20:
        raise ConfigurationError("so few steps show nothing", given=steps, expected="20 or more")
    known = tuple(inspect.signature(Trainer.__init__).parameters)[4:]
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None:
        raise ConfigurationError(
            "a range test has no such setting",
            given=unknown,
            expected=", ".join(known),
            hint=near(unknown, [*known, "low", "high", "steps", "seeds"]),
        )
    rule = optimizer_by_name(optimizer)
    if isinstance(rule.learning_rate, Schedule) or not isinstance(rule.learning_rate, (int, float)):
        rule = replace(rule, learning_rate=float(low))
    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    losses = np.full((at_least_one(seeds, "seeds"), steps), np.nan)
    runner: _Steps | None = None
    for seed, row in enumerate(losses):
        runner = runner or _Steps(
            Trainer(network, X, Y, optimizer=rule, batch_size=batch_size, devices=1, **settings), steps
        )
        for t, loss in enumerate(runner.through(rates, seed)):
            row[t] = loss
            if _diverged(row[: t + 1]):
                break
    return _read(rates, losses, type(rule).__name__)


class _Steps:
    """Single steps of a training, each with a rate that is fed, in the program that trains."""

    def __init__(self, trainer: Trainer, steps: int) -> None:
        from chainrule.engine.xla import Lanes

        self.trainer, self.alpha = trainer, trainer.step.update.rate
        if len(trainer.steps) > 1 or self.alpha not in trainer.epochs.plan.constants:
            raise ConfigurationError(
                "a range test is of one rate",
                given=f"{len(trainer.steps)} objectives, α = {self.alpha}",
                expected="one",
            )
        count, self.batch = trainer.rows, min(trainer.epochs.plan.batch_size, trainer.rows)
        numbers = sum(int(np.prod(a.shape[1:])) for a in trainer.epochs.examples)
        wanted = min(steps * self.batch, max(self.batch, MOST_NUMBERS // max(numbers, 1)))
        self.rows = order_of(count, 0, 0)[:wanted]
        data = [np.asarray(chosen(a, self.rows)) for a in trainer.epochs.examples]
        first, dtype = trainer.first_values(None, 0), trainer.settings["dtype"]
        self.lanes = Lanes(trainer.epochs.plan, first, data, self.batch, 0, 1, dtype)

    def through(self, rates: Array, seed: int) -> Iterator[float]:
        """The losses of the batches, each before its step, as long as they are finite."""
        first = self.trainer.first_values(None, seed)
        lane = self.lanes.begin(first, {self.alpha: rates[0]}, seed)
        in_a_pass = len(self.rows) // self.batch
        for t, rate in enumerate(rates):
            epoch, k = divmod(t, in_a_pass)
            order = order_of(len(self.rows), seed, epoch)[k * self.batch : (k + 1) * self.batch]
            lane.fixed = self.lanes.begin(first, {self.alpha: rate}, seed).fixed
            ((row,),) = self.lanes.run([lane], [order[None]], [np.zeros(0, np.int32)], [1])
            yield float(row[0])
            if not lane.running:
                return


def _diverged(losses: Array) -> bool:
    """Whether the loss is no longer finite, or as far above where it began as it was ever below.

    Where it began is known to within its spread from batch to batch, three times of which is nothing yet.
    """
    if not math.isfinite(losses[-1]):
        return True
    first = losses[:BEGINNING]
    smooth = smoothed(losses)
    return bool(
        smooth[-1] - first.mean() > max(first.mean() - smooth.min(), 3 * first.std()) and len(losses) > BEGINNING
    )


def smoothed(losses: Array) -> Array:
    """Sₜ = (β Sₜ₋₁ + (1 − β) Lₜ) with S₋₁ = 0, over 1 − βᵗ⁺¹."""
    out, mean = np.empty(len(losses)), 0.0
    for t, loss in enumerate(losses):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        out[t] = mean / (1 - SMOOTHING ** (t + 1))
    return out


def _read(rates: Array, losses: Array, optimizer: str) -> RateTest:
    """The rate that follows from the losses."""
    lengths = [int(np.argmin(np.isfinite([*row, np.nan]))) for row in losses]
    ended = min(lengths)
    if ended == 0:
        raise ConfigurationError(
            "the loss is not finite before the first step",
            given=f"{losses[lengths.index(0), 0]} at {rates[0]:.2g}",
            expected="a finite loss at the lowest rate",
            hint="numbers of X or Y so large that the loss overflows? Standardise them, or dtype='float64'",
        )
    curve = np.mean([smoothed(row[:ended]) for row in losses], axis=0)
    lowest = int(curve.argmin())
    slope = np.gradient(curve, np.log(rates[:ended]))
    first = losses[:, :BEGINNING]
    down = rates[int(np.argmax(curve <= curve[lowest] + NEARLY * (first.mean() - curve[lowest])))]
    near = np.flatnonzero((rates[:ended] >= down / FARTHEST) & (rates[:ended] <= down / NEAREST))
    steepest = int(near[slope[near].argmin()]) if len(near) else lowest
    if not len(near) or curve[lowest] >= first.mean() - 3 * first.std() / math.sqrt(first.size):
        raise ConfigurationError(
            "the loss falls at no rate of the range",
            given=f"{first.mean():.4g} at {rates[0]:.2g}, at its lowest {curve[lowest]:.4g} at {rates[lowest]:.2g}",
            hint="a wider range, such as low=1e-8; or nothing can be learned: run.why() of a training tells reasons",
        )
    diverges = None if ended == len(rates) else float(rates[ended])
    rate = float(rates[steepest])
    return RateTest(rate, rates, losses, curve, float(rates[lowest]), diverges, optimizer)
