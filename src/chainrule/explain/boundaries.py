"""Decision boundaries: where the decision of a network changes, over two of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.engine import interpret
from chainrule.errors import ConfigurationError
from chainrule.explain.cut import Cut, cut
from chainrule.explain.layers import as_it_predicts
from chainrule.train import Run
from chainrule.train.readings import READINGS
from chainrule.train.run import inputs_of

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Boundary:
    """What a classifier decides over two inputs, and where that changes.

    Attributes:
        cut: where it was looked at.
        classes: the labels.
        scores: a number for each class at each point of the grid, (rows, columns, classes): its probability.
        decided: the number of the class with the largest score, (rows, columns).
        margin: by how much the largest score is above the next one; 0 on a boundary.
        lines: the boundaries, an array (points, 2) each.
        rows: the examples to compare with, and ``labels`` the numbers of their classes, where they were given.
        wrong: which of these are decided otherwise.
    """

    cut: Cut
    classes: tuple[Any, ...]
    scores: Array
    decided: Array
    margin: Array
    lines: tuple[Array, ...]
    rows: Array | None = None
    labels: Array | None = None
    wrong: Array | None = None

    @property
    def data(self) -> dict[str, Array]:
        """The axes, the scores, the decisions and the margin as arrays by name."""
        axes = dict(zip(self.cut.labels, self.cut.axes, strict=True))
        return axes | {"scores": self.scores, "decided": self.decided, "margin": self.margin}

    def figure(self) -> Drawing:
        """The regions, the boundaries between them and the examples, as a Matplotlib figure."""
        from chainrule.explain.surface_figures import draw_boundary

        return draw_boundary(self)

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()

    def __str__(self) -> str:
        shares = ", ".join(f"{c} {np.mean(self.decided == k):.0%}" for k, c in enumerate(self.classes))
        lines = [self.cut.over, f"decided: {shares}"]
        if self.wrong is not None:
            lines.append(f"{int(self.wrong.sum())} of {len(self.wrong)} examples are decided otherwise")
        return "\n".join(lines)

    __repr__ = __str__


def boundary(
    run: Run,
    X: Any = None,
    Y: Any = None,
    *,
    vary: Any = None,
    at: Any = None,
    span: Any = None,
    names: Sequence[str] | None = None,
    points: int = 201,
) -> Boundary:
    """Where a network's decision changes, over two of its inputs.

    Between two classes that is where the probability is 1/2, among several where the two largest are equal.

    Args:
        run: the trained classifier, of one input with examples in rows.
        X: examples, which say over which range; they are drawn.
        Y: their labels.
        vary: two columns of the examples, by number (from 0) or name; both where there are two.
        at: where the others stand: a row of numbers, or a mapping from columns to numbers; the mean of X by default.
        span: from where to where, ``(low, high)`` or a pair for each column; the range of X by default.
        names: what the columns are called; x[0], x[1] … by default.
        points: values on each axis.

    Returns:
        A :class:`Boundary`: ``.lines`` are the boundaries, ``.figure()`` a figure.

    Errors: a network that predicts numbers; one with more than two inputs and no choice among them.

    >>> import numpy as np, chainrule as cr
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> run = cr.fit(cr.Sequential(cr.Dense(1, "sigmoid")), X, (X.sum(axis=1) > 0) * 1, epochs=1)
    >>> line = boundary(run, X).lines[0]
    >>> bool(np.allclose(run.predict(line), 0.5, atol=1e-3))
    True
    """
    kind = run.labels.kind
    if kind not in ("classes", "rows", "binary", "sign"):
        raise ConfigurationError(
            "a network that predicts numbers makes no decisions",
            given=f"the loss {run.step.loss.name}",
            expected="a classifier",
            hint="run.anatomy(…) shows its surface",
        )
    where = cut(run, X, vary=vary, at=at, span=span, names=names, points=(points, points), dimensions=(2,), margin=0.05)
    scores = _scores(run, where.rows).reshape(*where.shape, -1)
    classes = run.labels.classes or _numbered(kind, scores.shape[-1])
    decided = scores.argmax(axis=-1)
    first_two = np.sort(scores, axis=-1)[..., -2:]
    margin = first_two[..., 1] - first_two[..., 0]
    rows = labels = wrong = None
    if X is not None and Y is not None:
        rows = inputs_of(run.model, X)[0].astype(float)
        labels = _numbers(run, Y)
        wrong = _scores(run, rows).argmax(axis=-1) != labels
    return Boundary(where, classes, scores, decided, margin, _lines(where, scores), rows, labels, wrong)


def _numbered(kind: str, count: int) -> tuple[int, ...]:
    return (-1, 1) if kind == "sign" else tuple(range(count))


def _scores(run: Run, rows: Array) -> Array:
    """A number for each class: its probability; where there is one output, that of both."""
    _, prediction = as_it_predicts(run)
    found = np.asarray(
        interpret([prediction], {run.model.inputs[0]: rows} | run.values, np.float64)[prediction], np.float64
    )
    if run.labels.kind == "binary":
        one = found.reshape(len(rows), -1)[:, 0]
        return np.stack([1 - one, one], axis=-1)
    if run.labels.kind == "sign":
        one = found.reshape(len(rows), -1)[:, 0]
        return np.stack([-one, one], axis=-1)
    return found


def _numbers(run: Run, Y: Any) -> Array:
    codes = run.labels.encode(Y, run.model.output)
    if run.labels.kind == "rows":
        return np.asarray(codes.argmax(axis=-1))
    flat = codes.reshape(len(codes), -1)[:, 0]
    return np.asarray(flat if run.labels.kind == "classes" else flat > 0.5).astype(int)


def _lines(where: Cut, scores: Array) -> tuple[Array, ...]:
    """The lines between the regions: for every class where its score is that of the best class after it."""
    import contourpy

    lines: list[Array] = []
    for k in range(scores.shape[-1] - 1):
        after = scores[..., k + 1 :].max(axis=-1)
        before = scores[..., :k].max(axis=-1, initial=-np.inf)
        height = np.ma.masked_where(before > np.maximum(scores[..., k], after), scores[..., k] - after)
        lines += [
            np.asarray(line)
            for line in contourpy.contour_generator(x=where.axes[0], y=where.axes[1], z=height).lines(0.0)
        ]
    return tuple(lines)


READINGS["boundary"] = boundary
