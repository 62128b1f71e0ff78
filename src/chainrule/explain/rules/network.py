"""Rules about the network and its loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.explain.numbers import number
from chainrule.explain.patient import CannotTellError, Finding, Patient, rule

FITS = {"binary_cross_entropy": ("sigmoid", "softmax"), "categorical_cross_entropy": ("softmax",)}
PROBABILITIES = ("sigmoid", "softmax", "hard_sigmoid")


@rule("final activation")
def _final(patient: Patient) -> Iterator[Finding]:
    if len(patient.step.model.outputs) != 1:
        raise CannotTellError("it takes a network with one output")
    output, loss, facts = patient.step.model.output, patient.step.loss, patient.labelled
    last = output.op.name
    where = f"output {patient.output}"
    ranged = hasattr(output.op.facts, "range")
    ending = f"the last function is {last}" if ranged or last == "softmax" else "the last layer is linear"
    if last == "softmax" and output.shape[-1] == 1:
        yield Finding(
            "final activation",
            where,
            "softmax over a single unit, which is always 1",
            "sigmoid for one unit, softmax for one of each class",
            "softmax(z) = exp(z)/Σ exp(z) = 1, and so dZ = 0: nothing is learned",
            'Dense(1, "sigmoid") for two classes, Dense(1) for numbers',
        )
        return
    if loss.logits or loss.labels == "sign":
        return
    if loss.name in FITS and last not in FITS[loss.name]:
        yield Finding(
            "final activation",
            where,
            f"{loss.name} of an output that is no probability",
            f"{' or '.join(FITS[loss.name])} before {loss.name} [umlaut]",
            f"L = −Σ y log ŷ needs ŷ between 0 and 1; {ending}",
            f'Dense(…, "{FITS[loss.name][0]}") as the last layer',
        )
        return
    if patient.classes > 1 and last not in PROBABILITIES and loss.labels == "number":
        wanted = "softmax" if len(patient.facts["counts"]) > 2 or output.shape[-1] != 1 else "sigmoid"
        entropy = "categorical_cross_entropy" if wanted == "softmax" else "binary_cross_entropy"
        yield Finding(
            "final activation",
            where,
            f"labels of {patient.classes} classes, and an output that is no probability",
            f"{wanted}, with {entropy}, for classes [umlaut]",
            f"{loss.name} pulls ŷ to 0 and 1 from both sides, also where the class is right; {ending}",
            f'Dense({output.shape[-1]}, "{wanted}") as the last layer, with its own loss',
        )
        return
    if facts["counts"] or not ranged:
        return
    low, high = output.op.facts.range
    lowest, highest = facts["lowest"], facts["highest"]
    if lowest < low - 1e-6 or highest > high + 1e-6:
        yield Finding(
            "final activation",
            where,
            f"labels from {number(lowest)} to {number(highest)}",
            f"{last} reaches from {number(low)} to {number(high)} only",
            f"ŷ = {last}(Z) can never be such a label",
            "a linear last layer: Dense(1)",
        )


@rule("equal units")
def _symmetric(patient: Patient) -> Iterator[Finding]:
    patient.end_of_training()
    for name in patient.weights[:-1]:
        W = np.asarray(patient.run.parameters[name])
        if W.shape[-1] > 1 and np.ptp(W, axis=-1).max() <= 1e-7 * max(float(np.abs(W).max()), 1e-30):
            yield Finding(
                "equal units",
                name,
                f"all {W.shape[-1]} units have the same weights after training",
                "units differ",
                f"units that start equal get equal gradients d{name} and stay equal: the layer is one unit wide",
                'random initial weights: kernel_initializer="glorot_uniform" or "he_normal"',
            )
