"""Figures of activations: the value as a full line, the derivative as a dashed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from chainrule.explain.figures import COLOURS, DASHES, Drawing, drawing, style

if TYPE_CHECKING:
    from chainrule.explain.curves import ActivationCurve

Array = np.ndarray[Any, Any]
JUMP = 0.05
"""Neighbours that differ by more are the two sides of a jump, which no line connects."""
TALL = 3.2
"""A panel shows no value above that."""


def draw_curves(curves: Sequence[ActivationCurve]) -> Drawing:
    """Each activation with its derivative in a panel of its own; one alone in a larger one."""
    with style():
        if len(curves) == 1:
            figure = drawing(6.2, 3.8)
            axes = figure.subplots()
            _panel(axes, curves[0], 2.2)
            axes.set(xlabel="$z$", title=f"{curves[0].name}:  g(z) = {_line(curves[0].formula)}")
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
            return figure
        across = min(5, len(curves))
        down = -(-len(curves) // across)
        figure = drawing(2.25 * across, 2.05 * down + 0.4)
        panels = np.ravel(figure.subplots(down, across, squeeze=False))
        for axes, curve in zip(panels, curves, strict=False):
            _panel(axes, curve, 1.8)
            axes.set_title(curve.name.replace("_", " "), fontsize=9.5, pad=4)
            axes.set_xticks(np.linspace(curve.z[0], curve.z[-1], 3))
        for axes in panels[len(curves) :]:
            axes.set_axis_off()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
        figure.supxlabel("$z$", fontsize=10)
    return figure


def _line(formula: str) -> str:
    return formula.partition("\n")[0]


def _panel(axes: Axes, curve: ActivationCurve, width: float) -> None:
    axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
    axes.axvline(0, color="#cccccc", linewidth=0.8, zorder=0)
    short = len(curve.slope_formula) <= 28 and width > 2
    slope = "$g'(z)$" + (f" = {curve.slope_formula}" if short else "")
    for values, k, label in ((curve.value, 0, "$g(z)$"), (curve.slope, 1, slope)):
        z, broken, ends = _broken(curve.z, values)
        axes.plot(z, broken, color=COLOURS[k], linestyle=DASHES[k], linewidth=width, label=label)
        for z_, taken, open_ in ends:
            axes.plot(z_, open_, "o", color=COLOURS[k], markerfacecolor="white", markersize=2.3 * width)
            axes.plot(z_, taken, "o", color=COLOURS[k], markersize=2.3 * width)
    both = np.concatenate([curve.value, curve.slope])
    low, high = max(float(both.min()), -TALL), min(float(both.max()), TALL)
    room = 0.08 * (high - low)
    axes.set(xlim=(curve.z[0], curve.z[-1]), ylim=(low - room, high + room))


def _broken(z: Array, values: Array) -> tuple[Array, Array, list[tuple[float, float, float]]]:
    """The curve with a gap at each jump, and of each jump the place, the value taken there and the other one."""
    jumps = np.flatnonzero(np.abs(np.diff(values)) > JUMP)
    ends = []
    for k in jumps:  # the side that lies exactly on the kink, a round number, is the one that is taken
        at_left = abs(z[k] - round(z[k])) <= abs(z[k + 1] - round(z[k + 1]))
        taken, open_ = (values[k], values[k + 1]) if at_left else (values[k + 1], values[k])
        ends.append((float(z[k] if at_left else z[k + 1]), float(taken), float(open_)))
    where = jumps + 1
    return np.insert(z, where, np.nan), np.insert(values, where, np.nan), ends
