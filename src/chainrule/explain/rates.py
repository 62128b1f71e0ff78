"""The figure of a range test: the loss over the learning rate, and what was read off it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.train.rate_test import RateTest
from chainrule.train.readings import READINGS

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing


def draw_rate_test(test: RateTest) -> Drawing:
    """The losses of the steps thin, the smoothed one thick, over the rate; the chosen rate, the lowest, the end."""
    from chainrule.explain.figures import COLOURS, GREY, drawing, style

    rates = test.rates
    with style():
        figure = drawing(6.4, 3.6)
        axes = figure.subplots()
        for k, row in enumerate(test.losses):
            label = "cost of a batch" if k == 0 else None
            axes.plot(rates, row, color=GREY, linewidth=0.7, alpha=0.6, label=label)
        axes.plot(rates[: len(test.smoothed)], test.smoothed, color=COLOURS[0], linewidth=2.2, label="smoothed")
        start, least = float(test.smoothed[0]), float(test.smoothed.min())
        room = max(start - least, 1e-12)
        axes.set(xscale="log", xlim=(rates[0], rates[-1]), ylim=(least - 0.15 * room, start + 0.6 * room))
        places: list[tuple[float, str, Any, str]] = [
            (test.learning_rate, COLOURS[1], "-", "learning rate"),
            (test.lowest, COLOURS[2], (0, (6, 2)), "lowest"),
        ]
        if test.diverges is not None:
            places.append((test.diverges, COLOURS[6], (0, (2, 1.5)), "diverges"))
        for rate, colour, dashes, name in places:
            axes.axvline(rate, color=colour, linestyle=dashes, linewidth=1.4, label=f"{name} {rate:.2g}")
        axes.set(xlabel=r"learning rate $\alpha$", ylabel="cost $J$")
        axes.set_title(f"range test for {test.optimizer}, {len(np.atleast_2d(test.losses))} seeds", loc="left")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


READINGS["rate_test"] = draw_rate_test
