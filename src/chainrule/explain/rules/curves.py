"""Rules about the curves of training and validation loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.explain.numbers import number
from chainrule.explain.patient import Finding, Patient, percent, rule

STILL = 0.99


@rule("loss not falling")
def _not_falling(patient: Patient) -> Iterator[Finding]:
    patient.epochs(5)
    best, baseline = float(patient.loss.min()), patient.baseline
    if best > STILL * baseline:
        yield Finding(
            "loss not falling",
            "J",
            f"the smallest loss of {len(patient.loss)} epochs is {number(best)}",
            f"{number(STILL * baseline)}: {percent(STILL)} of what the best constant prediction costs "
            "[debugger: LossNotDecreasing]",
            "J = 1/m Σ L: the network says the same of every example",
            "a larger learning rate, other initial weights; and check that labels belong to their examples",
        )


OSCILLATES, ROUGH, SEEN = 0.4, 0.2, 0.05


@rule("loss oscillating")
def _oscillating(patient: Patient) -> Iterator[Finding]:
    patient.epochs(10)
    late = patient.loss[len(patient.loss) // 2 :]
    change = np.diff(late)
    ups = float(np.mean(change > 0))
    size = float(np.abs(change).mean() / max(float(np.median(np.abs(late))), 1e-30))
    start = float(patient.facts["baseline"] or patient.loss[0])
    if ups > OSCILLATES and size > ROUGH and float(np.abs(change).mean()) > SEEN * start:
        yield Finding(
            "loss oscillating",
            "J",
            f"in the second half {percent(ups)} of the epochs end higher, by {percent(size)} of the loss on average",
            f"{percent(OSCILLATES)} and {percent(ROUGH)} [autotrainer], and {percent(SEEN)} of {number(start)}",
            "W ← W − α dW steps over the valley and back",
            "a smaller learning rate, a larger batch, or a schedule that lowers the rate",
        )


OVERFIT, NOTICED, GAP, MEMORY = 1.2, 0.02, 0.5, 0.2


@rule("over-fitting")
def _overfitting(patient: Patient) -> Iterator[Finding]:
    validation, loss = patient.validation, patient.loss
    patient.epochs(10)
    kept = (patient.run.history.best_epoch or len(validation)) - 1
    smooth = np.convolve(validation, np.ones(3) / 3, mode="valid")  # number k is the mean around epoch k + 1
    low = int(smooth.argmin())
    least, now = float(smooth[low]), float(smooth[min(max(kept - 1, 0), len(smooth) - 1)])
    constant = patient.facts.get("validation_baseline") or math.inf
    advice = "early_stopping=10, weight_decay, a smaller network, or more examples"
    noticed = NOTICED * (constant if constant < math.inf else least)
    if now > max(OVERFIT * least, least + noticed, OVERFIT * loss[kept]) and loss[kept] < loss[low + 1]:
        yield Finding(
            "over-fitting",
            f"epoch {low + 2}",
            f"the validation loss rises from {number(least)} to {number(now)} "
            f"while the training loss falls to {number(loss[kept])}",
            f"{percent(OVERFIT - 1)} above its lowest point [debugger: Overfit]",
            "J is the mean over the training examples alone",
            advice,
        )
        return
    rises = now > (1 + OVERFIT) / 2 * least
    share = GAP / 2 if rises else GAP
    if now - loss[kept] > share * constant and loss[kept] < MEMORY * now:
        yield Finding(
            "over-fitting",
            f"epoch {kept + 1}",
            f"the training loss is {number(loss[kept])}, the validation loss {number(now)}"
            + (f", which was {number(least)} before" if rises else ""),
            f"{percent(share)} of {number(constant)}, which a constant prediction costs, lie between them",
            "J is the mean over the training examples alone: they were learned by heart",
            advice,
        )


NOTHING, LEARNED, BY_CHANCE = 0.97, 0.95, 5.0


@rule("labels shuffled")
def _shuffled(patient: Patient) -> Iterator[Finding]:
    patient.epochs(10)
    validation, baseline = patient.validation, patient.validation_baseline
    best, learned = float(validation.min()), float(patient.loss.min())
    if patient.classes and "validation_accuracy" in patient.run.history:  # sure and wrong is not shuffled
        counts, rows = patient.facts["counts"], int(patient.run.settings.get("validation_rows") or 1)
        largest = max(counts) / sum(counts)
        by_chance = largest + BY_CHANCE * math.sqrt(largest * (1 - largest) / rows)
        if patient.run.history["validation_accuracy"].max() > by_chance:
            return
    if best > NOTHING * baseline and learned < LEARNED * patient.baseline:
        yield Finding(
            "labels shuffled",
            "Y",
            f"the training loss falls to {number(learned)}, the validation loss never below {number(best)}",
            f"{percent(NOTHING)} of {number(baseline)}, which a constant prediction costs",
            "what is learned from the examples says nothing of others: their labels may not be theirs",
            "check the order of rows and labels after every join, sort and filter",
        )
