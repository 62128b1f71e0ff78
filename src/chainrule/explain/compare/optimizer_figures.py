"""The figures of a comparison of optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.explain.compare.figures import BLUE, GREY, RED, Drawing, look, sheet, styled

if TYPE_CHECKING:
    from chainrule.explain.compare.optimizers import OptimizerComparison

WINDOWS = {"quadratic valley": ((-5.5, 3.5), (-5.5, 3.5)), "Rosenbrock's valley": ((-1.8, 1.8), (-1.2, 2.4))}


@styled
def paths(found: OptimizerComparison) -> Drawing:
    """The path of every optimizer with its best learning rate, on the contours of the valleys."""
    from chainrule.explain.compare.optimizers import VALLEYS

    names = list(found.learning)
    figure, axes = sheet(len(VALLEYS), len(names), 2.2 * len(names) + 0.6, 5.4, sharex="row", sharey="row")
    for row, valley in zip(axes, VALLEYS, strict=True):
        (left, right), (low, high) = WINDOWS[valley.name]
        x, y = np.meshgrid(np.linspace(left, right, 160), np.linspace(low, high, 160))
        for one, name in zip(row, names, strict=True):
            walk = found.valleys[valley.name][name]
            heights = np.log10(valley.height(x, y) + 1e-2)
            one.contour(x, y, heights, levels=10, colors="#c8c8c8", linestyles="solid", linewidths=0.7)
            one.plot(*walk.path.T, ".-", color=BLUE, linewidth=0.9, markersize=2.5)
            one.plot(*valley.start, "o", color=RED, markersize=6)
            one.plot(*valley.end, "*", color=RED, markersize=10)
            one.set(xlim=(left, right), ylim=(low, high))
            taken = f"{walk.steps:,} steps" if walk.steps is not None else f"not in {len(walk.path):,} steps"
            one.set_title(f"{name}\n{taken}, α = {walk.learning_rate:g}", fontsize="small")
        row[0].set_ylabel(valley.name)
    return figure


@styled
def learning(found: OptimizerComparison) -> Drawing:
    """The training loss of the network by epoch."""
    figure, axes = sheet(1, 1, 8, 4)
    (one,) = axes.flat
    for k, (name, learned) in enumerate(found.learning.items()):
        label = f"{name}, α = {learned.learning_rate:g}"
        one.semilogy(np.arange(1, len(learned.losses) + 1), learned.losses, **look(k), label=label)
    one.axhline(found.targets[1], color=GREY, linewidth=0.8)
    last = max(len(learned.losses) for learned in found.learning.values())
    style = {"textcoords": "offset points", "color": GREY, "fontsize": "small", "ha": "right"}
    one.annotate("target", (last, found.targets[1]), (0, 3), **style)
    one.set(xlabel="epoch", ylabel="training loss J, mean over the seeds")
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure
