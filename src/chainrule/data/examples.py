"""Examples with their labels: what a public set, a folder of images or a folder of recordings is read as."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import DataError


@dataclass(frozen=True, eq=False)
class Examples:
    """m examples, and what is known of each.

    Attributes:
        items: an array (m, ...), files read when needed (:class:`~chainrule.data.lazy.Lazy`), texts as an array of
            objects (m,), or a table of m rows.
        labels: the code of each example's class, int64 (m,), or a number, float64 (m,); None where there are none.
        classes: the name of the class of each code.
        groups: what examples have in common beside the class, (m,): the speaker of a recording.
        features: names of the columns of `items`, where it is a matrix.
        target: what the labels are called.
        title, licence, source: what it is, under which licence, and where it comes from.
        notes: what was left out or found on the way.
        files: those that they were read from, where each lies in one of its own.
    """

    items: Any
    labels: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    groups: NDArray[np.object_] | None = None
    features: tuple[str, ...] = ()
    target: str = "label"
    title: str = ""
    licence: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def select(self, rows: ArrayLike) -> Examples:
        """Some of the examples, by row number or by a mask of truth values (m,); files stay unread.

        >>> Examples(np.arange(4), groups=np.array(list("abab"), object)).select([1, 3]).groups.tolist()
        ['b', 'b']
        """
        chosen = np.arange(len(self))[np.asarray(rows)]
        pick = getattr(self.items, "select", None) if not isinstance(self.items, pl.DataFrame) else None
        return replace(
            self,
            items=pick(chosen) if pick else self.items[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            groups=None if self.groups is None else self.groups[chosen],
            files=tuple(self.files[row] for row in chosen) if self.files else (),
        )

    @property
    def names(self) -> NDArray[np.object_]:
        """The class of each example by name, (m,)."""
        if self.labels is None or not self.classes:
            raise DataError("these examples have no classes", given=repr(self), expected="labels of named classes")
        return np.asarray(np.array(self.classes, dtype=object)[self.labels])

    @property
    def text(self) -> str:
        """All texts as one, a line for each."""
        if not len(self) or not isinstance(self.items[0], str):
            raise DataError("these examples are not texts", given=repr(self))
        return "\n".join(self.items)

    def table(self) -> pl.DataFrame:
        """Features and target as a table, for :func:`chainrule.fit_table`; texts are the column ``text``.

        >>> Examples(np.array([[1.0, 2.0]]), np.array([0]), ("red",), features=("a", "b"), target="colour").table()
        shape: (1, 3)
        ┌─────┬─────┬────────┐
        │ a   ┆ b   ┆ colour │
        │ --- ┆ --- ┆ ---    │
        │ f64 ┆ f64 ┆ str    │
        ╞═════╪═════╪════════╡
        │ 1.0 ┆ 2.0 ┆ red    │
        └─────┴─────┴────────┘
        """
        if isinstance(self.items, pl.DataFrame):
            inputs = self.items
        elif len(self) and isinstance(self.items[0], str):
            inputs = pl.DataFrame({"text": list(self.items)})
        elif self.features:
            inputs = pl.DataFrame(dict(zip(self.features, self.items.T, strict=True)))
        else:
            raise DataError(
                "these examples are no table", given=f"items of shape {self.items.shape}", expected="(m, features)"
            )
        if self.labels is None:
            return inputs
        return inputs.with_columns(pl.Series(self.target, list(self.names) if self.classes else self.labels))

    def __repr__(self) -> str:
        parts = [f"{len(self):,} examples"]
        if self.classes:
            parts.append(f"{len(self.classes)} classes")
        if self.groups is not None:
            parts.append(f"{len(set(self.groups.tolist()))} groups")
        about = "; ".join(p for p in (", ".join(parts), self.licence, self.source) if p)
        return f"<Examples: {self.title + ': ' if self.title else ''}{about}>"
