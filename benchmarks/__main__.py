"""``python -m benchmarks``: run them, print the tables, and on request put them into the README."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from benchmarks.checkpoints import checkpoints
from benchmarks.cold import cold
from benchmarks.depth import depth
from benchmarks.devices import devices
from benchmarks.networks import networks
from benchmarks.peak import peak
from benchmarks.peers import PEERS, versions
from benchmarks.prediction import prediction
from benchmarks.report import machine, write
from benchmarks.step import step
from benchmarks.sweep import sweep
from benchmarks.watch import watch


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Time chainrule beside its peers.")
    parser.add_argument("what", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), help="beside these only")
    parser.add_argument("--rounds", type=int, default=15, help="rounds to take the median of (%(default)s)")
    parser.add_argument("--smoke", action="store_true", help="one tiny round, only to see that everything runs")
    parser.add_argument("--write", action="store_true", help="put the results into benchmarks/README.md")
    asked = parser.parse_args()
    unknown = [part for part in asked.what if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if asked.write and (asked.smoke or asked.what or asked.peers != list(PEERS)):
        parser.error("--write is for the whole benchmark")
    os.environ["JAX_PLATFORMS"] = "cpu"  # also where JAX could use another device: all run on the same

    names = list(_installed([name for name in PEERS if name == "chainrule" or name in asked.peers]))
    text = [f"{machine(names)}\n"]
    print(text[0])
    if asked.smoke:
        print("Only to see that everything runs: these times are those of a first round, compiling and all.\n")
    for section in _sections(asked.what, names, 0 if asked.smoke else asked.rounds, asked.smoke):
        print(section, flush=True)
        text.append(section)
    if asked.write:
        write("\n".join(text))


def _installed(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        missing = [need for need, number in versions([name]).items() if number is None]
        if missing:
            print(f"{PEERS[name].title} is left out: {', '.join(missing)} not installed", file=sys.stderr)
        else:
            yield name


PARTS: dict[str, Callable[[Sequence[str], int, bool], Iterator[str]]] = {
    "step": step,
    "networks": networks,
    "peak": lambda names, rounds, smoke: peak(rounds, smoke),
    "prediction": prediction,
    "watch": watch,
    "checkpoints": lambda names, rounds, smoke: checkpoints(rounds, smoke),
    "depth": depth,
    "devices": lambda names, rounds, smoke: devices(rounds, smoke),
    "sweep": lambda names, rounds, smoke: sweep(min(rounds, 3), smoke),
    "cold": lambda names, rounds, smoke: cold(names, rounds),
}
"""By the name that the command takes; each gives the sections of the report one by one."""


def _sections(chosen: Sequence[str], names: Sequence[str], rounds: int, smoke: bool) -> Iterator[str]:
    for part in chosen or PARTS:
        yield from PARTS[part](names, rounds, smoke)


if __name__ == "__main__":
    main()
