"""Why a network does not train: rules over what was watched, each with its number, its threshold and what to try.

A rule looks at the run and returns findings, or raises :class:`CannotTellError` with what it would need. Where a
threshold is somebody's, the rule names the source; the others were chosen so that no rule speaks on healthy runs of
digits, iris, house prices and a curve, and each finds its planted fault (``tests/explain/test_diagnosis.py``).

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
from chainrule.train.run import READINGS
from chainrule.train.watch import Quantity, Watched, quantities

Array = np.ndarray[Any, Any]


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
        head = "nothing suspicious was found" if not self.findings else ""
        lines = [*([head] if head else []), *("\n" + str(f) for f in self.findings)]
        if self.silent:
            lines += ["", f"found nothing ({len(self.silent)} rules): {', '.join(self.silent)}"]
        if self.could_not_run:
            lines += ["", "could not run:", *(f"  {rule}: {need}" for rule, need in self.could_not_run.items())]
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
        baseline = self.facts["baseline"]
        if baseline is None:
            raise CannotTellError(f"what a constant would reach is not known for the loss {self.step.loss.name}")
        return float(baseline)

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

UNSCALED = 30.0


@rule("inputs not scaled")
def _unscaled(patient: Patient) -> Iterator[Finding]:
    size = np.hypot(patient.facts["mean"], patient.facts["spread"])
    if not size.size:
        return
    worst = int(size.argmax())
    if size[worst] > UNSCALED:
        yield Finding(
            "inputs not scaled",
            patient.column(worst),
            f"numbers of size {number(size[worst])} (root mean square)",
            f"{UNSCALED:g}; inputs of size 1 suit the usual initial weights and rates [umlaut]",
            "dW1 = 1/m · Xᵀ dZ1: a column's gradient is as large as the column",
            "subtract each column's mean and divide by its spread",
        )


@rule("constant inputs")
def _constant(patient: Patient) -> Iterator[Finding]:
    constant = patient.facts["constant"]
    columns = patient.facts["columns"]
    telling = [k for k, value in constant if value != 0]
    if telling or len(constant) > 0.25 * columns:
        listed = telling or [k for k, _ in constant]
        yield Finding(
            "constant inputs",
            ", ".join(map(patient.column, listed[:8])) + (" …" if len(listed) > 8 else ""),
            f"{len(constant)} of {columns} columns have one value only",
            "none, or at most a quarter that are 0 everywhere, such as the border of images",
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
            f"{len(pairs)} columns repeat another one",
            "no two columns are equal",
            "their weights get the same gradient, and only their sum is determined",
            "keep one of them",
        )


LEAK, BEYOND = 0.98, 0.05


@rule("target leakage")
def _leakage(patient: Patient) -> Iterator[Finding]:
    alone = patient.facts["alone"]
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
    counts = np.array(patient.facts["counts"])
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

FITS = {"binary_cross_entropy": "sigmoid", "categorical_cross_entropy": "softmax", "kl_divergence": "softmax"}


@rule("final activation")
def _final(patient: Patient) -> Iterator[Finding]:
    output, loss = patient.step.model.output, patient.step.loss.name
    last = output.op.name
    wanted = FITS.get(loss)
    if wanted and last != wanted and not (loss == "binary_cross_entropy" and last == "softmax"):
        yield Finding(
            "final activation",
            f"output {write([output], names=patient.step.names)[0][0]}",
            f"{loss} of an output that is no probability",
            f"{wanted} before {loss} [umlaut]",
            f"L = −Σ y log ŷ needs ŷ between 0 and 1; the last function is {last}",
            f'Dense(…, "{wanted}") as the last layer',
        )
        return
    if patient.facts["counts"] or not hasattr(output.op.facts, "range"):
        return
    low, high = output.op.facts.range
    lowest, highest = patient.facts["lowest"], patient.facts["highest"]
    if lowest < low - 1e-6 or highest > high + 1e-6:
        yield Finding(
            "final activation",
            f"output {write([output], names=patient.step.names)[0][0]}",
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

DEAD, SATURATED = 0.5, 0.5


@rule("dead units")
def _dead(patient: Patient) -> Iterator[Finding]:
    for name, share in patient.watched_of("dead", "activations").items():
        late = float(np.median(_late(share)))
        if late > DEAD:
            z = f"Z{name[1:]}"
            yield Finding(
                "dead units",
                name,
                f"{_percent(late)} of the units are 0 for every example of a batch, at the end of training",
                f"{_percent(DEAD)} [debugger: DeadRelu]",
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


def _signal_ratio(patient: Patient) -> tuple[str, str, float]:
    rms = patient.watched_of("rms", "signals")
    if len(rms) < 3:
        raise CannotTellError("it takes three layers with weights")
    last, *_, first = rms  # the backward pass begins at the last layer
    both = np.stack([rms[first], rms[last]])
    both = both[:, np.isfinite(both).all(axis=0) & (both[1] > 0)]
    if not both.size:
        raise CannotTellError("no derivative was finite")
    return first, last, float(np.median(both[0] / both[1]))


@rule("vanishing gradients")
def _vanishing(patient: Patient) -> Iterator[Finding]:
    first, last, ratio = _signal_ratio(patient)
    if ratio < VANISHING:
        yield Finding(
            "vanishing gradients",
            f"{first} against {last}",
            f"{first} is {number(ratio)} times {last} (root mean squares, median over the steps)",
            f"{VANISHING:g} [autotrainer]",
            f"{patient.formula(first)}, and so on up to {last}: a slope and a W for every layer, factors below 1",
            '"relu" or "tanh" with "he_normal" or "glorot_normal" weights, a skip connection, or fewer layers',
        )


@rule("exploding gradients")
def _exploding(patient: Patient) -> Iterator[Finding]:
    first, last, ratio = _signal_ratio(patient)
    if ratio > EXPLODING:
        yield Finding(
            "exploding gradients",
            f"{first} against {last}",
            f"{first} is {number(ratio)} times {last} (root mean squares, median over the steps)",
            f"{EXPLODING:g} [autotrainer]",
            f"{patient.formula(first)}, and so on up to {last}: a slope and a W for every layer, factors above 1",
            "smaller initial weights (he_normal, glorot_normal), or clip_norm=1",
        )


SPREAD, CHANCE = 100.0, 3.0


@rule("poor initialisation")
def _initial(patient: Patient) -> Iterator[Finding]:
    rms = {q: float(v[0]) for q, v in patient.watched_of("rms", "activations").items() if len(v)}
    hidden = {q: v for q, v in rms.items() if patient.quantities[q].node.op.name != "softmax"}
    if len(hidden) > 1:
        (first, a), *_, (last, b) = hidden.items()
        ratio = max(a, 1e-30) / max(b, 1e-30)
        if not 1 / SPREAD < ratio < SPREAD:
            yield Finding(
                "poor initialisation",
                f"{first} against {last}",
                f"before the first step the signal goes from {number(a)} in {first} to {number(b)} in {last}",
                f"a factor of {SPREAD:g} over all layers",
                "Z = A W + b: the spread of Z is that of A times √n times that of W",
                'kernel_initializer="he_normal" for ReLU, "glorot_normal" for tanh and sigmoid: σ = √(2/n), √(1/n)',
            )
            return
    start, chance = patient.numbers("J", "mean")[0], patient.facts["baseline"]
    classes = sum(c > 0 for c in patient.facts["counts"])
    if classes > 1 and chance and start > CHANCE * chance:
        yield Finding(
            "poor initialisation",
            "J before the first step",
            f"J = {number(start)}",
            f"{CHANCE:g} times {number(chance)}, which guessing costs (ln K = {number(math.log(classes))} "
            f"for K = {classes} equal classes) [cs231n]",
            "the initial outputs are far from equal: large weights make sure and wrong predictions",
            "smaller initial weights in the last layer, and inputs of size 1",
        )


# --- steps ------------------------------------------------------------------------------------------------

STEP_LARGE, STEP_SMALL, GROWN = 0.1, 1e-5, 10.0


def _step_ratios(patient: Patient) -> dict[str, float]:
    out = {}
    for name in patient.weights:
        ratio = patient.numbers(f"Δ{name}", "rms") / np.maximum(patient.numbers(name, "rms"), 1e-30)
        ratio = ratio[np.isfinite(ratio)]
        if ratio.size:
            out[name] = float(np.median(ratio))
    if not out:
        raise CannotTellError("no step was finite")
    return out


@rule("learning rate too large")
def _too_large(patient: Patient) -> Iterator[Finding]:
    name, ratio = max(_step_ratios(patient).items(), key=lambda item: item[1])
    if ratio > STEP_LARGE:
        yield Finding(
            "learning rate too large",
            name,
            f"a step changes {name} by {_percent(ratio)} of its size (median)",
            f"{_percent(STEP_LARGE)}; about 0.1 % is usual [cs231n]",
            f"Δ{name} against {name}",
            "a learning rate that is three to ten times smaller",
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
                f"{name} ← {name} − α d{name}: the steps carry it far from where slopes are large",
                "a learning rate that is three to ten times smaller",
            )
            return


@rule("learning rate too small")
def _too_small(patient: Patient) -> Iterator[Finding]:
    name, ratio = max(_step_ratios(patient).items(), key=lambda item: item[1])
    loss = patient.loss
    if ratio < STEP_SMALL and len(loss) and loss[-1] > 0.5 * loss[0]:
        yield Finding(
            "learning rate too small",
            name,
            f"no weights move faster than {name}: by {number(ratio)} of their size in a step (median)",
            f"{STEP_SMALL:g}; about 0.001 is usual [cs231n]",
            f"Δ{name} against {name}",
            "a learning rate that is ten to a hundred times larger",
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


OSCILLATES, ROUGH = 0.4, 0.2


@rule("loss oscillating")
def _oscillating(patient: Patient) -> Iterator[Finding]:
    patient.epochs(10)
    late = patient.loss[len(patient.loss) // 2 :]
    change = np.diff(late)
    ups = float(np.mean(change > 0))
    size = float(np.abs(change).mean() / max(float(np.median(np.abs(late))), 1e-30))
    baseline = patient.facts["baseline"] or 0.0
    if ups > OSCILLATES and size > ROUGH and float(np.median(late)) > 0.01 * baseline:
        yield Finding(
            "loss oscillating",
            "J",
            f"in the second half {_percent(ups)} of the epochs end higher, by {_percent(size)} of the loss on average",
            f"{_percent(OSCILLATES)} and {_percent(ROUGH)} [autotrainer]",
            "W ← W − α dW steps over the valley and back",
            "a smaller learning rate, a larger batch, or a schedule that lowers the rate",
        )


OVERFIT = 1.2


@rule("over-fitting")
def _overfitting(patient: Patient) -> Iterator[Finding]:
    validation = patient.validation
    patient.epochs(10)
    best = patient.run.history.best_epoch
    kept = (best or len(validation)) - 1
    smooth = np.convolve(validation, np.ones(3) / 3, mode="valid")
    low = int(smooth.argmin()) + 1
    if validation[kept] > OVERFIT * float(smooth.min()) and patient.loss[kept] < patient.loss[low]:
        yield Finding(
            "over-fitting",
            f"epoch {low + 1}",
            f"the validation loss rises from {number(smooth.min())} to {number(validation[kept])} "
            f"while the training loss falls to {number(patient.loss[kept])}",
            f"{_percent(OVERFIT - 1)} above its lowest point [debugger: Overfit]",
            "J is the mean over the training examples alone",
            "early_stopping=10, weight_decay, a smaller network, or more examples",
        )


@rule("labels shuffled")
def _shuffled(patient: Patient) -> Iterator[Finding]:
    patient.epochs(10)
    validation, baseline = patient.validation, patient.baseline
    best, learned = float(validation.min()), float(patient.loss.min())
    if best > 0.97 * baseline and learned < 0.9 * baseline:
        yield Finding(
            "labels shuffled",
            "Y",
            f"the training loss falls to {number(learned)}, the validation loss never below {number(best)}",
            f"{number(baseline)}, which a constant prediction costs",
            "what is learned from the examples says nothing of others: their labels may not be theirs",
            "check the order of rows and labels after every join, sort and filter",
        )
