"""Whether cores that share the rows of a batch make a step shorter, and whether that is what is chosen by itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.measure import PAUSE
from benchmarks.report import digits, table

SECONDS = 0.25
"""So long a round of each takes."""
STEPS = 10


def _networks() -> dict[str, tuple[tuple[int, ...], int, Callable[[], list[Any]]]]:
    """Shape of an example, rows in a batch, layers."""
    import chainrule as cr

    def dense(*units: int) -> Callable[[], list[Any]]:
        return lambda: [cr.Dense(n, "relu") for n in units]

    def convolution(*filters: int, units: int = 0) -> Callable[[], list[Any]]:
        def made() -> list[Any]:
            parts = [
                layer
                for n in filters
                for layer in (cr.Conv2D(n, 3, padding="same", activation="relu"), cr.MaxPool2D(2))
            ]
            return [*parts, cr.Flatten(), *([cr.Dense(units, "relu")] if units else [])]

        return made

    def attention(units: int) -> Callable[[], list[Any]]:
        return lambda: [cr.TransformerEncoder(units, 4), cr.GlobalAveragePool1D()]

    return {
        "20-32-32-10": ((20,), 32, dense(32, 32)),
        "64-64-10": ((64,), 64, dense(64)),
        "64-64-10, large batch": ((64,), 512, dense(64)),
        "256-256-256-10": ((256,), 64, dense(256, 256)),
        "784-512-256-10": ((784,), 128, dense(512, 256)),
        "784-512-256-10, large batch": ((784,), 512, dense(512, 256)),
        "2048-2048-2048-10": ((2048,), 512, dense(2048, 2048)),
        "20 layers of 64": ((64,), 256, dense(*[64] * 20)),
        "LSTM 16, 20 steps": ((20, 8), 32, lambda: [cr.LSTM(16)]),
        "LSTM 32, 20 steps": ((20, 8), 32, lambda: [cr.LSTM(32)]),
        "LSTM 64, 50 steps": ((50, 16), 64, lambda: [cr.LSTM(64)]),
        "LSTM 128, 50 steps": ((50, 32), 64, lambda: [cr.LSTM(128)]),
        "GRU 64, 30 steps": ((30, 16), 32, lambda: [cr.GRU(64)]),
        "convolution 8 on 8 × 8": ((8, 8, 1), 32, convolution(8)),
        "convolution 16 on 14 × 14": ((14, 14, 1), 32, convolution(16)),
        "convolution 32, 64 on 28 × 28": ((28, 28, 1), 64, convolution(32, 64, units=128)),
        "transformer 32 wide, 16 steps": ((16, 32), 32, attention(64)),
        "transformer 64 wide, 32 steps": ((32, 64), 32, attention(128)),
        "transformer 128 wide, 64 steps": ((64, 128), 32, attention(512)),
    }


def devices(rounds: int, smoke: bool) -> Iterator[str]:
    """The section of the report."""
    import chainrule as cr
    from chainrule.engine.xla import local_cores

    count = local_cores()
    if count == 1:
        yield "One core: there is nothing to share\n"
        return
    rows = [["", "µs on one", f"µs on {count}", "gain", "quartiles", "chosen", ""]]
    wrong = 0
    networks = _networks()
    for name, (shape, batch, layers) in list(networks.items())[: 2 if smoke else None]:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(batch * STEPS, *shape)).astype(np.float32)
        Y = rng.integers(0, 10, len(X))
        network = cr.Sequential(*layers(), cr.Dense(10, "softmax"))
        trainers = [cr.Trainer(network, X, Y, batch_size=batch, metrics=[], devices=d) for d in (1, count, "auto")]
        chosen = int(trainers[2].settings["devices"])
        one, several = (_timed(t, smoke) for t in trainers[:2])
        times: list[tuple[float, float]] = []
        for k in range(max(1, min(rounds, 7))):
            time.sleep(0 if smoke else PAUSE)
            pair = [turn() for turn in ((one, several) if k % 2 == 0 else (several, one))]
            times.append((pair[0], pair[1]) if k % 2 == 0 else (pair[1], pair[0]))
        low, gain, high = np.quantile([a / b for a, b in times], [0.25, 0.5, 0.75])
        tie = low <= 1 <= high
        right = tie or (gain > 1) == (chosen > 1)
        wrong += not right
        a, b = (statistics.median(t) for t in zip(*times, strict=True))
        lost = max(gain, 1 / gain) - 1
        verdict = "a tie" if tie else "" if right else f"NOT the faster, by {lost:.0%}"
        spread = f"{digits(low)} – {digits(high)}"
        rows.append([name, digits(a * 1e6), digits(b * 1e6), digits(gain), spread, str(chosen), verdict])
    yield f"**A batch shared by {count} cores**\n\n{table(rows)}\n"
    yield f"chosen wrongly: {wrong} of {len(rows) - 1}\n"


def _timed(trainer: Any, smoke: bool) -> Callable[[], float]:
    """A function that trains for a while and returns the seconds of a step."""
    trainer.run_epochs(2)
    begin = time.perf_counter()
    trainer.run_epochs(2)
    epochs = 2 if smoke else max(2, int(SECONDS / max((time.perf_counter() - begin) / 2, 1e-6)))
    trainer.run_epochs(epochs)

    def turn() -> float:
        begin = time.perf_counter()
        trainer.run_epochs(epochs)
        return (time.perf_counter() - begin) / epochs / STEPS

    return turn
