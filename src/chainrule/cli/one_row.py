"""The numbers of one row in a step, as ``chainrule explain`` and ``chainrule replay --row`` show and write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import show

Layer = Annotated[
    str | None,
    typer.Option("--open", help="Show every node of this layer, of a network too large to show all.", metavar="NAME"),
]
Picture = Annotated[
    Path | None,
    typer.Option("--svg", help="Draw it as well: values above the edges, derivatives below.", show_default=False),
]
Data = Annotated[
    Path | None, typer.Option("--json", help="Write every number as plain data as well.", show_default=False)
]


def shown(trace: Any, heading: str, layer: str | None, picture: Path | None, data: Path | None) -> None:
    """Print a trace below its heading; draw and write it where that is asked for."""
    table = trace.table(open=layer)  # first of all: it knows whether there is such a layer
    if picture is not None:
        trace.svg(open=layer).save(picture)
    if data is not None:
        data.write_text(json.dumps(trace.data(), ensure_ascii=False), encoding="utf-8")
    show.plain(f"{heading}\n")
    show.plain(table)
    if picture is not None or data is not None:
        show.plain("")
    for words, place in (("drawn", picture), ("every number", data)):
        if place is not None:
            show.plain(f"{words} in {place}")
