"""Seven optimizers walk down three valleys: their formulas, their paths, and how many steps they take.

What one learns: an update rule is a formula like any other, so it is a part of the graph and can be printed. Plain
gradient descent, the baseline, needs a rate small enough for the steep direction and then crawls along the flat one;
momentum gathers speed there; AdaGrad, RMSprop and Adam give every coordinate a rate of its own, which helps where the
valley lies along a coordinate and less where it lies askew. Each rule is shown with the learning rate, out of fifteen,
with which it arrives first: all fifteen walk at once, one in each row of w.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import chainrule as cr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--short", action="store_true", help="a third of the steps")
parser.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where the figure goes")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
steps = 1_000 if options.short else 3_000
there = 1e-4

# 1. The rules, for a parameter w with the gradient g. On the right of an arrow stand the values before the step.
rules = [cr.GradientDescent, cr.Momentum, cr.Nesterov, cr.AdaGrad, cr.RMSprop, cr.Adam, cr.AdamW]
g = cr.input("g", ())
for rule in rules:
    w = cr.parameter("w", ())
    update = cr.optimize.update(rule(), {w: g})
    new_w = update.parameters[w]
    print(rule.__name__)
    for state, new in update.states.items():
        print(f"  {state.name} ← {new}")
    for node in cr.Graph(new_w):
        if node.name and node.inputs and node is not new_w:
            print(f"  {node.name} = {node}")
    print(f"  w ← {new_w}")


# 2. The valleys, all with their lowest point at J = 0.
def along(x, y):
    return (x**2 + 50 * y**2) / 2


def askew(x, y):
    return along((x + y) / 2**0.5, (y - x) / 2**0.5)


def rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


valleys = {
    "along a coordinate": (along, (-9.0, 2.0), (0, 0)),
    "askew": (askew, (-8.0, -5.0), (0, 0)),
    "Rosenbrock's": (rosenbrock, (-1.5, 2.0), (1, 1)),
}


# 3. One step of all fifteen walks is one compiled formula; the learning rates are fed like anything else.
@dataclass(frozen=True)
class Fed(cr.optimize.Schedule):
    """A learning rate that is an input of the graph."""

    rate: cr.Node

    def __call__(self, t):
        return self.rate


rates = np.outer([0.001, 0.01, 0.1, 1], [0.1, 0.2, 0.5]).ravel()
rates = np.append(rates, [1, 2, 5])[:, None]
w, α = cr.parameter("w", (len(rates), 2)), cr.input("α", rates.shape)


def walk(rule, J, start):
    """The places and heights of every walk: (steps, rates, 2) and (steps, rates)."""
    update = cr.optimize.update(rule(Fed(α)), {w: cr.gradient(cr.sum(J), w)})
    step = cr.compile([J, update.parameters[w], *update.states.values()], dtype="float64")
    values = {state: np.full(state.shape, state.attrs["initial"]) for state in update.states}
    place, places, heights = np.tile(start, (len(rates), 1)), [], []
    for _ in range(steps):
        places.append(place)
        height, place, *new = step({w: place, α: rates, **values})
        values = dict(zip(values, new, strict=True))
        heights.append(height)
    return np.array(places), np.array(heights)


print(f"\nthe first step at which J < {there}, with the best learning rate; — is not within {steps:,} steps")
print(f"{'':<18}" + "".join(f"{name:>26}" for name in valleys))
paths = {}
for rule in rules:
    cells = []
    for name, (valley, start, _) in valleys.items():
        places, heights = walk(rule, valley(w[:, 0], w[:, 1]), start)
        arrived = heights < there
        first = np.where(arrived.any(axis=0), arrived.argmax(axis=0), steps)
        lowest = np.where(np.isfinite(heights[-1]), heights[-1], np.inf)
        best = first.argmin() if first.min() < steps else lowest.argmin()
        paths[rule, name] = places[: first[best] + 1, best]
        arrival = f"{first[best]:,} (α = {rates[best, 0]:g})" if first[best] < steps else f"— (J = {lowest[best]:.4f})"
        cells.append(arrival)
    print(f"{rule.__name__:<18}" + "".join(f"{cell:>26}" for cell in cells))

print("AdamW also shrinks w at every step; that helps where the lowest point is 0, and keeps it from (1, 1).")

# 4. The paths on the contours: a row for each valley, a column for each rule.
figure, panels = plt.subplots(3, len(rules), figsize=(15, 7), sharex="row", sharey="row", layout="constrained")
windows = [((-10, 4), (-5, 5)), ((-10, 5), (-8.5, 5)), ((-2.2, 2.2), (-1, 3.2))]
for row, (name, (valley, start, end)), window in zip(panels, valleys.items(), windows, strict=True):
    x, y = np.meshgrid(*(np.linspace(*side, 200) for side in window))
    for axes, rule in zip(row, rules, strict=True):
        axes.contour(
            x, y, np.log10(valley(x, y) + 1e-2), levels=12, colors="#bbbbbb", linestyles="solid", linewidths=0.7
        )
        axes.plot(*paths[rule, name].T, ".-", color="#0072b2", linewidth=1, markersize=3)
        axes.plot(*start, "o", color="#d55e00", markersize=7)
        axes.plot(*end, "*", color="#d55e00", markersize=11)
        taken = len(paths[rule, name]) - 1
        axes.set(xlim=window[0], ylim=window[1])
        axes.set_title(f"{taken:,} steps" if taken < steps - 1 else f"not in {steps:,} steps", fontsize="medium")
    row[0].set_ylabel(f"{name}\nsecond coordinate")
for axes, rule in zip(panels[0], rules, strict=True):
    axes.set_title(f"{rule.__name__}\n{axes.get_title()}", fontsize="medium")
for axes in panels[2]:
    axes.set_xlabel("first coordinate of w")
figure.savefig(options.out / "optimizer_paths.png", dpi=150)
