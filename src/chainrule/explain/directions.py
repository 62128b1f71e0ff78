"""Directions in the space of a network's parameters: single ones, given ones, random ones, those of a path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, ShapeError, near
from chainrule.explain.paths import Path
from chainrule.graph.dim import show
from chainrule.train import Run

Array = np.ndarray[Any, Any]
Direction = dict[str, Array]


def directions_of(
    run: Run, along: Any, paths: Sequence[Path], seed: int
) -> tuple[tuple[str, str], list[Direction], Array]:
    """The names of the axes, the two directions, and the coordinates of the run, as a user asks for them."""
    if along is None:
        along = "path" if paths else "random"
    if along == "random":
        rng = np.random.default_rng(seed)
        return ("random direction 1", "random direction 2"), [_random(run, rng), _random(run, rng)], np.zeros(2)
    if along == "path":
        directions, shares = _principal(run, paths)
        first, second = (f"principal direction {k} of the paths ({s:.0%})" for k, s in enumerate(shares, 1))
        return (first, second), directions, np.zeros(2)
    if isinstance(along, str) or not isinstance(along, Sequence) or len(along) != 2:
        raise ConfigurationError(
            "a surface lies along two parameters or directions",
            given=repr(along),
            expected='("W1[0, 0]", "b1[0]"), two mappings from parameters to arrays, "random" or "path"',
        )
    names, found, origin = [], [], np.zeros(2)
    for k, wanted in enumerate(along):
        if isinstance(wanted, Mapping):
            names.append(f"direction {k + 1}")
            found.append(_given(run, wanted))
        else:
            name, index = _entry(run, wanted)
            names.append(f"{name}[{', '.join(map(str, index))}]" if index else name)
            unit = np.zeros(run.parameters[name].shape)
            unit[index] = 1.0
            found.append({name: unit})
            origin[k] = run.parameters[name][index]
    return (names[0], names[1]), found, origin


def _entry(run: Run, wanted: Any) -> tuple[str, tuple[int, ...]]:
    """A single number among the parameters: ``"W1[0, 1]"`` or ``("W1", 0, 1)`` as its name and its index.

    Errors: an unknown parameter, an index that it has not.
    """
    matched = re.fullmatch(r"\s*(.+?)\s*(?:\[([-\d,\s]*)\])?\s*", wanted) if isinstance(wanted, str) else None
    if matched:
        name, index = matched[1], tuple(int(i) for i in (matched[2] or "").replace(" ", "").split(",") if i)
    elif isinstance(wanted, tuple) and wanted and isinstance(wanted[0], str):
        name, index = wanted[0], tuple(int(i) for i in np.ravel(wanted[1:]))
    else:
        name, index = str(wanted), ()
    if name not in run.parameters:
        raise ConfigurationError(
            "there is no such parameter",
            given=repr(wanted),
            expected=", ".join(f"{n} {show(p.shape)}" for n, p in run.parameters.items()),
            hint=near(name, run.parameters),
        )
    shape = run.parameters[name].shape
    if len(index) != len(shape) or any(not 0 <= i < size for i, size in zip(index, shape, strict=True)):
        last = ", ".join(str(size - 1) for size in shape)
        raise ConfigurationError(
            f"{name} has no such entry",
            given=f"[{', '.join(map(str, index))}]",
            expected=f"{name}[{', '.join('0' * len(shape))}] to {name}[{last}]" if shape else name,
        )
    return name, index


def _random(run: Run, rng: np.random.Generator) -> Direction:
    """A normal direction in which the weights of each unit, a column of W, are as long as the unit's own."""
    out = {}
    for name, value in run.parameters.items():
        if value.ndim < 2:
            out[name] = np.zeros(value.shape)
            continue
        direction: Array = np.asarray(rng.normal(size=value.shape))
        axes = tuple(range(value.ndim - 1))
        length = np.sqrt((direction**2).sum(axis=axes, keepdims=True))
        out[name] = direction / length * np.sqrt((value.astype(float) ** 2).sum(axis=axes, keepdims=True))
    return out


def _principal(run: Run, paths: Sequence[Path]) -> tuple[list[Direction], Array]:
    """The two directions, of length 1, along which the places of the paths lie farthest from the run."""
    if not paths:
        raise ConfigurationError(
            "there is no path whose directions could be taken", expected="paths=[path], recorded by a cr.Path()"
        )
    here = flat(run, run.parameters)
    steps = np.concatenate([[flat(run, p) for p in places_of(path)] for path in paths]) - here
    _, spread, rows = np.linalg.svd(steps, full_matrices=False)
    if len(spread) < 2 or spread[1] <= 1e-12 * max(spread[0], 1e-300):
        raise ConfigurationError("the paths lie on one line", given=f"{len(steps)} places", hint='along="random"')
    shares = spread[:2] ** 2 / (spread**2).sum()
    return [_shaped(run, row) for row in rows[:2]], shares


def _given(run: Run, direction: Mapping[str, Any]) -> Direction:
    out = {}
    for name, value in direction.items():
        if name not in run.parameters:
            raise ConfigurationError(
                "a direction is given by parameter",
                given=repr(name),
                expected=", ".join(run.parameters),
                hint=near(str(name), run.parameters),
            )
        array = np.asarray(value, float)
        if array.shape != run.parameters[name].shape:
            raise ShapeError(
                f"the direction of {name} does not have its shape",
                given=show(array.shape),
                expected=show(run.parameters[name].shape),
            )
        out[name] = array
    return out


def flat(run: Run, values: Mapping[str, Any]) -> Array:
    """All parameters in one row; zeros for those that are not there."""
    parts = [np.ravel(values.get(n, np.zeros(p.shape))).astype(float) for n, p in run.parameters.items()]
    return np.concatenate(parts)


def _shaped(run: Run, row: Array) -> Direction:
    sizes = np.cumsum([p.size for p in run.parameters.values()])[:-1]
    parts = np.split(row, sizes)
    return {n: part.reshape(p.shape) for (n, p), part in zip(run.parameters.items(), parts, strict=True)}


def places_of(path: Path) -> list[dict[str, Array]]:
    """Where the parameters were, one after the other."""
    data = path.data
    return [{name: values[k] for name, values in data.items()} for k in range(len(path))]
