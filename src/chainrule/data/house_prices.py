"""The Ames house prices, the table of ``chainrule demo``."""

from __future__ import annotations

from importlib import resources

import polars as pl


def ames() -> pl.DataFrame:
    """2,930 sales of houses in Ames, Iowa, 2006 to 2010: 74 columns, the price in dollars is ``Sale_Price``.

    De Cock (2011), Journal of Statistics Education 19(3); source and licence in ``SOURCES.md`` beside this
    file.

    >>> ames().shape
    (2930, 74)
    """
    with resources.as_file(resources.files("chainrule.data") / "ames.parquet") as file:
        return pl.read_parquet(file)
