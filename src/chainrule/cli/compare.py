"""``chainrule compare``: activations, optimizers, losses, one network per example, by measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import show
from chainrule.errors import ConfigurationError, near
from chainrule.explain.compare import compare_activations, compare_losses, compare_optimizers, compare_per_example

COMPARISONS: Mapping[str, Callable[..., Any]] = {
    "activations": compare_activations,
    "optimizers": compare_optimizers,
    "losses": compare_losses,
    "per-example": compare_per_example,
}
NAMED = ("activations", "optimizers")
"""Of these one may choose some by name."""


def compare(
    what: Annotated[str, typer.Argument(help="activations, optimizers, losses or per-example.", show_default=False)],
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Of activations or optimizers: only these.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How often everything is trained, each time anew.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds, to see how it looks.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder for report, records and figures.", show_default=False),
    ] = None,
) -> None:
    """Compare activations, optimizers or losses by measurement on real data; or average one network per example."""
    if what not in COMPARISONS:
        raise ConfigurationError(
            "there is no such comparison",
            given=repr(what),
            expected=", ".join(COMPARISONS),
            hint=near(what, COMPARISONS),
        )
    if names and what not in NAMED:
        raise ConfigurationError(
            f"of {what} all are compared", given=" ".join(names), hint=f"names go with {' and '.join(NAMED)}"
        )
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigurationError("the figures cannot be saved there", given=str(out), expected="a folder")
    chosen: tuple[Any, ...] = (names,) if names else ()
    result = COMPARISONS[what](*chosen, seeds=seeds, quick=quick, progress=True)
    show.plain(result)
    if out is not None:
        files = result.save(out)
        show.plain(f"\nsaved in {out}: {', '.join(file.name for file in files)}")
