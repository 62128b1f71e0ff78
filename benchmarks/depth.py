"""How long it takes from a network to a program, and how that grows with depth: beside JAX's own trace and compile.

Every measurement is a process of its own without anything compiled before. *Derived* is all that is ours: the network
made, its gradients and updates derived and simplified, and handed to JAX as a traced program; *compiled* is XLA. JAX
by hand traces the same network of a Python loop over its layers, with ``value_and_grad`` and Optax's Adam.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.report import digits, table

UNITS, ROWS, BATCH = 16, 64, 32
DEPTHS = (125, 250, 500, 1000)


def depth(names: Sequence[str], rounds: int, smoke: bool) -> Iterator[str]:
    """The section of the report; ``rounds`` of each depth, at most three."""
    contestants = [name for name in ("chainrule", "jax") if name in names]
    depths = (4, 8) if smoke else DEPTHS
    heads = [f"{name}, {part}" for name in contestants for part in ("derived", "compiled")]
    rows = [["layers", *heads, "× chainrule's"]]
    whole: dict[str, list[float]] = {name: [] for name in contestants}
    for layers in depths:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        for k in range(max(1, min(rounds, 3))):
            for name in contestants[:: 1 if k % 2 == 0 else -1]:
                found[name].append(_measured(name, layers))
        parts = {name: [statistics.median(times) for times in zip(*found[name], strict=True)] for name in contestants}
        ratios = [sum(b) / sum(a) for a, b in zip(found["chainrule"], found.get("jax", []), strict=False)]
        for name in contestants:
            whole[name].append(statistics.median(map(sum, found[name])))
        rows.append(
            [
                f"{layers}",
                *(digits(t) for name in contestants for t in parts[name]),
                digits(statistics.median(ratios)) if ratios else "",
            ]
        )
    yield f"**From a network of {UNITS} units a layer to a program, in seconds**\n\n{table(rows)}\n"
    for name in contestants:
        slope = np.polyfit(np.log(depths), np.log(whole[name]), 1)[0]
        yield f"{name}: the time grows with depth to the power of {slope:.2f}\n"


def _measured(name: str, layers: int) -> tuple[float, float]:
    """Seconds to derive (or trace), and to compile."""
    with tempfile.TemporaryDirectory() as empty:
        environment = os.environ | {"CHAINRULE_CACHE": empty, "JAX_ENABLE_COMPILATION_CACHE": "false"}
        command = [sys.executable, "-m", "benchmarks.depth", name, str(layers)]
        out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    derived, compiled = map(float, out.split()[-2:])
    return derived, compiled


# --- in the process that is timed -----------------------------------------------------------------------------


def _examples() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, UNITS)).astype(np.float32), rng.normal(size=(ROWS, 1)).astype(np.float32)


def ours(layers: int) -> tuple[float, float]:
    """This project."""
    import jax

    import chainrule as cr

    X, Y = _examples()
    jax.block_until_ready(jax.jit(lambda x: x + 1)(X))  # what JAX does once is not counted
    begin = time.perf_counter()
    network = cr.Sequential(*(cr.Dense(UNITS, "tanh") for _ in range(layers)), cr.Dense(1))
    trainer = cr.Trainer(network, X, Y, batch_size=BATCH)
    lowered = trainer.lowered()
    derived = time.perf_counter()
    lowered.compile()
    return derived - begin, time.perf_counter() - derived


def by_hand(layers: int) -> tuple[float, float]:
    """JAX."""
    import jax
    import jax.numpy as jnp
    import optax
    from jax import lax

    X, Y = _examples()
    jax.block_until_ready(jax.jit(lambda x: x + 1)(X))
    begin = time.perf_counter()
    rng = np.random.default_rng(0)
    sizes = [UNITS] * (layers + 1) + [1]
    parameters = [
        (rng.uniform(-0.4, 0.4, pair).astype(np.float32), np.zeros(pair[1], np.float32)) for pair in pairwise(sizes)
    ]
    adam = optax.adam(1e-3)

    def cost(p: Any, x: Any, y: Any) -> Any:
        for W, b in p[:-1]:
            x = jnp.tanh(x @ W + b)
        return jnp.mean((x @ p[-1][0] + p[-1][1] - y) ** 2)

    def step(state: Any, batch: Any) -> Any:
        p, moments = state
        J, gradient = jax.value_and_grad(cost)(p, *batch)
        updates, moments = adam.update(gradient, moments)
        return (optax.apply_updates(p, updates), moments), J

    def epoch(state: Any, order: Any, data: Any) -> Any:
        return lax.scan(step, state, [a[order].reshape(-1, BATCH, *a.shape[1:]) for a in data])

    state = parameters, adam.init(parameters)
    lowered = jax.jit(epoch, donate_argnums=0).lower(state, np.arange(ROWS), (X, Y))
    derived = time.perf_counter()
    lowered.compile()
    return derived - begin, time.perf_counter() - derived


if __name__ == "__main__":
    print(*{"chainrule": ours, "jax": by_hand}[sys.argv[1]](int(sys.argv[2])))
