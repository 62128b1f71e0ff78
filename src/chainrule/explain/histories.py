"""Figures of a training: learning curves, and what was watched over the steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ConfigurationError, near
from chainrule.train.history import History
from chainrule.train.readings import READINGS
from chainrule.train.watch import EDGES, Watched

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]
WIDE = 30.0
"""A curve that falls to less than a thirtieth is shown on a scale of factors."""
MOST_LINES = 8
"""More quantities than that in a panel are told apart by shade, from the first to the last."""


def draw_history(history: History) -> Drawing:
    """Loss and metrics over the epochs, each with its validation beside it; where they ceased to be finite is marked.

    Errors: no epoch was run.
    """
    if not history.epochs:
        raise ConfigurationError("no epoch was run, so there is no curve", expected="a trained network")
    from chainrule.explain.figures import COLOURS, DASHES, GREY, drawing, mark_end, style

    shown = list(dict.fromkeys(c.removeprefix("validation_") for c in history.columns))  # some are validation's alone
    epochs = np.arange(1, history.epochs + 1)
    with style():
        figure = drawing(1 + 4.2 * len(shown), 3.4)
        for axes, column in zip(np.ravel(figure.subplots(1, len(shown), squeeze=False)), shown, strict=True):
            for k, name in enumerate([column, f"validation_{column}"]):
                if name in history:
                    label = "validation" if k else "training"
                    few = "o" if history.epochs < 3 else ""
                    axes.plot(
                        epochs,
                        history[name],
                        color=COLOURS[k],
                        linestyle=DASHES[k],
                        marker=few,
                        label=label,
                        zorder=3 - k,
                    )
            if history.best_epoch:
                axes.axvline(history.best_epoch, color=GREY, linestyle=(0, (1, 1.5)), linewidth=1.2, label="kept")
            axes.xaxis.get_major_locator().set_params(integer=True)
            if history.diverged:
                mark_end(axes, history.diverged)
            _scale(axes, history[column if column in history else f"validation_{column}"])
            axes.set(xlabel="epoch", ylabel="cost $J$" if column == "loss" else column.replace("_", " "))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        if len(handles) > 1:
            figure.legend(handles, labels, loc="outside right upper")
    return figure


def draw_watched(watched: Watched, *names: Any) -> Drawing:
    """What was sampled: a panel of lines for each statistic, an image for each histogram.

    Errors: what was not watched, with near names; nothing was sampled.
    """
    keys = _chosen(watched, names)
    if not keys or not len(watched):
        raise ConfigurationError("nothing was sampled, so there is nothing to draw", hint="cr.fit(…, watch=True)")
    from chainrule.explain.figures import drawing, style

    together: dict[tuple[str, str], list[str]] = {}  # W1, W2 … in one panel, dW1, dW2 … in another
    for quantity, statistic in keys:
        if statistic != "histogram":
            together.setdefault((statistic, _kind(quantity)), []).append(quantity)
    histograms = [q for q, s in keys if s == "histogram"]
    count, ended = len(together) + len(histograms), _ended(watched)
    across = min(count, 3)
    down = -(-count // across)
    with style():
        figure = drawing(4.3 * across + 0.4, 3.2 * down)
        panels = list(np.ravel(figure.subplots(down, across, squeeze=False)))
        for axes, ((statistic, _), quantities) in zip(panels, together.items(), strict=False):
            _lines(axes, watched, statistic, quantities, ended)
        for axes, quantity in zip(panels[len(together) :], histograms, strict=False):
            _image(figure, axes, watched, quantity, ended)
        for axes in panels[:count]:
            axes.set_xlabel("step")
            axes.xaxis.get_major_locator().set_params(integer=True)
        for axes in panels[count:]:
            axes.set_axis_off()
    return figure


def _chosen(watched: Watched, names: Sequence[Any]) -> list[tuple[str, str]]:
    if not names:
        return list(watched.keys)
    out: list[tuple[str, str]] = []
    statistics = dict.fromkeys(s for _, s in watched.keys)
    for name in names:
        if isinstance(name, tuple) and name in watched.keys:
            out.append(name)
        elif name in watched.quantities:
            out += [key for key in watched.keys if key[0] == name]
        elif name in statistics:
            out += [key for key in watched.keys if key[1] == name]
        else:
            word = name if isinstance(name, str) else " ".join(map(str, name))
            raise ConfigurationError(
                "this was not watched",
                given=word,
                expected=f"{', '.join(watched.quantities)}; or a statistic: {', '.join(statistics)}",
                hint=near(word, [*watched.quantities, *statistics]),
            )
    return list(dict.fromkeys(out))


def _kind(quantity: str) -> str:
    """A quantity without the number of its layer."""
    return re.sub(r"\d+(\.\d+)?$", "", quantity)


def _lines(axes: Axes, watched: Watched, statistic: str, quantities: Sequence[str], ended: float) -> None:
    from chainrule.explain.figures import label_ends, look, mark_end, shades, symbol

    # Of NaN a comparison is false, and after it a derivative that ReLU stops is 0: neither says anything.
    shown_to = watched.steps < ended if statistic in TOLD_OF_ALL else watched.steps <= ended
    columns = [np.where(shown_to, watched[q, statistic], np.nan) for q in quantities]
    many = len(quantities) > MOST_LINES
    looks = (
        [{"color": c, "linestyle": "-"} for c in shades(len(quantities))]
        if many
        else list(map(look, range(len(quantities))))
    )
    for column, style_ in zip(columns, looks, strict=True):
        few = np.isfinite(column).sum() < 3
        axes.plot(watched.steps, column, **style_, marker="o" if few else "", linewidth=1.4)
    _scale(axes, np.concatenate(columns) if statistic not in SHARES else np.zeros(1))
    shown = list(range(len(quantities))) if not many else [0, len(quantities) - 1]
    axes.set_xlim(watched.steps[0], max(watched.steps[-1], watched.steps[0] + 1))
    ends = {k: columns[k][np.isfinite(columns[k])][-1:] for k in shown}
    shown = [k for k in shown if ends[k].size]
    label_ends(
        axes,
        watched.steps[-1],
        [float(ends[k][0]) for k in shown],
        [symbol(quantities[k]) for k in shown],
        [looks[k]["color"] for k in shown],
    )
    if ended <= watched.steps[-1]:
        mark_end(axes, ended)
    of = symbol(_kind(quantities[0]))
    axes.set_title(STATISTICS.get(statistic, statistic) + ("" if statistic in UNITS else f" of {of}"))


def _ended(watched: Watched) -> float:
    """The first step whose cost was not finite, or where that was not watched, anything that is ever; else infinity."""
    finite = {key: np.isfinite(v) for key, v in watched.columns.items() if key[1] not in TOLD_OF_ALL}
    every = list(finite.values())
    telling = [f for (name, _), f in finite.items() if name == "J"] or [f for f in every if f.any()] or every
    sound = np.all([np.full(len(watched), True), *telling], axis=0)
    return np.inf if sound.all() else float(watched.steps[sound.argmin()])


SHARES = ("zeros", "dead", "saturated")
TOLD_OF_ALL = (*SHARES, "histogram")
"""Made from comparisons, which are false of NaN: they are finite always."""
UNITS = ("dead", "saturated")
"""Said of activations alone."""
STATISTICS = {
    "rms": "root mean square",
    "min": "smallest",
    "max": "largest",
    "zeros": "share of zeros",
    "dead": "share of dead units",
    "saturated": "share that is saturated",
}
"""How statistics are called in figures."""


def _image(figure: Any, axes: Axes, watched: Watched, quantity: str, ended: float) -> None:
    """The histogram over the steps: a column for each sample, a row for each power of ten, zero in the middle."""
    from chainrule.explain.figures import mark_end, symbol

    axes.set_title(f"histogram of {symbol(quantity)}")
    table = np.where(watched.steps < ended, watched[quantity, "histogram"].T, 0)
    filled = np.flatnonzero(table.max(axis=1) > 0)
    if not filled.size:
        mark_end(axes, ended)
        return
    low, high = int(filled.min()), int(filled.max()) + 1
    steps = watched.steps
    width = watched.every
    picture = axes.imshow(
        table[low:high],
        origin="lower",
        aspect="auto",
        cmap="Blues",
        vmin=0,
        extent=(steps[0] - width / 2, steps[-1] + width / 2, low, high),
        interpolation="nearest",
    )
    at = [
        k for k in range(max(low, 1), min(high, len(EDGES)) + 1) if (k - 1 - len(EDGES) // 2) % 2 == 0 or high - low < 8
    ]
    axes.set_yticks(at, [_power(EDGES[k - 1]) for k in at])
    figure.colorbar(picture, ax=axes, label="share", pad=0.02)
    if ended <= steps[-1]:
        mark_end(axes, ended)


def _power(edge: float) -> str:
    if edge == 0:
        return "0"
    exponent = round(np.log10(abs(edge)))
    return f"${'-' if edge < 0 else ''}10^{{{exponent}}}$"


def _scale(axes: Axes, values: Array) -> None:
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() > WIDE * finite.min():
        axes.set_yscale("log")


READINGS["history"] = draw_history
READINGS["watched"] = draw_watched
