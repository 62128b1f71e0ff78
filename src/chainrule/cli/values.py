"""What is written behind an option, as Python has it."""

from __future__ import annotations

import re
from typing import Any

from chainrule.errors import ConfigurationError

HOW_OFTEN = re.compile(r"(\d+(?:\.\d+)?) *(epoch|step|minute)s?")


def whole_numbers(text: str, option: str) -> list[int]:
    """``"64,32"`` as [64, 32]; ``"0"`` or nothing for no hidden layer."""
    try:
        numbers = [int(part) for part in text.replace(" ", "").split(",") if part]
    except ValueError:
        raise ConfigurationError(f"{option} takes whole numbers", given=repr(text), expected="such as 64,32") from None
    return [] if numbers == [0] else numbers


def rate_or_auto(text: str | None) -> float | str | None:
    """A learning rate, or ``"auto"``."""
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError("--learning-rate takes a number, or auto", given=repr(text)) from None


def two_numbers(text: str) -> tuple[int, int]:
    """``"32,48"`` and ``"32x48"`` as (32, 48), ``"32"`` as (32, 32)."""
    numbers = whole_numbers(text.replace("x", ","), "--size")
    if len(numbers) not in (1, 2):
        raise ConfigurationError("--size takes height and width", given=repr(text), expected="such as 32,32")
    return numbers[0], numbers[-1]


def how_often(text: str | None) -> dict[str, Any]:
    """``"5 epochs"`` as what :class:`chainrule.Checkpoints` calls it: ``{"every_epochs": 5}``."""
    if text is None:
        return {}
    found = HOW_OFTEN.fullmatch(text.strip())
    number = float(found[1]) if found else 0.0
    if found is None or not number or (found[2] != "minute" and "." in found[1]):
        raise ConfigurationError(
            "--keep-every takes a number of epochs, steps or minutes",
            given=repr(text),
            expected="such as '5 epochs', '200 steps' or '10 minutes'",
        )
    return {f"every_{found[2]}s": number if found[2] == "minute" else int(found[1])}
