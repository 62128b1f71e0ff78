"""The time from a cold process to a trained network: start Python, import, compile, train 200 epochs on iris."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import race
from benchmarks.peers import PEERS
from benchmarks.report import section
from benchmarks.workloads import iris


def cold(names: Sequence[str], rounds: int) -> Iterator[str]:
    """The section of the report."""
    workload = iris()
    with tempfile.TemporaryDirectory() as folder:
        file, cache = Path(folder, "iris.pickle"), Path(folder, "cache")
        file.write_bytes(pickle.dumps(workload))
        ours = [Start("chainrule", file, cache), Start("chainrule", file, None)]
        ours[0].title += " (compiled before)"
        ours[1].title += " (the first time)"
        others = [Start(name, file, None) for name in names if name not in ("chainrule", "jax-one-call")]
        yield section(
            f"Cold process to trained {workload.name} on iris, {workload.epochs} epochs in batches of "
            f"{workload.batch_size}",
            race([*ours, *others], workload, rounds),
            "seconds",
            1.0,
            "loss",
        )


class Start:
    """A library to be started again and again, with a compilation cache that lasts or a new empty one each time."""

    def __init__(self, name: str, workload: Path, cache: Path | None) -> None:
        self.command = [sys.executable, "-m", "benchmarks.once", name, str(workload)]
        self.cache = cache
        self.title = PEERS[name].title

    def turn(self) -> float:
        return self.start()[0]

    def start(self) -> tuple[float, float]:
        """Seconds until it says that the network is trained, and the loss that it then reports."""
        with tempfile.TemporaryDirectory() as empty:
            environment = os.environ | {"CHAINRULE_CACHE": str(self.cache or empty)}
            environment.pop("JAX_COMPILATION_CACHE_DIR", None)
            begin = time.perf_counter()
            with subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, env=environment) as process:
                assert process.stdout is not None
                trained = process.stdout.readline()
                seconds = time.perf_counter() - begin
                loss = process.stdout.read()
        if process.returncode or trained != "trained\n":
            raise SystemExit(f"{self.title} failed")
        return seconds, float(loss)
