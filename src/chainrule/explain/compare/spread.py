"""Numbers measured over several seeds, and when two of them differ by more than chance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from chainrule.errors import ConfigurationError
from chainrule.explain.numbers import number

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """One number for each seed.

    >>> print(Spread((1.0, 2.0, 3.0)))
    2.0 ± 1.0
    """

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[Any]) -> Spread:
        """A spread of any numbers."""
        return cls(tuple(float(v) for v in values))

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """The standard deviation between the seeds; not a number for one seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    @property
    def geometric(self) -> float:
        """The geometric mean of positive numbers, for those that differ by powers of ten; 0 where one of them is 0."""
        return float(np.exp(np.mean(np.log(self.values)))) if all(self.values) else 0.0

    def __str__(self) -> str:
        """Mean and standard deviation, both to the second digit of the deviation, or the third after the point."""
        if math.isnan(self.deviation):
            return number(self.mean)
        if self.deviation == 0 or not math.isfinite(self.deviation):
            return f"{number(self.mean)} ± {number(self.deviation)}"
        size = max(abs(self.mean), self.deviation)
        if not 1e-3 <= size < 1e5:
            return f"{self.mean:.1e} ± {self.deviation:.0e}".replace("-", "−")
        digits = max(0, min(3, 1 - math.floor(math.log10(self.deviation))))
        return f"{self.mean:.{digits}f} ± {self.deviation:.{digits}f}".replace("-", "−")


def clear_difference(a: Spread, b: Spread) -> int:
    """1 where a is clearly more than b, −1 where it is less, 0 where chance may have done it.

    Numbers of the same seed (the same rows, the same order) are compared in pairs: Student's t-test of the
    differences, two-sided, at 95 %. With one seed nothing is clear.

    >>> clear_difference(Spread((2.0, 2.1, 2.2)), Spread((1.0, 1.1, 1.3)))
    1
    """
    if len(a.values) != len(b.values):
        raise ConfigurationError(
            "only numbers over the same seeds can be compared", given=f"{len(a.values)} and {len(b.values)} of them"
        )
    d = np.subtract(a.values, b.values)
    if len(d) < 2 or not np.isfinite(d).all():
        return 0
    error = d.std(ddof=1) / math.sqrt(len(d))
    limit = float(scipy.special.stdtrit(len(d) - 1, (1 + CONFIDENCE) / 2))
    return int(np.sign(d.mean())) if abs(d.mean()) > limit * error else 0
