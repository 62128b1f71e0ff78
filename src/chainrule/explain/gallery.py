"""The figures of a first course, each from a network that is trained, or a derivative that is derived, on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.data import load
from chainrule.errors import ConfigurationError, near
from chainrule.explain.anatomy import anatomy
from chainrule.explain.boundaries import boundary
from chainrule.explain.curves import activation_curve, all_curves
from chainrule.explain.paths import Path
from chainrule.explain.surfaces import surface
from chainrule.nn import ACTIVATIONS, Dense, Sequential
from chainrule.optimize import Adam, CosineDecay, GradientDescent, Momentum, RMSprop
from chainrule.train import Run, fit

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Picture:
    """A figure of the gallery.

    Attributes:
        found: the data behind it.
        draw: what draws it.
        words: what was trained or derived.
    """

    found: Any
    draw: Callable[[], Drawing]
    words: str

    def figure(self) -> Drawing:
        """The figure."""
        return self.draw()

    def __str__(self) -> str:
        return self.words


Maker = Callable[[str | None, int], Picture]
GALLERY: dict[str, Maker] = {}
"""The figures by name. Each is made from the activation of the hidden units, None for its own, and a seed."""


def gallery(maker: Maker) -> Maker:
    """Enter a figure under the name of the function."""
    GALLERY[maker.__name__] = maker
    return maker


def picture(name: str, activation: str | None = None, seed: int = 0) -> Picture:
    """A figure of the gallery, or an activation with its derivative, by name.

    Errors: a name that there is not, with near names; an activation for a figure that has no hidden units.
    """
    if name in GALLERY:
        return GALLERY[name](activation, seed)
    if name in ACTIVATIONS:
        _no_choice(name, activation)
        curve = activation_curve(name)
        return Picture(curve, curve.figure, str(curve))
    raise ConfigurationError(
        "there is no such figure",
        given=repr(name),
        expected=f"{', '.join(GALLERY)}; or an activation: {', '.join(ACTIVATIONS)}",
        hint=near(name, [*GALLERY, *ACTIVATIONS]),
    )


@gallery
def dosage(activation: str | None, seed: int) -> Picture:
    """A medicine helps in the right dose only: two bent lines, weighted and added, become the curve."""
    found = anatomy(_dosage_run(activation or "relu", seed), *DOSES, names=["dose"])
    return Picture(found, found.figure, str(found))


DOSES = np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 0.0])
"""Too little, the right dose, too much; and whether it helped."""


def _dosage_run(activation: str, seed: int) -> Run:
    """The first of several starts that arrives, or the best of them: of two units one may be dead from the start."""
    runs = []
    for start in range(20 * seed, 20 * seed + 20):
        network = Sequential(Dense(2, activation, kernel_initializer="he_normal"), Dense(1))
        rule = Adam(CosineDecay(0.05, 1500))
        runs.append(fit(network, *DOSES, optimizer=rule, epochs=1500, batch_size=None, seed=start))
        if runs[-1].history["loss"][-1] < 1e-4:
            break
    return _best(runs)


def _best(runs: Sequence[Run]) -> Run:
    return min(runs, key=lambda run: float(run.history["loss"][-1]))


@gallery
def unit(activation: str | None, seed: int) -> Picture:
    """One unit of the dosage curve: how w scales and mirrors its activation, and b shifts it."""
    found = anatomy(_dosage_run(activation or "softplus", seed), span=(-1.5, 1.5))
    units = [found.unit(1, k) for k in range(2)]
    chosen = min(units, key=lambda u: float(u.weights[0]))  # a mirrored one where there is one
    return Picture(chosen, chosen.figure, str(chosen))


@gallery
def exp(activation: str | None, seed: int) -> Picture:
    """The curve of e^x on [−2, 2], put together piece by piece by hidden layers of 10 and 5 units."""
    x = np.linspace(-2, 2, 100)
    g = activation or "relu"
    network = Sequential(Dense(10, g), Dense(5, g), Dense(1))
    run = fit(network, x, np.exp(x), optimizer=RMSprop(CosineDecay(0.01, 1600)), epochs=400, seed=seed)
    found = anatomy(run, x, np.exp(x))
    return Picture(found, found.figure, str(found))


@gallery
def iris(activation: str | None, seed: int) -> Picture:
    """Irises by petal and sepal width, scaled to (0, 1): two bent planes, weighted and added, crinkle the surface."""
    X, species = _widths()
    found = anatomy(_iris_run(activation or "relu", seed), X, species, names=IRIS_NAMES)
    kinds = sorted(set(species))
    words = f"outputs 0, 1, 2: {', '.join(kinds)}; the figure shows output 1, {kinds[1]}\n{found}"
    return Picture(found, lambda: found.figure(output=1), words)


@gallery
def iris_boundary(activation: str | None, seed: int) -> Picture:
    """The same network's decisions: where one kind of iris ends and the next begins."""
    X, species = _widths()
    found = boundary(_iris_run(activation or "relu", seed), X, species, names=IRIS_NAMES)
    return Picture(found, found.figure, str(found))


IRIS_NAMES = ("petal width", "sepal width")


def _widths() -> tuple[Array, list[str]]:
    """Petal and sepal width, each scaled to (0, 1), and the species."""
    table = load("iris").table()
    X = table.select(IRIS_NAMES).to_numpy()
    scaled: Array = (X - X.min(axis=0)) / (X.max(axis=0) - X.min(axis=0))
    return scaled, table["species"].to_list()


def _iris_run(activation: str, seed: int) -> Run:
    X, species = _widths()

    def train(start: int) -> Run:
        network = Sequential(Dense(2, activation), Dense(3, "softmax"))
        return fit(network, X, species, optimizer=Adam(0.02), epochs=200, seed=start)

    return _best([train(4 * seed + k) for k in range(4)])


@gallery
def loss_surface(activation: str | None, seed: int) -> Picture:
    """The cost over w and b of a single unit, with the paths of four optimizers from one start."""
    x = np.linspace(-2, 2, 40)
    y = np.tanh(1.5 * x - 1)
    paths = []
    for rule in (GradientDescent(0.3), Momentum(0.1), RMSprop(0.1), Adam(0.1)):
        paths.append(Path())
        start = Dense(1, activation or "tanh", kernel_initializer=-1.5, bias_initializer=1.5)
        run = fit(
            Sequential(start),
            x,
            y,
            loss="squared_error",
            optimizer=rule,
            epochs=150,
            batch_size=None,
            callbacks=paths[-1:],
        )
    found = surface(run, x, y, ("W1[0, 0]", "b1[0]"), paths=paths)
    return Picture(found, found.figure, str(found))


@gallery
def activations(activation: str | None, seed: int) -> Picture:
    """Every activation that has a name, with its derivative as it is derived."""
    from chainrule.explain.curve_figures import draw_curves

    _no_choice("activations", activation)
    found = all_curves()
    return Picture(found, lambda: draw_curves(found), "\n".join(map(str, found)))


def _no_choice(name: str, activation: str | None) -> None:
    if activation is not None:
        raise ConfigurationError(f"the figure {name} has no hidden units", given=f"activation {activation}")
