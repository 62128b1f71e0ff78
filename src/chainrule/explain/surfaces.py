"""The cost as a surface: over two parameters, or along two directions in the space of all of them.

The plane is a formula as well. In the step's own cost every parameter W becomes W + α U + β V, and the cost of all
points of the grid is computed by one compiled program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.engine.program import learn_sizes
from chainrule.errors import ConfigurationError, ShapeError
from chainrule.explain.directions import Direction, directions_of, flat, places_of
from chainrule.explain.paths import Path
from chainrule.graph.dim import definite, resolve, show
from chainrule.graph.node import Node, ancestors
from chainrule.ops import input as input_
from chainrule.train import Run
from chainrule.train.labels import counted_steps, padding_aside
from chainrule.train.readings import READINGS
from chainrule.train.run import inputs_of

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]
AT_ONCE = 2_000_000
"""About so many numbers are held at a time while the grid is computed."""
MARGIN = 0.15
"""The share of its range that is added around a path."""


@dataclass(frozen=True)
class Track:
    """A path in the plane of the surface.

    Attributes:
        name: what it is called.
        places: (steps, 2), the coordinates of each place, or of the nearest point of the plane.
        loss: the cost at each place itself, which lies off the plane where ``share`` is below 1.
        share: of the squared distance from the centre, summed over the path, the part that lies in the plane.
    """

    name: str
    places: Array
    loss: Array
    share: float


@dataclass(frozen=True)
class LossSurface:
    """The cost J over a plane through the parameters of a run.

    Attributes:
        names: what the two axes are: W1[0, 0], or a direction.
        x, y: the coordinates along each.
        loss: J, (len(y), len(x)).
        centre: the coordinates of the run itself.
        centre_loss: J there.
        tracks: the optimizers' paths.
    """

    names: tuple[str, str]
    x: Array
    y: Array
    loss: Array
    centre: tuple[float, float]
    centre_loss: float
    tracks: tuple[Track, ...] = ()

    @property
    def data(self) -> dict[str, Array]:
        """The axes, the cost and the paths as arrays by name."""
        axes = {self.names[0]: self.x, self.names[1]: self.y, "J": self.loss}
        return axes | {track.name: track.places for track in self.tracks}

    def figure(self, relief: bool = False) -> Drawing:
        """The surface as contour lines with the paths on it, or as a ``relief`` in space."""
        from chainrule.explain.surface_figures import draw_surface

        return draw_surface(self, relief)

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()

    def __str__(self) -> str:
        row, column = np.unravel_index(np.nanargmin(self.loss), self.loss.shape)
        lines = [
            f"J over {self.names[0]} from {self.x[0]:.4g} to {self.x[-1]:.4g} "
            f"and {self.names[1]} from {self.y[0]:.4g} to {self.y[-1]:.4g}",
            f"{'the run':<28} J = {self.centre_loss:<12.6g} at ({self.centre[0]:.4g}, {self.centre[1]:.4g})",
            f"{'lowest on the grid':<28} J = {self.loss[row, column]:<12.6g} "
            f"at ({self.x[column]:.4g}, {self.y[row]:.4g})",
        ]
        for track in self.tracks:
            (a, b), end = track.places[-1], track.loss[-1]
            lines.append(
                f"{f'{track.name}, {len(track.places) - 1} epochs':<28} J = {end:<12.6g} at ({a:.4g}, {b:.4g}), "
                f"{track.share:.0%} of the way in the plane"
            )
        return "\n".join(lines)

    __repr__ = __str__


def surface(
    run: Run,
    X: Any,
    Y: Any = None,
    along: Any = None,
    *,
    paths: Sequence[Path] | Path = (),
    span: Any = None,
    points: int = 61,
    seed: int = 0,
) -> LossSurface:
    """The cost over two parameters or two directions through a trained network.

    Args:
        run: the trained network: the centre of the surface.
        X: the examples of which J is the mean.
        Y: their labels, where the cost needs any.
        along: two parameters, ``("W1[0, 0]", "b1[0]")``; two directions, each a mapping from names of parameters to
            arrays of their shapes; ``"random"`` for two random ones in which every unit's weights are as long as the
            unit's own (filter-normalised; biases stay); ``"path"`` for the two main directions of the paths (their
            principal components). By default ``"path"`` where there are paths, else ``"random"``.
        paths: what a :class:`Path` recorded, one or several, to be drawn on it.
        span: from where to where, ``(low, high)`` or a pair for each axis, in values of the parameters or in lengths
            of the directions around the run; by default so that the paths lie inside.
        points: values on each axis.
        seed: of the random directions.

    Returns:
        A :class:`LossSurface`: ``.loss`` is the grid, ``.figure()`` a figure.

    Errors: unknown parameters, with near names; an index out of range; directions that are parallel.

    Source: Li, Xu, Taylor, Studer, Goldstein, Visualizing the loss landscape of neural nets, NeurIPS 2018.

    >>> import numpy as np, chainrule as cr
    >>> x = np.linspace(-1, 1, 20)
    >>> run = cr.fit(cr.Sequential(cr.Dense(1)), x, 3 * x + 1, epochs=5)
    >>> found = surface(run, x, 3 * x + 1, ("W1[0, 0]", "b1[0]"), span=((2, 4), (0, 2)), points=21)
    >>> round(float(found.loss[10, 10]), 9), found.x[10].item(), found.y[10].item()
    (0.0, 3.0, 1.0)
    """
    recorded = [paths] if isinstance(paths, Path) else list(paths)
    for path in recorded:
        _check_path(run, path)
    names, directions, origin = directions_of(run, along, recorded, seed)
    basis = np.stack([flat(run, d) for d in directions], axis=1)
    if np.linalg.matrix_rank(basis) < 2:
        raise ConfigurationError(
            "two directions span no plane",
            given=f"{names[0]} and {names[1]}, parallel or zero",
            hint="name two parameters",
        )
    here = flat(run, run.parameters)
    walks = [np.array([flat(run, p) for p in places_of(path)]) for path in recorded]
    places = [_coordinates(basis, walk - here) + origin for walk in walks]
    spans = _spans(span, along, origin, places)
    x, y = (np.linspace(low, high, _count(points)) for low, high in spans)
    heights = _Heights(run, X, Y)
    α, β = (np.append(m, 0.0) for m in np.meshgrid(x - origin[0], y - origin[1]))
    *grid, centre_loss = heights.plane(directions, α, β)
    tracks = tuple(
        Track(path.name, place, heights.along(places_of(path)), _share(basis, walk - here))
        for path, place, walk in zip(recorded, places, walks, strict=True)
    )
    centre = float(origin[0]), float(origin[1])
    return LossSurface(names, x, y, np.reshape(grid, (len(y), len(x))), centre, float(centre_loss), tracks)


# --- paths and ranges -------------------------------------------------------------------------------------


def _check_path(run: Run, path: Any) -> None:
    if not isinstance(path, Path):
        raise ConfigurationError("a path is what a cr.Path() recorded", given=repr(path))
    if not len(path):
        raise ConfigurationError("the path is empty", given=repr(path), hint="cr.fit(…, callbacks=[path])")
    shapes = {n: v.shape[1:] for n, v in path.data.items()}
    own = {n: v.shape for n, v in run.parameters.items()}
    if shapes != own:
        raise ConfigurationError(
            "the path is that of another network",
            given=", ".join(f"{n} {show(s)}" for n, s in shapes.items()),
            expected=", ".join(f"{n} {show(s)}" for n, s in own.items()),
        )


def _coordinates(basis: Array, steps: Array) -> Array:
    """The coordinates of the points of the plane that are nearest to some places."""
    found: Array = np.linalg.lstsq(basis, steps.T, rcond=None)[0].T
    return found


def _share(basis: Array, steps: Array) -> float:
    whole = (steps**2).sum()
    inside = ((basis @ _coordinates(basis, steps).T) ** 2).sum()
    return float(inside / whole) if whole > 0 else 1.0


def _spans(span: Any, along: Any, origin: Array, places: Sequence[Array]) -> list[tuple[float, float]]:
    if span is not None:
        array = np.asarray(span, float)
        if array.shape not in ((2,), (2, 2)):
            raise ConfigurationError("span is a pair (low, high), or one for each axis", given=repr(span))
        pairs = np.broadcast_to(array, (2, 2))
        if not (np.isfinite(pairs).all() and (pairs[:, 0] < pairs[:, 1]).all()):
            raise ConfigurationError("a range goes from a smaller to a larger number", given=repr(span))
        return [(float(a), float(b)) for a, b in pairs]
    if places:
        everything = np.concatenate([*places, origin[None]])
        low, high = everything.min(axis=0), everything.max(axis=0)
        wide = np.maximum(high - low, 1e-3 * np.maximum(np.abs(high), 1))
        return [(float(a), float(b)) for a, b in zip(low - MARGIN * wide, high + MARGIN * wide, strict=True)]
    reach = np.maximum(1.0, np.abs(origin))
    return [(float(o - r), float(o + r)) for o, r in zip(origin, reach, strict=True)]


def _count(points: Any) -> int:
    if isinstance(points, bool) or not isinstance(points, (int, np.integer)) or points < 2:
        raise ConfigurationError("points is a whole number of at least 2", given=repr(points))
    return int(points)


# --- heights ----------------------------------------------------------------------------------------------


class _Heights:
    """The step's own cost, of the network as it predicts, anywhere in the space of the parameters."""

    def __init__(self, run: Run, X: Any, Y: Any) -> None:
        self.run, step = run, run.step
        self.cost = step.validation[0]
        arrays = inputs_of(step.model, X)
        self.feeds: dict[Node, Any] = dict(zip(step.model.inputs, arrays, strict=True))
        if step.labels is not None:
            Y = padding_aside(Y, counted_steps(step.model, arrays))
            codes = self.feeds[step.labels] = run.labels.encode(Y, step.model.output)
            if len(codes) != len(arrays[0]):
                raise ShapeError(
                    "examples and labels differ in number",
                    given=f"{len(arrays[0])} examples, {len(codes)} labels",
                    expected="a label for every example",
                )
        if step.weights is not None:
            labels = arrays[0] if step.labels is None else self.feeds[step.labels]
            self.feeds[step.weights] = np.ones(labels.shape[: step.weights.ndim])

    def plane(self, directions: Sequence[Direction], α: Array, β: Array) -> Array:
        """J at W + α U + β V, for each pair of α and β."""
        a, b = input_("α", ()), input_("β", ())
        moved: dict[Node, Node] = {}
        feeds: dict[Node, Any] = {**self.feeds, **self.run.values}
        for name, node in self.run.step.parameter_names.items():
            place = node
            for coordinate, direction, letter in zip((a, b), directions, "UV", strict=True):
                if np.any(direction.get(name, 0)):
                    along = input_(f"{letter}_{name}", definite(node.shape))
                    feeds[along] = direction[name]
                    place = place + coordinate * along
            moved[node] = place
        return self._everywhere(_replaced(self.cost, moved), {a: α, b: β}, feeds)

    def along(self, places: Sequence[Mapping[str, Array]]) -> Array:
        """J at some places."""
        names = self.run.step.parameter_names
        moving = {node: np.array([place[name] for place in places]) for name, node in names.items()}
        return self._everywhere(self.cost, moving, {**self.run.values, **self.feeds})

    def _everywhere(self, cost: Node, moving: dict[Node, Array], feeds: dict[Node, Any]) -> Array:
        from chainrule.engine.xla import compile_nodes

        order = dict.fromkeys(ancestors(cost))
        moving = {n: v for n, v in moving.items() if n in order}
        used = {n: v for n, v in feeds.items() if n in order and n not in moving}
        sizes = learn_sizes({n: np.asarray(v) for n, v in used.items()})
        numbers = sum(int(np.prod([resolve(s, sizes) for s in n.shape], dtype=int)) for n in order)
        compiled = compile_nodes([cost], np.float64, single=True)
        found: Array = compiled.over(moving, used, max(1, AT_ONCE // numbers))
        return found


def _replaced(output: Node, table: Mapping[Node, Node]) -> Node:
    """The same formula with others in place of some leaves."""
    new: dict[Node, Node] = {}
    for node in ancestors(output):
        new[node] = table[node] if node in table else node.rebuilt(tuple(new[i] for i in node.inputs))
    return new[output]


READINGS["surface"] = surface
