"""Watching a training: summary statistics of any quantity of the step, computed inside the compiled epoch.

A statistic is a formula like any other. What is watched becomes a few more nodes of the step's graph, which are
computed on every so many-th step and come back with the history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.engine import interpret
from chainrule.errors import ConfigurationError, near
from chainrule.graph.body import EVERY, has_body
from chainrule.graph.dim import definite
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node, Scope
from chainrule.graph.op import Elementwise, is_float
from chainrule.ops import abs as abs_
from chainrule.ops import cast, concatenate, constant, equal, less, max, mean, min, reshape, sqrt, sum, xlogy
from chainrule.ops.loop import sibling
from chainrule.train.readings import READINGS
from chainrule.train.step import StepGraph

Array = np.ndarray[Any, Any]

FLAT = 0.01
"""A slope smaller than this is flat: the unit is saturated there."""
EDGES = (*(-(10.0**k) for k in range(2, -7, -1)), 0.0, *(10.0**k for k in range(-6, 3)))
"""Between these edges a histogram counts, and below the first and from the last on."""


@dataclass(frozen=True)
class Quantity:
    """Something that can be watched.

    Attributes:
        name: as in the formula sheet: A1, dW2, m_W1; ΔW1 is the change of W1 in a step.
        group: what it is one of.
        node: the form in which it runs.
        slope: of an activation, its derivative by Z.
    """

    name: str
    group: str
    node: Node
    slope: Node | None = None


def _share(condition: Node) -> Node:
    return mean(cast(condition, "float"))


def _dead(q: Quantity) -> Node:
    """A unit is an entry of the last axis: a filter gives 0 at every place of every example."""
    return _share(equal(max(abs_(q.node), axis=range(q.node.ndim - 1)), 0.0))


def _saturated(q: Quantity) -> Node:
    assert q.slope is not None
    return _share(less(abs_(q.slope), FLAT))


def _histogram(q: Quantity) -> Node:
    """Shares between the edges: what lies below each, and the differences of that."""
    flat = reshape(q.node, (-1, 1))
    below = mean(cast(less(flat, constant(np.array(EDGES))), "float"), axis=0)
    edges = concatenate([constant(np.zeros(1)), below, constant(np.ones(1))], axis=0)
    return edges[1:] - edges[:-1]


def _entropy(q: Quantity) -> Node:
    return mean(-sum(xlogy(q.node, q.node), q.node.attrs["axis"]))


STATISTICS: dict[str, Callable[[Quantity], Node]] = {
    "mean": lambda q: mean(q.node),
    "rms": lambda q: sqrt(mean(q.node**2)),
    "min": lambda q: min(q.node),
    "max": lambda q: max(q.node),
    "zeros": lambda q: _share(equal(q.node, 0.0)),
    "dead": _dead,
    "saturated": _saturated,
    "entropy": _entropy,
    "histogram": _histogram,
}
"""What can be said of a quantity x in one step.

mean, rms = √mean(x²), min, max; zeros: the share that is 0. Of an activation also: dead: the share of units that give
0 for every example of the batch; saturated: the share of slopes |∂A/∂Z| below 0.01. Of a softmax, such as the weights
of attention, entropy: −Σ p ln p, the mean over its rows: ln n where all of n are weighted equally, 0 where one has all.
histogram: the shares between
``EDGES``, which go by powers of ten to both sides of 0.
"""
SCALARS = ("mean", "rms", "min", "max", "zeros")
"""What is sampled of a quantity that is asked for by name; of an activation also dead and saturated."""
GROUPS = ("activations", "sums", "parameters", "gradients", "signals", "updates", "states")
"""A, Z, W and b, dW and db, dZ, ΔW and Δb, and what the optimizer keeps."""


def quantities(step: StepGraph) -> dict[str, Quantity]:
    """Everything of a step that can be watched, by name."""
    out: dict[str, Quantity] = {}

    def enter(node: Node, group: str, name: str | None = None, slope: Node | None = None) -> None:
        symbol = name or step.names[node].text
        if is_float(node.dtype):
            out.setdefault(symbol, Quantity(symbol, group, node, slope))

    layers: dict[Scope | None, Node] = {}
    for node in Graph([*step.training.outputs, step.written_cost]):
        if node.name and node.inputs and node in step.forms:
            form = step.forms[node]
            if node.name == "Z":
                layers[node.scope] = form
                enter(form, "sums", step.names[node].text)
            else:
                z = layers.get(node.scope) if node.scope else None
                enter(form, "activations", step.names[node].text, _slope(form, z))
    for name, node in _repeated(step).items():
        enter(node, "activations", name)
    for p, g in step.gradients.items():
        enter(p, "parameters")
        enter(g, "gradients", f"d{step.names[p].text}")
        enter(step.update.parameters[p] - p, "updates", f"Δ{step.names[p].text}")
    for d in step.derived:
        enter(d, "signals")
    for state in (*step.update.states, *step.carried):
        enter(state, "states")
    out.setdefault("J", Quantity("J", "cost", step.cost))
    return out


def _repeated(step: StepGraph) -> dict[str, Node]:
    """The gates and states of what is repeated over time, f1 for f1ₜ: their values at all times."""
    out: dict[str, Node] = {}
    for loop in Graph([*step.training.outputs, step.written_cost]):
        if has_body(loop) and loop in step.forms:
            for n in loop.attrs["body"].named:
                form, quantity = step.forms[loop], step.forms[n]
                every = sibling(form, (EVERY, form.attrs["body"].number[quantity]))
                out.setdefault(replace(step.names[n], time="").text, every)
    return out


def _slope(a: Node, z: Node | None) -> Node | None:
    """∂A/∂Z where A is one elementwise function of Z."""
    rule = a.op.calculus
    if z is None or a.inputs != (z,) or not isinstance(rule, Elementwise):
        return None
    return rule.partials[0](a, *a.inputs, **a.attrs)


@dataclass(frozen=True)
class Watch:
    """What to sample, and how often: names and statistics, with the nodes to compute, in one order."""

    keys: tuple[tuple[str, str], ...] = ()
    nodes: tuple[Node, ...] = ()
    every: int = 1


def watch(step: StepGraph, wanted: Any, every: int = 1) -> Watch:
    """Read what a user wants to watch.

    Args:
        step: the step.
        wanted: True for what :meth:`Run.why` needs; names or groups, such as ``["A1", "gradients"]``; or a mapping
            from these to statistics, such as ``{"A1": ["rms", "histogram"]}``.
        every: the first step is sampled, and every so many-th after it.

    Errors: a quantity, group or statistic that there is not, with near names.
    """
    if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
        raise ConfigurationError("every is a whole number of steps, at least 1", given=repr(every))
    known = quantities(step)
    chosen: dict[tuple[str, str], Node] = {}
    for q, statistics in _chosen(step, known, wanted):
        for statistic in statistics:
            if statistic not in STATISTICS:
                raise ConfigurationError(
                    "there is no such statistic",
                    given=repr(statistic),
                    expected=", ".join(STATISTICS),
                    hint=near(str(statistic), STATISTICS),
                )
            if not _makes_sense(q, statistic):
                raise ConfigurationError(
                    f"{statistic} is said of {_SAID_OF[statistic]}",
                    given=q.name,
                    expected=", ".join(n for n, k in known.items() if _makes_sense(k, statistic)) or "no quantity here",
                )
            chosen[q.name, statistic] = STATISTICS[statistic](q)
    return Watch(tuple(chosen), tuple(chosen.values()), int(every))


_SAID_OF = {
    "dead": "activations only",
    "saturated": "activations only, those that are one function of Z",
    "entropy": "what a softmax gives only",
}


def _makes_sense(q: Quantity, statistic: str) -> bool:
    if statistic == "saturated":
        return q.slope is not None
    if statistic == "entropy":
        return q.node.op.name in ("softmax", "masked_softmax")
    return statistic != "dead" or (q.group == "activations" and q.node.ndim > 1)


def _chosen(step: StepGraph, known: Mapping[str, Quantity], wanted: Any) -> Iterable[tuple[Quantity, Sequence[str]]]:
    if wanted is True:
        return [(q, names) for q in known.values() if (names := _for_diagnosis(q))]
    if isinstance(wanted, (str, Node)):
        wanted = [wanted]
    statistics: Mapping[Any, Any] = wanted if isinstance(wanted, Mapping) else dict.fromkeys(wanted)
    out: list[tuple[Quantity, Sequence[str]]] = []
    for word, names in statistics.items():
        for q in _meant(step, known, word):
            usual = [*SCALARS, *(s for s in ("dead", "saturated") if q.slope is not None and _makes_sense(q, s))]
            usual += ["entropy"] if _makes_sense(q, "entropy") else []
            out.append((q, usual if names is None else [names] if isinstance(names, str) else list(names)))
    return out


def _meant(step: StepGraph, known: Mapping[str, Quantity], word: Any) -> list[Quantity]:
    if isinstance(word, Node):
        form = step.forms.get(word, word)
        return [q for q in known.values() if q.node is form][:1] or [Quantity(word.name or str(word), "own", form)]
    if word in GROUPS:
        return [q for q in known.values() if q.group == word]
    if word in known:
        return [known[word]]
    raise ConfigurationError(
        "there is no such quantity to watch",
        given=repr(word),
        expected=f"{', '.join(known)}; or a group: {', '.join(GROUPS)}",
        hint=near(str(word), [*known, *GROUPS]),
    )


def _for_diagnosis(q: Quantity) -> list[str]:
    """Little, so that it can be sampled at every step."""
    if q.group == "activations":
        facts = q.node.op.facts
        flat = getattr(facts, "saturates", "nowhere") != "nowhere" and q.slope is not None
        exactly = flat and not facts.smooth and facts.range[0] == 0.0
        return ["rms", *(["dead"] if exactly else ["saturated"] if flat else [])]
    if q.group in ("parameters", "signals", "updates") and q.node.ndim > 1:
        return ["rms"]
    return ["mean"] if q.name == "J" else []


LOOKED_AT = 1000
"""So many examples, at most, are asked whether a unit ever speaks."""


def idle(step: StepGraph, examples: Sequence[Array], parameters: Mapping[Node, Any]) -> dict[str, float]:
    """For every activation that can be exactly 0, the share of units that are 0 for each of many examples.

    In a batch a unit that seldom speaks looks like a dead one; this tells them apart.
    """
    cut = [q for q in quantities(step).values() if q.group == "activations" and "dead" in _for_diagnosis(q)]
    if not cut:
        return {}
    rows = np.unique(np.linspace(0, len(examples[0]) - 1, LOOKED_AT).astype(int))
    feeds: dict[Node, Any] = dict(zip(step.model.inputs, (a[rows] for a in examples), strict=True))
    feeds |= {n: np.asarray(v) for n, v in parameters.items()}
    needed = {n: feeds[n] for n in Graph([q.node for q in cut]).leaves() if n in feeds}
    values = interpret([q.node for q in cut], needed, draws=step.draws)
    return {q.name: float(np.mean(~np.any(values[q.node], axis=0))) for q in cut}


class Watched:
    """What was sampled: ``watched["A1", "rms"]`` is an array, a number for each of ``watched.steps``.

    Attributes:
        keys: pairs of a quantity and a statistic.
        steps: the numbers of the steps that were sampled, from 0.
        every: how many steps lie between.
        steps_per_epoch: so many steps make an epoch.
        columns: the numbers of each pair.
        facts: what was noted of the examples; see :func:`chainrule.train.facts.facts_of`.
    """

    def __init__(
        self,
        keys: Sequence[tuple[str, str]],
        columns: Sequence[Array],
        steps: Array,
        every: int,
        steps_per_epoch: int,
        facts: Mapping[str, Any],
    ) -> None:
        self.keys = tuple(keys)
        self.steps = steps
        self.every = every
        self.steps_per_epoch = steps_per_epoch
        self.facts = dict(facts)
        self.columns = dict(zip(self.keys, columns, strict=True))

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names of what was watched."""
        return tuple(dict.fromkeys(name for name, _ in self.keys))

    def statistics(self, quantity: str) -> tuple[str, ...]:
        """What was sampled of a quantity."""
        return tuple(s for name, s in self.keys if name == quantity)

    def __getitem__(self, key: tuple[str, str] | str) -> Any:
        if isinstance(key, str) and key in self.quantities:
            return {s: self.columns[key, s] for s in self.statistics(key)}
        if key in self.columns:
            return self.columns[key]
        word = key if isinstance(key, str) else " ".join(map(str, key))
        names = [*self.quantities, *(" ".join(k) for k in self.keys)]
        raise ConfigurationError(
            "this was not watched",
            given=word,
            expected="; ".join(f"{q}: {', '.join(self.statistics(q))}" for q in self.quantities),
            hint=near(word, names) or f"watch it: cr.fit(…, watch=[{word.split()[0]!r}])",
        )

    def __contains__(self, key: object) -> bool:
        return key in self.columns or key in self.quantities

    def __len__(self) -> int:
        return len(self.steps)

    def figure(self, *names: Any) -> Any:
        """What was sampled over the steps as a Matplotlib figure: lines, and histograms as images.

        Args:
            names: quantities ``"A1"``, statistics ``"rms"``, or pairs of both; everything by default.

        Errors: what was not watched, with near names.
        """
        return READINGS["watched"](self, *names)

    def __str__(self) -> str:
        """First, middle and last sample of every statistic, as a table."""
        if not len(self):
            return "no step was sampled"
        at = sorted({0, len(self) // 4, len(self) // 2, 3 * len(self) // 4, len(self) - 1})
        lines = [f"{'':<22}" + "".join(f"{f'step {self.steps[i]}':>13}" for i in at)]
        for name, statistic in self.keys:
            column = self.columns[name, statistic]
            if column.ndim == 1:
                lines.append(f"{name:<10}{statistic:<12}" + "".join(f"{column[i]:>13.4g}" for i in at))
        return "\n".join(lines)

    __repr__ = __str__


def collected(spec: Watch, samples: Array, steps: Array, steps_per_epoch: int, facts: Mapping[str, Any]) -> Watched:
    """What the engine sampled, taken apart: a column, or several for a histogram, for each statistic."""
    widths = [int(np.prod(definite(n.shape), dtype=int)) for n in spec.nodes]
    parts = np.split(samples, np.cumsum(widths)[:-1], axis=1) if widths else []
    columns = [p[:, 0] if n.shape == () else p for p, n in zip(parts, spec.nodes, strict=True)]
    return Watched(spec.keys, columns, steps, spec.every, steps_per_epoch, facts)
