"""Rules about what flows through the layers, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.explain.numbers import number
from chainrule.explain.patient import CannotTellError, Finding, Patient, last_quarter, percent, rule
from chainrule.explain.rules.network import FITS

DEAD, ALL_BUT, SATURATED = 0.5, 0.9, 0.5


@rule("dead units")
def _dead(patient: Patient) -> Iterator[Finding]:
    patient.end_of_training()
    idle = patient.facts.get("idle", {})
    limit = ALL_BUT if patient.has_learned else DEAD  # units that are not needed do no harm
    for name, share in patient.watched_of("dead", "activations").items():
        late = float(idle.get(name, np.median(last_quarter(share))))
        if late > limit:
            z = f"Z{name[1:]}"
            yield Finding(
                "dead units",
                name,
                f"{percent(late)} of the units are 0 for every example at the end of training",
                f"{percent(limit)}" + (" [debugger: DeadRelu]" if limit == DEAD else " where it has learned"),
                f"{patient.formula(name)}: where {z} ≤ 0 for all examples, d{z} = 0 and the unit's weights stand still",
                'a smaller learning rate, kernel_initializer="he_normal", or "leaky_relu"',
            )


@rule("saturated units")
def _saturated(patient: Patient) -> Iterator[Finding]:
    patient.end_of_training()
    for name, share in patient.watched_of("saturated", "activations").items():
        output = patient.quantities[name].node is patient.step.forms.get(patient.step.model.output)
        late = float(np.median(last_quarter(share)))
        if late > SATURATED and not output:
            z = f"Z{name[1:]}"
            yield Finding(
                "saturated units",
                name,
                f"{percent(late)} of the slopes ∂{name}/∂{z} are below 0.01 at the end of training",
                f"{percent(SATURATED)} [debugger: Saturation]",
                f"{patient.formula(name)}: d{z} = d{name} · slope, and the slope is almost 0 far from 0",
                'inputs of size 1, smaller initial weights, a smaller learning rate, or "relu"',
            )


VANISHING, EXPLODING = 1e-3, 1e3


def _signals(patient: Patient) -> tuple[str, dict[str, float]]:
    """The first layer, and how large the signal there is in units of each later layer's: the median over the steps."""
    rms = patient.watched_of("rms", "signals")
    if len(rms) < 3:
        raise CannotTellError("it takes three layers with weights")
    *later, first = rms  # the backward pass begins at the last layer
    out = {}
    for name in later:
        both = np.stack([rms[first], rms[name]])
        both = both[:, np.isfinite(both).all(axis=0) & (both[1] > 0)]
        if both.size:
            out[name] = float(np.median(both[0] / both[1]))
    if not out:
        raise CannotTellError("no derivative was finite and other than 0")
    return first, out


@rule("vanishing gradients")
def _vanishing(patient: Patient) -> Iterator[Finding]:
    first, ratios = _signals(patient)
    name, ratio = min(ratios.items(), key=lambda item: item[1])
    if ratio < VANISHING and "dead units" not in patient.found:
        yield Finding(
            "vanishing gradients",
            f"{first} against {name}",
            f"{first} is {number(ratio)} times {name} (root mean squares, median over the steps)",
            f"{VANISHING:g} [autotrainer]",
            f"{patient.formula(first)}, and so on up to {name}: a slope and a W for every layer, factors below 1",
            '"relu" or "tanh" with "he_normal" or "glorot_normal" weights, a skip connection, or fewer layers',
        )


@rule("exploding gradients")
def _exploding(patient: Patient) -> Iterator[Finding]:
    first, ratios = _signals(patient)
    name, ratio = max(ratios.items(), key=lambda item: item[1])
    if ratio > EXPLODING:
        yield Finding(
            "exploding gradients",
            f"{first} against {name}",
            f"{first} is {number(ratio)} times {name} (root mean squares, median over the steps)",
            f"{EXPLODING:g} [autotrainer]",
            f"{patient.formula(first)}, and so on up to {name}: a slope and a W for every layer, factors above 1",
            "smaller initial weights (he_normal, glorot_normal), or clip_norm=1",
        )


SPREAD, CHANCE, FAR = 100.0, 3.0, 30.0


@rule("poor initialisation")
def _initial(patient: Patient) -> Iterator[Finding]:
    if patient.watched.steps[0] > 0:
        raise CannotTellError("the first step was not watched")
    output = patient.step.forms.get(patient.step.model.output)
    rms = {q: float(v[0]) for q, v in patient.watched_of("rms", "activations").items() if len(v)}
    hidden = {q: v for q, v in rms.items() if patient.quantities[q].node is not output and np.isfinite(v)}
    if len(hidden) > 1:
        least, most = min(hidden, key=hidden.__getitem__), max(hidden, key=hidden.__getitem__)
        first, last = sorted((least, most), key=list(hidden).index)
        if hidden[most] > SPREAD * max(hidden[least], 1e-30):
            yield Finding(
                "poor initialisation",
                f"{first} against {last}",
                f"before the first step the signal goes from {number(hidden[first])} in {first} "
                f"to {number(hidden[last])} in {last}",
                f"a factor of {SPREAD:g} over all layers",
                "Z = A W + b: the spread of Z is that of A times √n times that of W",
                'kernel_initializer="he_normal" for ReLU, "glorot_normal" for tanh and sigmoid: σ = √(2/n), √(1/n)',
            )
            return
    start, advice = patient.numbers("J", "mean")[0], "smaller initial weights, above all in the last layer"
    if "inputs not scaled" in patient.found:
        advice += ", and inputs of size 1"
    if patient.step.labels is None:
        return
    chance = math.log(max(len(patient.facts["counts"]), 1))
    if patient.classes > 1 and patient.step.loss.name in FITS and start > CHANCE * chance:
        yield Finding(
            "poor initialisation",
            "J before the first step",
            f"J = {number(start)}",
            f"{CHANCE:g} times {number(chance)}, which equal outputs cost (ln K = {number(chance)} "
            f"for K = {len(patient.facts['counts'])} classes) [cs231n]",
            "the initial outputs are far from equal: large weights make sure and wrong predictions",
            advice,
        )
    square = patient.facts.get("square")
    squared = patient.step.loss.name == "squared_error" and not patient.classes and square
    if squared and start > FAR * max(square, patient.facts["baseline"]):
        yield Finding(
            "poor initialisation",
            "J before the first step",
            f"J = {number(start)}",
            f"{FAR:g} times {number(square)}, the mean square of the labels, which an output of 0 costs",
            f"the initial {patient.output} is far larger than any label: (ŷ − y)² begins in the thousands",
            advice,
        )
