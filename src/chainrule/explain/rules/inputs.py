"""Rules about the examples: inputs and labels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.explain.numbers import number
from chainrule.explain.patient import Finding, Patient, percent, rule

UNSCALED, APART = 30.0, 100.0


@rule("inputs not scaled")
def _unscaled(patient: Patient) -> Iterator[Finding]:
    size = np.hypot(patient.facts["mean"], patient.facts["spread"])
    reach = np.array(patient.facts.get("reach", ()))
    if not size.size or not size.any():
        return
    worst = int(size.argmax())
    advice = "subtract each column's mean and divide by its spread"
    if not 1 / UNSCALED < size[worst] < UNSCALED:
        yield Finding(
            "inputs not scaled",
            patient.column(worst) if size[worst] > 1 else "all columns",
            f"numbers of size {number(size[worst])} (root mean square)"
            + ("" if size[worst] > 1 else " in the largest column"),
            f"{number(1 / UNSCALED)} to {UNSCALED:g}; size 1 suits the usual initial weights and rates [umlaut]",
            "dW1 = 1/m · Xᵀ dZ1: a column's gradient is as large as the column",
            advice,
        )
        return
    varied = np.flatnonzero(reach)
    if len(varied) > 1:
        least, most = varied[reach[varied].argmin()], varied[reach[varied].argmax()]
        if reach[most] > APART * reach[least]:
            yield Finding(
                "inputs not scaled",
                f"{patient.column(least)} against {patient.column(most)}",
                f"one column reaches over {number(reach[least])}, another over {number(reach[most])}",
                f"{APART:g} times as far",
                "dW1 = 1/m · Xᵀ dZ1: a column's gradient is as large as the column, and one rate suits not both",
                advice,
            )


@rule("labels not scaled")
def _labels_unscaled(patient: Patient) -> Iterator[Finding]:
    if patient.labelled["counts"] or patient.step.loss.labels != "number":
        return
    size = math.sqrt(patient.facts.get("square", 1.0))
    if not 1 / UNSCALED < size < UNSCALED and size > 0:
        yield Finding(
            "labels not scaled",
            "Y",
            f"numbers of size {number(size)} (root mean square)",
            f"{number(1 / UNSCALED)} to {UNSCALED:g}: outputs begin at size 1",
            f"dJ/d{patient.output} is as large as the labels, and with it every gradient",
            "subtract the mean of the labels and divide by their spread; undo it in the prediction",
        )


BORDER, IMAGE = 0.25, 30


@rule("constant inputs")
def _constant(patient: Patient) -> Iterator[Finding]:
    constant = patient.facts["constant"]
    columns = patient.facts["columns"]
    border = set(patient.facts.get("background", ()))
    if len(border) > BORDER * columns or columns < IMAGE:
        border = set()
    telling = [k for k, _ in constant if k not in border]
    if telling:
        yield Finding(
            "constant inputs",
            ", ".join(map(patient.column, telling[:8])) + (" …" if len(telling) > 8 else ""),
            f"{len(telling)} of {columns} columns {'has' if len(telling) == 1 else 'have'} one value only",
            f"none; of {IMAGE} columns and more at most a quarter may be background, such as the border of images",
            "a constant column is a second bias: it tells nothing of the label",
            "leave the column out, or find out why it is the same everywhere",
        )


@rule("duplicate inputs")
def _duplicates(patient: Patient) -> Iterator[Finding]:
    pairs = patient.facts["duplicates"]
    if pairs:
        yield Finding(
            "duplicate inputs",
            ", ".join(f"{patient.column(a)} and {patient.column(b)}" for a, b in pairs[:4])
            + (" …" if len(pairs) > 4 else ""),
            f"{len(pairs)} of {patient.facts['columns']} columns repeat another, but for scale and shift",
            "no two columns are the same",
            "their weights get the same gradient, and only their sum is determined",
            "keep one of them",
        )


LEAK, BEYOND = 0.98, 0.05


@rule("target leakage")
def _leakage(patient: Patient) -> Iterator[Finding]:
    alone = patient.labelled["alone"]
    if patient.facts["columns"] < 2:
        return
    (column, share), (_, second) = alone
    if share > LEAK and share - second > BEYOND:
        yield Finding(
            "target leakage",
            patient.column(column),
            f"this column alone explains {percent(share)} of the label, the next best {percent(second)}",
            f"{percent(LEAK)}, and {percent(BEYOND)} more than the next",
            "a column that is made from the label, or known only after it, will not be there when you predict",
            "find out where the column comes from, and train without it",
        )


IMBALANCE = 0.1


@rule("class imbalance")
def _imbalance(patient: Patient) -> Iterator[Finding]:
    counts = np.array(patient.labelled["counts"])
    counts = counts[counts > 0]
    if len(counts) < 2:
        return
    share = counts.min() / counts.mean()
    if share < 2 * IMBALANCE:
        yield Finding(
            "class imbalance",
            "labels",
            f"the rarest class has {counts.min()} examples, an average one {counts.mean():.0f}",
            f"{percent(2 * IMBALANCE)} of the average [debugger: ClassImbalance, 10 : 1 for two classes]",
            "J = 1/m Σ L: a class counts as much as it has examples",
            'class_weight="balanced", and a metric that does not reward guessing the largest class',
        )
