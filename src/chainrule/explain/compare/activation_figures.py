"""The figures of a comparison of activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.explain.compare.figures import BLUE, GREY, RED, Drawing, dots, look, sheet, styled
from chainrule.explain.compare.spread import Spread

if TYPE_CHECKING:
    from chainrule.explain.compare.activations import ActivationComparison, ActivationReport

DEPTH_WINDOW = 1e-10, 1e4
"""Beyond, a line leaves the picture: that it vanishes or explodes is seen, and the others can be told apart."""
MARKED = ("softplus", "relu")
"""These two are drawn in a colour of their own: the notes ask how they differ."""


def figures(found: ActivationComparison) -> dict[str, Drawing]:
    """All figures by name."""
    drawn = {"shapes": shapes(found), "depth": depth(found), "scores": scores(found)}
    if any(r.trials.units for r in found):
        drawn["units"] = units(found)
    return drawn


@styled
def shapes(found: ActivationComparison) -> Drawing:
    """Every activation with its slope; where it is flat the ground is grey."""
    reports = list(found)
    columns = min(5, len(reports))
    rows = -(-len(reports) // columns)
    figure, axes = sheet(rows, columns, 2.6 * columns, 2.2 * rows + 0.3, sharex=True, sharey=True)
    for one, r in zip(axes.flat, reports, strict=False):
        x, value, slope = r.shape.curve
        if r.shape.flat_below is not None:
            one.axvspan(-6, max(r.shape.flat_below, -6), color="#eeeeee", linewidth=0)
        if r.shape.flat_above is not None:
            one.axvspan(min(r.shape.flat_above, 6), 6, color="#eeeeee", linewidth=0)
        one.axhline(0, color="#cccccc", linewidth=0.8)
        one.plot(x, _torn(value), color=BLUE, label="value")
        one.plot(x, _torn(slope), "--", color=RED, label="slope")
        one.set_title(r.name, fontsize="medium")
        one.set(xlim=(-6, 6), ylim=(-2.2, 3.2))
    for one in axes.flat[len(reports) :]:
        one.set_axis_off()
    axes.flat[0].legend(frameon=False, fontsize="small", loc="upper left")
    figure.suptitle("Activations and their slopes; grey: the slope is below 0.01", fontsize="medium")
    return figure


def _torn(values: Any) -> Any:
    """The curve with a gap where it jumps."""
    values = np.array(values)
    values[1:][np.abs(np.diff(values)) > 0.1] = np.nan
    return values


@styled
def depth(found: ActivationComparison) -> Drawing:
    """What is left of the backward signal after so many layers; the legend goes by what is left after all of them."""
    figure, axes = sheet(1, 1, 9, max(4.0, 0.24 * len(found.reports) + 1.5))
    (one,) = axes.flat
    order = sorted(found, key=lambda r: -r.signal[max(r.signal)].geometric)
    for k, r in enumerate(order):
        sizes = [1.0, *(s.geometric for s in r.signal.values())]
        label = f"{sizes[-1]:.0e}  {r.name} ({r.initializer})" if sizes[-1] else f"0  {r.name} ({r.initializer})"
        shown = np.maximum(sizes, 1e-300)  # nothing has no place on a logarithmic scale
        one.plot([0, *r.signal], shown, **look(k), marker="o", markersize=3, label=label)
    one.set_yscale("log")
    one.set_ylim(*DEPTH_WINDOW)
    one.axhline(1, color=GREY, linewidth=0.8)
    one.set(xlabel="layers back from the last", ylabel="rms ∂J/∂A, relative to the last layer")
    one.set_title("Backward signal before training, each with the start that suits it", fontsize="medium")
    layers = max(max(r.signal) for r in found)
    title = f"left after {layers} layers"
    figure.legend(loc="outside right upper", frameon=False, fontsize="small", title=title, title_fontsize="small")
    return figure


@styled
def scores(found: ActivationComparison) -> Drawing:
    """Scores, robustness and cost, a dot for each activation with the spread over the seeds."""
    panels: list[tuple[str, Callable[[ActivationReport], Spread | None]]] = [
        ("R² on test rows\n(more is better)", lambda r: r.trials.r2),
        ("accuracy on test rows\n(more is better)", lambda r: r.trials.accuracy),
        ("error with outliers / without\n(less is better)", lambda r: r.trials.outliers),
        ("moved by input noise\n(less is better)", lambda r: r.trials.moved),
        ("accuracy lost by noise\n(less is better)", lambda r: r.trials.accuracy_lost),
        ("time of a layer, forward\n(ReLU = 1)", lambda r: Spread.of([r.cost.layer.median])),
        ("time with the gradient\n(ReLU = 1)", lambda r: Spread.of([r.cost.layer_gradient.median])),
    ]
    names = list(found.reports)
    figure, axes = sheet(1, len(panels), 2.1 * len(panels) + 1, 0.25 * len(names) + 1.6, sharey=True)
    for one, (title, of) in zip(axes.flat, panels, strict=True):
        dots(one, names, {r.name: s for r in found if (s := of(r)) is not None}, MARKED)
        one.set_title(title, fontsize="small")
    return figure


@styled
def units(found: ActivationComparison) -> Drawing:
    """The share of dead units and of flat slopes over the training, those of one activation in one colour."""
    reports = {r.name: r.trials.units for r in found if r.trials.units is not None}
    figure, axes = sheet(1, 2, 11, 0.16 * len(reports) + 3.2, sharex=True)
    for one, what, title in zip(
        axes.flat, ("dead", "saturated"), ("units that give 0 for a whole batch", "slopes below 0.01"), strict=True
    ):
        for k, (name, seen) in enumerate(reports.items()):
            label = name if what == "dead" else None
            one.plot(seen.epochs, [100 * v for v in getattr(seen, what)], **look(k), label=label)
        one.set(xlabel="epoch", ylabel="%")
        one.set_title(title, fontsize="medium")
        one.set_ylim(bottom=-1)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure
