"""The figure of a search: every score of every candidate, best on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.train.readings import READINGS
from chainrule.train.sweeps.ranking import Ranking

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing


def draw_ranking(ranking: Ranking) -> Drawing:
    """A row for each candidate: its scores as dots, mean and standard deviation as a bar; a row that diverged is empty.

    Candidates that may equal the best, as far as the seeds show, are blue, the others grey.
    """
    from chainrule.explain.figures import COLOURS, GREY, drawing, style

    rows = ranking.candidates
    ties = ranking.ties
    with style():
        figure = drawing(7.2, 1.1 + 0.27 * len(rows))
        axes = figure.subplots()
        for place, row in enumerate(rows):
            colour = COLOURS[0] if row.name in ties else GREY
            axes.plot(row.scores, np.full(len(row.scores), place), "o", color=colour, markersize=4, alpha=0.55, mew=0)
            axes.errorbar(
                row.mean, place, xerr=np.nan_to_num(row.spread), fmt="|", color=colour, markersize=11, linewidth=1.6
            )
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=ranking.monitor.replace("_", " "))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        finite = np.concatenate([row.scores[np.isfinite(row.scores)] for row in rows])
        if len(finite) and not ranking.monitor.endswith("accuracy") and finite.max() > 30 * finite.min() > 0:
            axes.set_xscale("log")
        axes.set_title(
            f"{len(ranking.seeds)} seeds each; blue: may equal the best" if len(ranking.seeds) > 1 else "one seed each",
            loc="left",
        )
    return figure


READINGS["ranking"] = draw_ranking
