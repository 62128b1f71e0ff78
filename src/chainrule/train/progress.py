"""The live progress line of a training."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from chainrule.train.history import History


class Progress:
    """One line that is written over: epoch, loss, validation loss, time left.

    In a terminal the line stays in its place; elsewhere (a file, a pipe) ten lines are written in all.
    The time left is reckoned from the second call on: the first chunk of epochs includes the compilation.
    """

    def __init__(self, epochs: int, stream: TextIO | None = None) -> None:
        self.epochs = epochs
        self.stream = stream if stream is not None else sys.stderr
        self.live = self.stream.isatty()
        self.first: tuple[int, float] | None = None
        self.width = 0
        self.next = 0.0

    def show(self, history: History) -> None:
        """Show the last epoch."""
        epoch = history.epochs
        if self.first is None:
            self.first = epoch, time.perf_counter()
        if not self.live:
            if epoch < self.next:
                return
            self.next = epoch + self.epochs / 10
        if self.live:
            line = self.line(history, shutil.get_terminal_size().columns - 1)  # a line that wraps is not written over
            self.stream.write("\r" + line.ljust(self.width))
            self.width = len(line)
        else:
            self.stream.write(self.line(history) + "\n")
        self.stream.flush()

    def line(self, history: History, width: int | None = None) -> str:
        """``epoch 40/200  loss 0.1234  validation loss 0.1301  2 s left``; metrics only as far as there is room."""
        epoch = history.epochs
        parts = {"epoch": f"epoch {epoch}/{self.epochs}"}
        parts |= {c: f"{c.replace('_', ' ')} {v:.4g}" for c, v in history.row(-1).items()}
        left = self._seconds_left(epoch)
        if left >= 1:
            parts["left"] = f"{left:.0f} s left"
        needless = [*(c for c in parts if c in history.columns and "loss" not in c), "left", "validation_loss"]
        while needless and width is not None and len("  ".join(parts.values())) > width:
            parts.pop(needless.pop(0), None)
        return "  ".join(parts.values())[:width]

    def _seconds_left(self, epoch: int) -> float:
        if self.first is None or epoch <= self.first[0]:
            return 0.0
        since, started = self.first
        return (time.perf_counter() - started) / (epoch - since) * (self.epochs - epoch)

    def end(self) -> None:
        """Leave the line standing."""
        if self.live and self.width:
            self.stream.write("\n")
            self.stream.flush()
