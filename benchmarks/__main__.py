"""``python -m benchmarks``: run them, print the tables, and on request put them into the README."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence

from benchmarks.checkpoints import checkpoints
from benchmarks.cold import cold
from benchmarks.networks import networks
from benchmarks.peers import PEERS, versions
from benchmarks.report import machine, write
from benchmarks.step import step
from benchmarks.watch import watch


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Time chainrule beside its peers.")
    parser.add_argument(
        "what",
        nargs="?",
        choices=["step", "networks", "watch", "checkpoints", "cold"],
        help="one of them; by default all",
    )
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), help="beside these only")
    parser.add_argument("--rounds", type=int, default=15, help="rounds to take the median of (%(default)s)")
    parser.add_argument("--smoke", action="store_true", help="one tiny round, only to see that everything runs")
    parser.add_argument("--write", action="store_true", help="put the results into benchmarks/README.md")
    asked = parser.parse_args()
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


def _sections(what: str | None, names: Sequence[str], rounds: int, smoke: bool) -> Iterator[str]:
    if what in (None, "step"):
        yield from step(names, rounds, smoke)
    if what in (None, "networks"):
        yield from networks(names, rounds, smoke)
    if what in (None, "watch"):
        yield from watch(names, rounds, smoke)
    if what in (None, "checkpoints"):
        yield from checkpoints(rounds, smoke)
    if what in (None, "cold"):
        yield from cold(names, rounds)


if __name__ == "__main__":
    main()
