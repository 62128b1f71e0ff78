"""The live progress line of a training."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from chainrule.train.history import History


class Progress:
    """One line that is written over: epoch, loss, validation loss, time left.

    In a terminal the line stays in its place; elsewhere (a file, a pipe) ten lines are written in all.
    """

    def __init__(self, epochs: int, stream: TextIO | None = None) -> None:
        self.epochs = epochs
        self.stream = stream if stream is not None else sys.stderr
        self.live = self.stream.isatty()
        self.started = time.perf_counter()
        self.width = 0
        self.next = 0.0

    def show(self, history: History) -> None:
        """Show the last epoch."""
        epoch = history.epochs
        if not self.live:
            if epoch < self.next:
                return
            self.next = epoch + self.epochs / 10
        line = self.line(history)
        if self.live:
            self.stream.write("\r" + line.ljust(self.width))
            self.width = len(line)
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def line(self, history: History) -> str:
        """``epoch 40/200  loss 0.1234  validation loss 0.1301  2 s left``."""
        epoch = history.epochs
        parts = [f"epoch {epoch}/{self.epochs}"]
        for column, value in history.row(-1).items():
            parts.append(f"{column.replace('_', ' ')} {value:.4g}")
        left = (time.perf_counter() - self.started) / max(epoch, 1) * (self.epochs - epoch)
        if epoch < self.epochs:
            parts.append(f"{left:.0f} s left" if left >= 1 else "")
        return "  ".join(p for p in parts if p)

    def end(self) -> None:
        """Leave the line standing."""
        if self.live and self.width:
            self.stream.write("\n")
            self.stream.flush()
