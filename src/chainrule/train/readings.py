"""How a run, its history and what was watched are explained: filled by the room ``explain``, which stands above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Readings(dict[str, Callable[..., Any]]):
    """A function for each way of looking: trace, why, anatomy, boundary, surface, history, watched.

    Attributes:
        fill: loads the room that enters them, at the first look; the package's door says which it is.
    """

    fill: Callable[[], Any] | None = None

    def __missing__(self, name: str) -> Callable[..., Any]:
        fill, self.fill = self.fill, None
        if fill is None:
            raise KeyError(name)
        fill()
        return self[name]


READINGS = Readings()
