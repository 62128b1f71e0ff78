"""``chainrule figure``: the figures of a first course, each made from a network that is trained on the spot."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli import show
from chainrule.errors import ConfigurationError, near

FORMATS = ("png", "svg", "pdf")


def figure(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Which figure; without a name they are listed.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A PNG, SVG or PDF file; NAME.png by default.", show_default=False),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(help="Of the hidden units, where the figure has a network.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one, another network.")] = 0,
) -> None:
    """Draw a figure from a live model: dosage, unit, exp, iris, iris_boundary, loss_surface, activations, sigmoid …

    Networks are trained and derivatives derived on the spot, and what was learned is printed.

    Every activation goes by its own name: chainrule figure softplus.
    """
    from chainrule.explain.gallery import GALLERY, picture
    from chainrule.nn import ACTIVATIONS

    if name is None:
        show.plain("chainrule figure NAME -o FILE.png\n")
        width = max(map(len, GALLERY))
        for known, maker in GALLERY.items():
            show.plain(f"  {known:<{width}}  {inspect.getdoc(maker)}")
        show.plain(f"\nor an activation with its derivative: {', '.join(ACTIVATIONS)}")
        return
    where = _checked(out or Path(f"{name}.png"))
    found = picture(name, activation, seed)
    found.figure().savefig(where, dpi=200)
    show.plain(found)
    show.plain(f"\ndrawn in {where}")


def _checked(out: Path) -> Path:
    """Refuse a file that cannot be written before anything is trained."""
    ending = out.suffix.lower().lstrip(".")
    if ending not in FORMATS:
        raise ConfigurationError(
            "a figure is written in another format",
            given=str(out),
            expected=", ".join(f".{f}" for f in FORMATS),
            hint=near(ending, FORMATS),
        )
    if out.is_dir() or not (out.parent.is_dir()):
        raise ConfigurationError(
            "the figure cannot be written there", given=str(out), expected="a file in a folder that exists"
        )
    return out
