"""What the figures of the comparisons share: a sheet of axes, colours and dashes, dots with their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.explain.compare.spread import Spread

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of Okabe and Ito 2008: told apart by people who are colour-blind."""
DASHES = ("-", "--", "-.", ":")
BLUE, RED, GREY = COLOURS[0], COLOURS[1], "#777777"


def sheet(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Any, Any]:
    """A figure and an array of its axes (rows, columns), with the upper and right edge taken away."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize="small")
    return figure, axes


def look(k: int) -> dict[str, Any]:
    """Colour and dash of line number k."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k // len(COLOURS) % len(DASHES)]}


def dots(axes: Any, names: Sequence[str], spreads: Mapping[str, Spread], marked: Sequence[str] = ()) -> None:
    """For each name, from top to bottom, the numbers of the seeds, their mean and standard deviation."""
    for k, name in enumerate(names):
        if name not in spreads:
            continue
        spread = spreads[name]
        colour = RED if name in marked else BLUE
        axes.plot(spread.values, [k] * len(spread.values), "|", color=GREY, markersize=6)
        deviation = spread.deviation if len(spread.values) > 1 else 0.0
        axes.errorbar(spread.mean, k, xerr=deviation, fmt="o", color=colour, markersize=5, capsize=2)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
