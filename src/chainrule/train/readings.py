"""How a run, its history and what was watched are explained: filled by the room ``explain``, which stands above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

READINGS: dict[str, Callable[..., Any]] = {}
"""A function for each way of looking: trace, why, anatomy, boundary, surface, history, watched."""
