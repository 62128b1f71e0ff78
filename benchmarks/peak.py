"""How much of what the machine can multiply is used: 2048-2048-2048 in batches of 512, beside bare matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from benchmarks.peers import Chainrule, Peer
from benchmarks.report import digits, section
from benchmarks.step import contest
from benchmarks.workloads import Layers, Workload

WIDTH, BATCH = 2048, 512
MULTIPLY_ADDS = 5 * BATCH * WIDTH * WIDTH
"""Of a step: two products forwards, three backwards (none for the inputs)."""
AIM = 0.80


class Descending(Chainrule):
    """This project with plain gradient descent: products, and little else."""

    title = "chainrule, gradient descent"
    optimizer: ClassVar[str] = "gradient_descent"


class Products(Peer):
    """The five products of a step, alone, each as one call of the library that is fastest here."""

    title = "the five products alone"

    def __init__(self, workload: Workload) -> None:
        import jax
        import jax.numpy as jnp

        rng = np.random.default_rng(0)
        x, g = (rng.normal(size=(BATCH, WIDTH)).astype(np.float32) for _ in range(2))
        W = rng.normal(size=(WIDTH, WIDTH)).astype(np.float32)
        self.steps = workload.steps // workload.epochs
        self.arrays, self.on_device = (x, W, g), jax.device_put((x, W, g))
        self.programs = [
            jax.jit(f) for f in (lambda x, W, g: x @ W, lambda x, W, g: x.T @ g, lambda x, W, g: jnp.matmul(g, W.T))
        ]

    def train(self, epochs: int) -> None:
        forward, weights, back = self.programs
        for _ in range(epochs * self.steps):
            for program in (forward, forward, weights, weights, back):
                program(*self.on_device).block_until_ready()

    def parameters(self) -> Layers:
        return []


class InNumPy(Products):
    """The same through NumPy's BLAS."""

    title = "the five products in NumPy"

    def train(self, epochs: int) -> None:
        x, W, g = self.arrays
        for _ in range(epochs * self.steps):
            x @ W, x @ W, x.T @ g, x.T @ g, g @ W.T


class Wide(Workload):
    """2048-2048-2048; what bare products have learned is not asked."""

    def loss(self, layers: Layers) -> float:
        return 1.0

    def untrained_loss(self) -> float:
        return np.inf


def peak(rounds: int, smoke: bool) -> Iterator[str]:
    """The section of the report."""
    rng = np.random.default_rng(0)
    rows = BATCH * (1 if smoke else 16)  # sustained: what a call costs besides its steps is little
    X, Y = (rng.normal(size=(rows, WIDTH)).astype(np.float32) for _ in range(2))
    workload = Wide((WIDTH, WIDTH, WIDTH), X, Y, BATCH, 1)
    peers: list[Any] = [Chainrule, Descending, Products, InNumPy]
    [(_, results)] = contest(peers, [workload], rounds)
    title = f"One step of {workload.name} in batches of {BATCH}"
    yield section(title, results, "ms", 1e3 / workload.steps, "not asked")
    fastest = np.minimum(results[2].seconds, results[3].seconds)
    for result in results[:2]:
        share = float(np.median(fastest / np.asarray(result.seconds)))
        speed = 2e-9 * MULTIPLY_ADDS * workload.steps / float(np.median(result.seconds))
        yield (
            f"{result.title}: {share:.0%} of the speed of bare products ({digits(speed)} GFLOP/s), "
            f"{'at least' if share >= AIM else 'NOT at least'} {AIM:.0%}\n"
        )
