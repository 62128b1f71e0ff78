"""What the settings of an estimator may be, said before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError
from chainrule.train import EarlyStopping

BOOLEANS = (bool, np.bool_)
WHOLE = (int, np.integer)
NUMBERS = (int, float, np.integer, np.floating)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that would be misread, or fail later with another message.

    Errors: :class:`ConfigurationError` for the first of them.
    """
    for name, (holds, expected, hint) in KINDS.items():
        if not holds(settings[name]):
            raise ConfigurationError(
                f"{name} is not one of those that there are",
                given=f"{name}={settings[name]!r}",
                expected=expected,
                hint=hint,
            )


def _layers(value: Any) -> bool:
    units = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
    return all(isinstance(u, WHOLE) and not isinstance(u, BOOLEANS) and int(u) > 0 for u in units)


def _stops(value: Any) -> bool:
    patience = isinstance(value, WHOLE) and (isinstance(value, BOOLEANS) or int(value) > 0)
    return value is None or patience or isinstance(value, (EarlyStopping, *BOOLEANS))


def _share(value: Any) -> bool:
    return isinstance(value, NUMBERS) and not isinstance(value, BOOLEANS) and bool(0 <= value < 1)


def _decay(value: Any) -> bool:
    known = value is None or isinstance(value, Mapping)
    return known or (isinstance(value, NUMBERS) and not isinstance(value, BOOLEANS) and bool(value >= 0))


def _dtype(value: Any) -> bool:
    try:
        return value == "auto" or np.dtype(value).name in ("float32", "float64")
    except TypeError:
        return False


KINDS = {
    "layers": (_layers, "a number of units, or one for each hidden layer: 100, (64, 32)", "layers=() is none"),
    "network": (
        lambda v: not isinstance(v, type),
        "a network, not a class of them",
        "make one by calling the class: network=cr.Sequential(cr.Dense(10, 'relu'), …)",
    ),
    "dropout": (_share, "a share: 0 ≤ dropout < 1", "dropout=0.2 is usual; 0 is none"),
    "weight_decay": (_decay, "a number of at least 0, or one by name of parameter", "weight_decay=None is 1/m"),
    "validation_split": (
        lambda v: v is None or _share(v),
        "a share of the examples: 0 ≤ validation_split < 1",
        "validation_split=0.2 holds out a fifth",
    ),
    "early_stopping": (
        _stops,
        "True, False, None, a patience in epochs, or cr.EarlyStopping(…)",
        "early_stopping=True waits for 20 epochs",
    ),
    "callbacks": (
        lambda v: isinstance(v, (list, tuple)) and all(map(callable, v)),
        "a list of functions of the run so far",
        "callbacks=[function], also for a single one",
    ),
    "standardize": (
        lambda v: isinstance(v, BOOLEANS) or (isinstance(v, str) and v == "auto"),
        "True, False or 'auto'",
        "standardize=False leaves the numbers as they are",
    ),
    "dtype": (_dtype, "'auto', 'float32' or 'float64'", "dtype='auto' chooses by the size of the work"),
}
"""For a setting: what holds of it, what was expected, and what to do."""
