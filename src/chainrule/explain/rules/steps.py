"""Rules about the steps: how far one moves a weight."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.explain.numbers import number
from chainrule.explain.patient import CannotTellError, Finding, Patient, percent, rule
from chainrule.notation import write

STEP_LARGE, STEP_SMALL, STEP_USUAL, GROWN = 0.1, 1e-5, 1e-3, 10.0


def _step_ratios(patient: Patient) -> dict[str, float]:
    """For every weight matrix how large a step is against it: the median over the steps."""
    out = {}
    for name in patient.weights:
        ratio = patient.numbers(f"Δ{name}", "rms") / np.maximum(patient.numbers(name, "rms"), 1e-30)
        ratio = ratio[np.isfinite(ratio)]
        if ratio.size:
            out[name] = float(np.median(ratio))
    if not out:
        raise CannotTellError("no step was finite")
    return out


STUCK = ("dead units", "equal units", "vanishing gradients", "saturated units", "final activation")
"""What makes steps small whatever the learning rate is."""


@rule("update-to-weight ratio")
def _ratio(patient: Patient) -> Iterator[Finding]:
    loss, ratios = patient.loss, _step_ratios(patient)
    creeps = len(loss) > 0 and loss[-1] > CREEPS * loss[0]
    others_move = max(ratios.values()) > 0.1 * STEP_USUAL
    for name, ratio in ratios.items():
        slow = ratio < STEP_SMALL and (creeps or others_move) and not patient.found & set(STUCK)
        if ratio > STEP_LARGE or slow:
            yield Finding(
                "update-to-weight ratio",
                name,
                f"a step changes {name} by {_of_its_size(ratio)} (median over the steps)",
                f"{STEP_SMALL:g} to {STEP_LARGE:g}; about {STEP_USUAL:g} is usual [cs231n]",
                f"Δ{name} against {name}, in {_update_of(patient, name)}",
                "a smaller learning rate for it" if ratio > STEP_LARGE else "a larger learning rate for it",
            )


def _of_its_size(ratio: float) -> str:
    if ratio > 10:
        return f"{ratio:,.0f} times its size"
    return f"{percent(ratio)} of its size" if ratio > 0.01 else f"{number(ratio)} of its size"


def _update_of(patient: Patient, name: str) -> str:
    """``W1 ← W1 − α · dW1``, of any parameter."""
    parameter = patient.step.parameter_names[name]
    return f"{name} ← {write([patient.step.update.parameters[parameter]], names=patient.step.names)[0][0]}"


@rule("learning rate too large")
def _too_large(patient: Patient) -> Iterator[Finding]:
    name, ratio = max(_step_ratios(patient).items(), key=lambda item: item[1])
    advice = "a learning rate that is three to ten times smaller"
    if ratio > STEP_LARGE:
        yield Finding(
            "learning rate too large",
            name,
            f"a step changes {name} by {_of_its_size(ratio)} (median)",
            f"{percent(STEP_LARGE)}; about 0.1 % is usual [cs231n]",
            _update_of(patient, name),
            advice,
        )
        return
    for name in patient.weights:
        size = patient.numbers(name, "rms")
        usual = max(float(size[0]), np.shape(patient.run.parameters[name])[0] ** -0.5)
        if size[-1] > GROWN * usual:
            yield Finding(
                "learning rate too large",
                name,
                f"{name} has grown from {number(size[0])} to {number(size[-1])} (root mean squares)",
                f"{GROWN:g} times its initial size, or the usual one 1/√n",
                f"{_update_of(patient, name)}: the steps carry it far from where slopes are large",
                advice,
            )
            return


CREEPS, STEADY, UNBENT = 0.5, 0.8, 0.5


@rule("learning rate too small")
def _too_small(patient: Patient) -> Iterator[Finding]:
    patient.end_of_training()
    patient.epochs(1)
    name, ratio = max(_step_ratios(patient).items(), key=lambda item: item[1])
    loss = patient.loss
    if patient.found & set(STUCK) or loss[-1] <= CREEPS * loss[0]:
        return
    advice = "a learning rate that is ten to a hundred times larger"
    if ratio < STEP_SMALL:
        yield Finding(
            "learning rate too small",
            name,
            f"no weights move faster than {name}: a step changes it by {_of_its_size(ratio)} (median)",
            f"{STEP_SMALL:g}; about {STEP_USUAL:g} is usual [cs231n]",
            _update_of(patient, name),
            advice,
        )
    elif ratio < STEP_USUAL and len(loss) >= 8:
        half = len(loss) // 2
        early, late = loss[0] - loss[half], loss[half] - loss[-1]
        if np.mean(np.diff(loss) < 0) >= STEADY and late > UNBENT * early > 0:
            yield Finding(
                "learning rate too small",
                f"J, and {name}",
                f"in {len(loss)} epochs the loss falls steadily, but from {number(loss[0])} to {number(loss[-1])} "
                f"only, in the second half by {percent(late / early)} of what it fell in the first; "
                f"a step changes {name} by {_of_its_size(ratio)}",
                f"half of its first value; {percent(UNBENT)}; about {STEP_USUAL:g} [cs231n]",
                _update_of(patient, name),
                advice + ", or more epochs",
            )
