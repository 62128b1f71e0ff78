"""Figures of decision boundaries and of the cost as a surface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from chainrule.explain.figures import COLOURS, DASHES, GREY, INK, MARKERS, Drawing, drawing, space, style, symbol

if TYPE_CHECKING:
    from chainrule.explain.boundaries import Boundary
    from chainrule.explain.surfaces import LossSurface

Array = np.ndarray[Any, Any]
LEVELS = 14
WIDE = 30.0
"""Where the highest cost is so many times the lowest, contour lines stand closer together towards the lowest."""


def draw_boundary(found: Boundary) -> Drawing:
    """The regions, lighter where the network is less sure, the boundaries, and the examples."""
    with style():
        figure = drawing(6.4, 4.4)
        axes = figure.subplots()
        x, y = found.cut.axes
        colours = np.array([to_rgb(COLOURS[k % len(COLOURS)]) for k in range(len(found.classes))])
        sure = np.clip(found.margin / max(float(found.margin.max()), 1e-12), 0, 1)[..., None]
        picture = 1 - (0.12 + 0.25 * sure) * (1 - colours[found.decided])
        edges = (x[0], x[-1], y[0], y[-1])
        axes.imshow(picture, extent=edges, origin="lower", aspect="auto", interpolation="bilinear")
        for k, line in enumerate(found.lines):
            axes.plot(*line.T, color=INK, linewidth=1.8, label="decision changes" if k == 0 else None)
        if found.rows is not None and found.labels is not None and found.wrong is not None:
            points = found.rows[:, list(found.cut.varied)]
            for k, name in enumerate(found.classes):
                axes.plot(
                    *points[found.labels == k].T,
                    MARKERS[k % len(MARKERS)],
                    color=colours[k] * 0.8,
                    markeredgecolor="white",
                    markeredgewidth=0.7,
                    markersize=5.5,
                    label=str(name),
                )
            if found.wrong.any():
                axes.plot(
                    *points[found.wrong].T,
                    "o",
                    color=INK,
                    markerfacecolor="none",
                    markersize=11,
                    linestyle="",
                    label="decided otherwise",
                )
        else:
            for k, name in enumerate(found.classes):
                axes.plot([], [], "s", color=1 - 0.37 * (1 - colours[k]), markersize=9, label=f"decided: {name}")
        axes.set(xlim=edges[:2], ylim=edges[2:], xlabel=symbol(found.cut.labels[0]), ylabel=symbol(found.cut.labels[1]))
        figure.legend(loc="outside right upper")
        if found.cut.elsewhere:
            figure.supxlabel(f"at {found.cut.elsewhere}", fontsize=9, color=GREY)
    return figure


def draw_surface(found: LossSurface, relief: bool = False) -> Drawing:
    """Contour lines of the cost, or its relief, with the paths on it."""
    with style():
        return _relief(found) if relief else _contours(found)


def _contours(found: LossSurface) -> Drawing:
    figure = drawing(6.8, 4.6)
    axes = figure.subplots()
    height, levels = _levels(found)
    greys = colormaps["Greys"](np.linspace(0.02, 0.5, len(levels) + 1))
    axes.contourf(found.x, found.y, height, levels, colors=greys, extend="both")
    lines = axes.contour(found.x, found.y, height, levels, colors="#7d7d7d", linewidths=0.6, linestyles="solid")
    axes.clabel(lines, levels[::2], fontsize=7, fmt=lambda v: f"{v:.3g}")
    for k, track in enumerate(found.tracks):
        colour = COLOURS[k % len(COLOURS)]
        axes.plot(*track.places.T, color="white", linewidth=3.2)
        axes.plot(*track.places.T, color=colour, linestyle=DASHES[k % len(DASHES)], linewidth=1.8, label=track.name)
        axes.plot(
            *track.places[-1],
            MARKERS[(k + 1) % len(MARKERS)],
            color=colour,
            markeredgecolor="white",
            markersize=9,
            clip_on=False,
            zorder=5,
        )
    if found.tracks:
        axes.plot(
            *found.tracks[0].places[0], "o", color="white", markeredgecolor=INK, markersize=8, label="start", zorder=4
        )
    else:
        axes.plot(
            *found.centre, "*", color=COLOURS[1], markeredgecolor="white", markersize=14, label="the trained network"
        )
    axes.set(xlabel=symbol(found.names[0]), ylabel=symbol(found.names[1]), title="cost $J$ on contour lines")
    axes.set(xlim=(found.x[0], found.x[-1]), ylim=(found.y[0], found.y[-1]))
    figure.legend(loc="outside right upper")
    return figure


def _levels(found: LossSurface) -> tuple[Array, Array]:
    finite = found.loss[np.isfinite(found.loss)]
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high / low > WIDE:
        levels = low + (high - low) * np.linspace(0, 1, LEVELS + 1)[1:-1] ** 3
    else:
        levels = np.linspace(low, high, LEVELS + 1)[1:-1]
    if not np.all(np.diff(levels) > 0):
        levels = np.array([low, np.nextafter(low, np.inf) + 1e-9])
    return np.ma.masked_invalid(found.loss), levels


def _relief(found: LossSurface) -> Drawing:
    figure = drawing(7, 5)
    axes = space(figure, 111)
    axes.set_box_aspect((1, 1, 0.78), zoom=0.84)  # room for the long names of directions
    first, second = np.meshgrid(found.x, found.y)
    axes.computed_zorder = False
    axes.plot_surface(
        first, second, found.loss, cmap="cividis", alpha=0.9, linewidth=0.2, edgecolor="#33333355", rcount=40, ccount=40
    )
    for k, track in enumerate(found.tracks):
        look = {"color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k % len(DASHES)]}
        axes.plot(*track.places.T, track.loss, color="white", linewidth=3, zorder=5)
        axes.plot(*track.places.T, track.loss, **look, zorder=5, label=track.name)
    axes.plot(
        *([c] for c in found.centre),
        [found.centre_loss],
        "*",
        color=INK,
        markersize=12,
        zorder=6,
        label="the trained network",
    )
    axes.set(xlabel=symbol(found.names[0]), ylabel=symbol(found.names[1]), zlabel="$J$")
    figure.legend(loc="outside right upper")
    return figure
