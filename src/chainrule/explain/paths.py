"""The path of the parameters while a network trains, recorded after every epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, near
from chainrule.train import Run

Array = np.ndarray[Any, Any]


class Path:
    """Where the parameters went: a callback that keeps them from the start on, after every epoch.

    With ``batch_size=None`` an epoch is a step. Networks that are trained with the same ``seed`` begin at the same
    place, so that their paths can be compared.

    Args:
        name: what the path is called in a figure; the optimizer by default.

    >>> import numpy as np, chainrule as cr
    >>> x, path = np.linspace(-1, 1, 20), Path()
    >>> run = cr.fit(cr.Sequential(cr.Dense(1)), x, 3 * x + 1, epochs=5, callbacks=[path])
    >>> path["W1"].shape, path.name
    ((6, 1, 1), 'Adam')
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or ""
        self._points: list[dict[str, Array]] = []

    def begin(self, run: Run) -> None:
        """Begin anew at the parameters of an untrained run."""
        self.name = self.name or type(run.step.optimizer).__name__
        self._points = []
        self(run)

    def __call__(self, run: Run) -> None:
        """Keep the parameters of the run so far."""
        self._points.append({name: np.array(value) for name, value in run.parameters.items()})

    def __len__(self) -> int:
        return len(self._points)

    def __getitem__(self, name: str) -> Array:
        """Where a parameter was: (places, *shape)."""
        known = self._points[0] if self._points else {}
        if name not in known:
            raise ConfigurationError(
                "the path has no such parameter",
                given=repr(name),
                expected=", ".join(known) or "nothing yet: cr.fit(…, callbacks=[path])",
                hint=near(str(name), known),
            )
        return np.array([point[name] for point in self._points])

    @property
    def data(self) -> dict[str, Array]:
        """Where every parameter was, by name."""
        return {name: self[name] for name in (self._points[0] if self._points else {})}

    def __repr__(self) -> str:
        return f"<Path {self.name}: {len(self)} places>"
