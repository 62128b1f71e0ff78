"""The time of one training step: every library in a process of its own, warm, with all data in memory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any

from benchmarks.measure import Result, race
from benchmarks.peers import PEERS, Peer
from benchmarks.report import cores, section
from benchmarks.workloads import Workload, digits, large, logistic, small


def step(names: Sequence[str], rounds: int, smoke: bool) -> Iterator[str]:
    """A section of the report for every network, each of a few steps only for ``smoke``."""
    workloads = (small().short(), digits().short()) if smoke else (small(), digits(), large(), logistic())
    for workload, results in contest([PEERS[name] for name in names], workloads, rounds):
        yield section(
            f"One step of {workload.name}, {len(workload.X):,} rows in batches of {workload.batch_size}",
            results,
            "µs per step",
            1e6 / workload.steps,
            f"loss after {workload.epochs} epochs",
        )


def contest(peers: Sequence[Any], workloads: Iterable[Any], rounds: int) -> Iterator[tuple[Any, list[Result]]]:
    """Each workload with the results of all peers; every peer has one process, for all of them."""
    with ExitStack() as stack:
        processes = [stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for _ in peers]
        for workload in workloads:
            workers = [Worker(peer, process, workload) for peer, process in zip(peers, processes, strict=True)]
            yield workload, race(workers, workload, rounds)


class Worker:
    """A library in its process, which sleeps unless it has its turn."""

    def __init__(self, peer: type[Peer], process: ProcessPoolExecutor, workload: Workload) -> None:
        self.peer, self.process, self.workload = peer, process, workload
        self.title = peer.title

    def start(self) -> tuple[float, float]:
        seconds, loss, threads = self.process.submit(_start, self.peer, self.workload).result()
        if threads is not None:
            self.title += f" ({threads} {'thread' if threads == 1 else 'threads'})"
        return seconds, loss

    def turn(self) -> float:
        return self.process.submit(_turn, self.workload.epochs).result()


# --- in the worker's process ----------------------------------------------------------------------------------

_peer: Peer


def _start(peer: type[Peer], workload: Workload) -> tuple[float, float, int | None]:
    """Seconds of a first round, the loss after it, and the number of threads that is faster, if one can choose."""
    global _peer
    _peer = peer(workload)
    seconds = _turn(workload.epochs)
    loss = workload.loss(_peer.parameters())
    set_threads: Any = getattr(_peer, "set_threads", None)
    if set_threads is None:
        return seconds, loss, None
    times = {}
    for threads in (1, cores()):
        set_threads(threads)
        times[threads] = _turn(workload.epochs)
    fastest = min(times, key=times.__getitem__)
    set_threads(fastest)
    return seconds, loss, fastest


def _turn(epochs: int) -> float:
    begin = time.perf_counter()
    _peer.train(epochs)
    return time.perf_counter() - begin
