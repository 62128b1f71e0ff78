"""While a graph is built, or traced, Python does not look for garbage in it."""

from __future__ import annotations

import gc
from threading import Lock


class building:  # noqa: N801 - a context
    """Python's collector of reference cycles waits.

    It goes through all that lives again and again as the number of objects grows; of a graph that is being built
    all of it does. Contexts within each other and in several threads are counted; where the collector was off
    before, it stays off.
    """

    _lock = Lock()
    _open = 0
    _was_on = False

    def __enter__(self) -> None:
        with building._lock:
            if not building._open:
                building._was_on = gc.isenabled()
                gc.disable()
            building._open += 1

    def __exit__(self, *_: object) -> None:
        with building._lock:
            building._open -= 1
            if not building._open and building._was_on:
                gc.enable()
