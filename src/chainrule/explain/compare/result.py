"""What every comparison offers beside its numbers: figures by name, flat records, and both in a folder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.errors import ConfigurationError, near

if TYPE_CHECKING:
    from chainrule.explain.figures import Drawing


class Result:
    """Printed it is a report. Abstract: a comparison says how it is drawn, and what its records are."""

    def figures(self) -> dict[str, Drawing]:
        """Matplotlib figures by name."""
        raise NotImplementedError

    def records(self) -> list[dict[str, Any]]:
        """Flat dictionaries, ready for a data frame."""
        raise NotImplementedError

    def figure(self, name: str | None = None) -> Drawing:
        """One of the figures, by default the first."""
        drawn = self.figures()
        name = next(iter(drawn)) if name is None else name
        if name not in drawn:
            raise ConfigurationError(
                "there is no such figure", given=repr(name), expected=", ".join(drawn), hint=near(name, drawn)
            )
        return drawn[name]

    def save(self, folder: str | Path) -> list[Path]:
        """Write the report, the records and every figure into a folder; returns the files."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        report, records = folder / "report.txt", folder / "records.json"
        report.write_text(f"{self}\n", "utf-8")
        records.write_text(json.dumps(_plain(self.records()), indent=1, ensure_ascii=False) + "\n", "utf-8")
        files = [report, records]
        for name, figure in self.figures().items():
            figure.savefig(folder / f"{name}.png", dpi=200)
            files.append(folder / f"{name}.png")
        return files


def _plain(value: Any) -> Any:
    """The same for JSON, which knows neither infinities nor NaN: these become text."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def checked_seeds(seeds: Any) -> int:
    """A number of seeds, at least one."""
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ConfigurationError("seeds is a whole number of at least 1", given=repr(seeds))
    return seeds


def counted(seeds: int) -> str:
    """``1 seed``, ``3 seeds: mean ± standard deviation``."""
    return "1 seed" if seeds == 1 else f"{seeds} seeds: mean ± standard deviation"
