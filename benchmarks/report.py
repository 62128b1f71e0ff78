"""The results as Markdown, for the terminal and for the README beside this file."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Result
from benchmarks.peers import versions

README = Path(__file__).with_name("README.md")
BLOCK = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- /results -->)", re.DOTALL)


def section(title: str, results: Sequence[Result], unit: str, scale: float, loss: str) -> str:
    """A heading and a table of times (seconds × scale, in that unit); the first result is ours."""
    head = ["", unit, "× chainrule's", "quartiles", loss]
    rows = []
    for result in results:
        middle, low, high = result.ratio(results[0])
        median = digits(statistics.median(result.seconds) * scale)
        spread = f"{digits(low)} – {digits(high)}"
        rows.append([result.title, median, digits(middle), spread, f"{result.loss:.4f}"])
    return f"**{title}**\n\n{table([head, *rows])}\n"


def machine(names: Sequence[str]) -> str:
    """Where it was measured: processor, cores, versions."""
    used = [f"{name} {number}" for name, number in versions(names).items()]
    return f"{_processor()}, {cores()} cores; Python {platform.python_version()}, {', '.join(used)}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write(text: str) -> None:
    """Put the results into the README."""
    README.write_text(BLOCK.sub(lambda _: text, README.read_text("utf-8"), count=1), "utf-8")


def _processor() -> str:
    try:
        return re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]  # type: ignore[index]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def digits(number: float) -> str:
    """Three significant digits, never in powers of ten."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first of them the heading; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in (rows[0], rule, *rows[1:])
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
