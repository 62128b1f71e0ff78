"""What the commands print: tables of scores, notes, formulas, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from chainrule.errors import ChainruleError

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def scores(found: Mapping[str, Mapping[str, float]], title: str) -> None:
    """Metrics in rows, models in columns; the better number of a row is marked."""
    models = list(found)
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("")
    for model in models:
        table.add_column(model, justify="right")
    for metric in found[models[0]]:
        values = [found[m].get(metric, float("nan")) for m in models]
        best = min(values) if lower_is_better(metric) else max(values)
        table.add_row(metric, *(f"[bold]{number(v)}[/bold]" if v == best else number(v) for v in values))
    out.print(table)


def lower_is_better(metric: str) -> bool:
    """Whether a smaller number is the better one."""
    return any(word in metric.lower() for word in ("error", "rmse", "mae", "loss"))


def number(value: float) -> str:
    """Four digits, thousands apart."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"


def counted(count: int, what: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def notes(lines: Sequence[str], most: int = 6) -> None:
    """What was done with the table, a line each."""
    for line in lines[:most]:
        out.print(f"  · {line}", style="dim", markup=False)
    if len(lines) > most:
        rest = counted(len(lines) - most, "more remark")
        out.print(f"  · and {rest} in the run folder's preprocessing", style="dim", markup=False)


def heading(text: str) -> None:
    """A line that stands out."""
    out.print(f"\n[bold]{text}[/bold]")


def plain(text: object) -> None:
    """Text as it is."""
    out.print(str(text), markup=False)


def warning(message: object) -> None:
    """A warning on standard error; a live line that stands there makes way for it, and is written anew below."""
    err.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
    err.print(f"warning: {message}", style="yellow", markup=False)


def failure(error: ChainruleError) -> None:
    """An error on standard error: the fact, then given, expected and hint."""
    first, *rest = str(error).split("\n")
    err.print(Text.assemble(("error:", "bold red"), " ", first))
    for line in rest:
        err.print(line, markup=False)
