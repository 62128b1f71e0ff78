"""Why a network does not train: rules over what was watched, each with its number, its threshold and what to try.

A rule looks at the run and returns findings, or raises :class:`CannotTellError` with what it would need. Where a
threshold is somebody's, the rule names the source; the others were chosen so that no rule speaks on healthy runs of
digits, iris, house prices and a curve, and each finds its planted faults (``tests/explain/test_diagnosis.py``). A rule
that would only repeat what an earlier one has found, such as small steps where all units are dead, is silent.

Sources: [debugger] Amazon SageMaker Debugger, built-in rules; [autotrainer] Zhang et al., AUTOTRAINER, ICSE 2021;
[umlaut] Schoop et al., UMLAUT, CHI 2021; [cs231n] Stanford CS231n, notes on neural networks 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.explain.numbers import number
from chainrule.notation import write
from chainrule.train import Run
from chainrule.train.readings import READINGS
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


@dataclass(frozen=True)
class Diagnosis:
    """What the rules say of a run. Prints as a report.

    Attributes:
        findings: what is wrong.
        silent: the rules that ran and found nothing.
        could_not_run: the rules that did not run, and what they need.
    """

    findings: tuple[Finding, ...]
    silent: tuple[str, ...]
    could_not_run: Mapping[str, str]

    def __str__(self) -> str:
        ran, all_of_them = len(self.silent), len(self.silent) + len(self.could_not_run)
        head = "nothing suspicious was found" if not self.findings else ""
        if head and 2 * ran < all_of_them:
            head += f", but only {ran} of {all_of_them} rules could look"
        lines = [*([head] if head else []), *("\n" + str(f) for f in self.findings)]
        if self.silent:
            lines += ["", f"found nothing ({len(self.silent)} rules): {', '.join(self.silent)}"]
        if self.could_not_run:
            rules: dict[str, list[str]] = {}
            for rule, need in self.could_not_run.items():
                rules.setdefault(need, []).append(rule)
            lines += ["", "could not run:"]
            lines += [f"  {need}\n    {', '.join(those)}" for need, those in rules.items()]
        return "\n".join(lines).lstrip("\n")

    __repr__ = __str__

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)


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
    def watched(self) -> Watched:
        """What was sampled."""
        if self.run.watched is None or not len(self.run.watched):
            raise CannotTellError("nothing was watched: train with watch=True")
        return self.run.watched

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What was noted of the examples."""
        return self.watched.facts

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
            raise CannotTellError(f"it takes {least} epochs, this run has {len(self.loss)}")


Rule = Callable[[Patient], Iterator[Finding]]
RULES: dict[str, Rule] = {}
"""Every rule by name, in the order in which findings are shown: the likelier cause first."""


def rule(name: str) -> Callable[[Rule], Rule]:
    """Enter a rule."""

    def enter(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return enter


def why(run: Run, columns: Sequence[str] = ()) -> Diagnosis:
    """Ask every rule why this run did not train as it should; ``columns`` are the names of the inputs' columns."""
    patient = Patient(run, columns)
    findings: list[Finding] = []
    silent: list[str] = []
    could_not: dict[str, str] = {}
    for name, ask in RULES.items():
        try:
            found = list(ask(patient))
        except CannotTellError as need:
            could_not[name] = str(need)
            continue
        findings += found
        patient.found |= {f.rule for f in found}
        if not found:
            silent.append(name)
    return Diagnosis(tuple(findings), tuple(silent), could_not)


READINGS["why"] = why


def _late(samples: Array) -> Array:
    """The last quarter of what was sampled."""
    return samples[-max(1, len(samples) // 4) :]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# --- numbers that are not numbers -------------------------------------------------------------------------


@rule("first bad number")
def _first_bad(patient: Patient) -> Iterator[Finding]:
    bad = patient.run.first_bad
    if patient.run.history.diverged is None:
        return
    if bad is None:
        yield Finding(
            "first bad number",
            f"epoch {patient.run.history.diverged}",
            "a loss that is not finite",
            "every number is finite",
            "",
            "a smaller learning rate, or clip_norm=1",
        )
        return
    place = "the validation" if bad.batch is None else f"batch {bad.batch}"
    where = ", ".join(f"{a} = {b}" for a, b in bad.operands)
    because = f"where {where}" + (f"; {bad.growth}" if bad.growth else "")
    found = f"{bad.quantity} = {bad.value}"
    yield Finding(
        "first bad number", f"epoch {bad.epoch}, {place}", found, "every number is finite", because, bad.advice
    )


# --- inputs and labels ------------------------------------------------------------------------------------

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
            f"this column alone explains {_percent(share)} of the label, the next best {_percent(second)}",
            f"{_percent(LEAK)}, and {_percent(BEYOND)} more than the next",
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
            f"{_percent(2 * IMBALANCE)} of the average [debugger: ClassImbalance, 10 : 1 for two classes]",
            "J = 1/m Σ L: a class counts as much as it has examples",
            'class_weight="balanced", and a metric that does not reward guessing the largest class',
        )


# --- the network and its loss -----------------------------------------------------------------------------

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


# --- signals through the layers ---------------------------------------------------------------------------

DEAD, ALL_BUT, SATURATED = 0.5, 0.9, 0.5


@rule("dead units")
def _dead(patient: Patient) -> Iterator[Finding]:
    idle = patient.facts.get("idle", {})
    limit = ALL_BUT if patient.has_learned else DEAD  # units that are not needed do no harm
    for name, share in patient.watched_of("dead", "activations").items():
        late = float(idle.get(name, np.median(_late(share))))
        if late > limit:
            z = f"Z{name[1:]}"
            yield Finding(
                "dead units",
                name,
                f"{_percent(late)} of the units are 0 for every example at the end of training",
                f"{_percent(limit)}" + (" [debugger: DeadRelu]" if limit == DEAD else " where it has learned"),
                f"{patient.formula(name)}: where {z} ≤ 0 for all examples, d{z} = 0 and the unit's weights stand still",
                'a smaller learning rate, kernel_initializer="he_normal", or "leaky_relu"',
            )


@rule("saturated units")
def _saturated(patient: Patient) -> Iterator[Finding]:
    for name, share in patient.watched_of("saturated", "activations").items():
        output = patient.quantities[name].node is patient.step.forms.get(patient.step.model.output)
        late = float(np.median(_late(share)))
        if late > SATURATED and not output:
            z = f"Z{name[1:]}"
            yield Finding(
                "saturated units",
                name,
                f"{_percent(late)} of the slopes ∂{name}/∂{z} are below 0.01 at the end of training",
                f"{_percent(SATURATED)} [debugger: Saturation]",
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


# --- steps ------------------------------------------------------------------------------------------------

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
    return f"{_percent(ratio)} of its size" if ratio > 0.01 else f"{number(ratio)} of its size"


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
            f"{_percent(STEP_LARGE)}; about 0.1 % is usual [cs231n]",
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
    name, ratio = max(_step_ratios(patient).items(), key=lambda item: item[1])
    loss = patient.loss
    if not len(loss) or patient.found & set(STUCK) or loss[-1] <= CREEPS * loss[0]:
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
                f"only, in the second half by {_percent(late / early)} of what it fell in the first; "
                f"a step changes {name} by {_of_its_size(ratio)}",
                f"half of its first value; {_percent(UNBENT)}; about {STEP_USUAL:g} [cs231n]",
                _update_of(patient, name),
                advice + ", or more epochs",
            )


# --- the curves -------------------------------------------------------------------------------------------

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
            f"{number(STILL * baseline)}: {_percent(STILL)} of what the best constant prediction costs "
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
            f"in the second half {_percent(ups)} of the epochs end higher, by {_percent(size)} of the loss on average",
            f"{_percent(OSCILLATES)} and {_percent(ROUGH)} [autotrainer], and {_percent(SEEN)} of {number(start)}",
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
            f"{_percent(OVERFIT - 1)} above its lowest point [debugger: Overfit]",
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
            f"{_percent(share)} of {number(constant)}, which a constant prediction costs, lie between them",
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
            f"{_percent(NOTHING)} of {number(baseline)}, which a constant prediction costs",
            "what is learned from the examples says nothing of others: their labels may not be theirs",
            "check the order of rows and labels after every join, sort and filter",
        )
