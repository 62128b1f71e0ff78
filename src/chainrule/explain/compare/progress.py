"""Which experiment is running, of how many: a line that is written over."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO


class Told:
    """Call it with what begins now. In a terminal the line stays in its place; elsewhere ten lines are written in all.

    Args:
        total: how many experiments there are.
        show: whether to; by default in a terminal only.
    """

    def __init__(self, total: int, show: bool | None = None, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self.live = self.stream.isatty()
        self.show = self.live if show is None else show
        self.total = total
        self.done = 0
        self.width = 0

    def __call__(self, what: str) -> None:
        """Say what begins now."""
        self.done += 1
        tenth = -(-self.total // 10)
        if not self.show or (not self.live and (self.done - 1) % tenth):
            return
        line = f"{self.done}/{self.total}  {what}"[: shutil.get_terminal_size().columns - 1]
        self.stream.write("\r" + line.ljust(self.width) if self.live else line + "\n")
        self.stream.flush()
        self.width = len(line)

    def end(self) -> None:
        """Take the line away."""
        if self.show and self.live:
            self.stream.write("\r" + " " * self.width + "\r")
            self.stream.flush()
