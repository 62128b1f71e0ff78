"""What a training reported: one number per column and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, near
from chainrule.train.readings import READINGS

Array = np.ndarray[Any, Any]


class TrainingWarning(UserWarning):
    """Training went on or stopped in a way that one should know of."""


class History:
    """The numbers of every epoch: ``history["loss"]`` is an array.

    Attributes:
        columns: what was reported, ``loss`` first, then metrics, then the same on validation data.
        table: (epochs, columns).
        stopped: why training ended, in a sentence.
        best_epoch: the epoch (from 1) whose parameters were kept by early stopping, or None.
        diverged: the epoch (from 1) whose loss was no longer finite, or None; its row is in the table.
    """

    def __init__(
        self,
        columns: Sequence[str],
        table: Array | None = None,
        stopped: str = "",
        best_epoch: int | None = None,
        diverged: int | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.table: Array = np.zeros((0, len(self.columns))) if table is None else np.asarray(table, float)
        self.stopped = stopped
        self.best_epoch = best_epoch
        self.diverged = diverged

    def extend(self, rows: Array) -> None:
        """Add the rows of further epochs."""
        self.table = np.concatenate([self.table, rows.reshape(-1, len(self.columns))])

    @property
    def epochs(self) -> int:
        """How many epochs were run."""
        return len(self.table)

    def __getitem__(self, column: str) -> Array:
        if column not in self.columns:
            raise ConfigurationError(
                "the history has no such column",
                given=repr(column),
                expected=", ".join(self.columns),
                hint=near(column, self.columns),
            )
        return self.table[:, self.columns.index(column)]

    def row(self, epoch: int) -> dict[str, float]:
        """The numbers of one epoch, counted from 1; −1 is the last."""
        row = self.table[epoch - 1 if epoch > 0 else epoch]
        return {c: float(v) for c, v in zip(self.columns, row, strict=True)}

    def figure(self) -> Any:
        """The learning curves, loss and metrics over the epochs, as a Matplotlib figure."""
        return READINGS["history"](self)

    def _repr_png_(self) -> bytes | None:
        return self.figure()._repr_png_() if self.epochs else None

    def keys(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return self.epochs

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __str__(self) -> str:
        """The first epochs, the best and the last, as a table."""
        if not self.epochs:
            return "no epoch was run"
        shown = sorted({1, 2, 5, 10, self.epochs} | {round(self.epochs * k / 4) for k in (1, 2, 3)})
        shown = [e for e in shown if 1 <= e <= self.epochs]
        if self.best_epoch and self.best_epoch not in shown:
            shown = sorted([*shown, self.best_epoch])
        widths = [max(len(c), 10) for c in self.columns]
        lines = ["  ".join(["epoch", *(c.rjust(w) for c, w in zip(self.columns, widths, strict=True))])]
        for e in shown:
            numbers = [f"{v:.4g}".rjust(w) for v, w in zip(self.table[e - 1], widths, strict=True)]
            lines.append("  ".join([f"{e:5d}", *numbers]) + ("  (best)" if e == self.best_epoch else ""))
        return "\n".join([*lines, self.stopped] if self.stopped else lines)

    __repr__ = __str__
